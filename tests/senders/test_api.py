# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What kinds with a JSON API have in common: codes, tokens, and the key under which a token is shared."""

from __future__ import annotations

import pytest

from mailroom.core.clock import DAY, SECOND
from mailroom.core.secrets import Secret
from mailroom.senders.api import code_of, token, token_key
from mailroom.senders.contract import Refused, Scope, Token, TryLater, Why
from mailroom.senders.verdicts import ACCOUNT, GONE, Said, Table

TABLE = Table({"1": GONE})


def test_a_code_is_a_number_or_a_word() -> None:
    assert [code_of(value) for value in (0, "0", 7, -1, "x.y")] == ["", "", "7", "-1", "x.y"]
    odd: list[object] = ["", None, True, 0.0, [], {}]
    assert [code_of(value) for value in odd] == [None] * 6


@pytest.mark.parametrize(("seconds", "lasts"), [(7200, 7200 * SECOND), (10**300, DAY), (-(10**300), 0)])
def test_a_token_lasts_a_day_at_most(seconds: int, lasts: int) -> None:
    said = Said("", "", {"word": "t0ken", "seconds": seconds})
    assert token(said, TABLE, text="word", lasts="seconds") == Token(Secret("t0ken"), lasts)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"word": "t"},
        {"word": "", "seconds": 1},
        {"word": "a b", "seconds": 1},
        {"word": "t\r\nX: y", "seconds": 1},
        {"word": "t" * 5000, "seconds": 1},
        {"word": 7, "seconds": 1},
        {"word": "t", "seconds": "7200"},
    ],
)
def test_what_no_header_can_hold_is_no_token(fields: dict[str, object]) -> None:
    said = token(Said("", "", fields), TABLE, text="word", lasts="seconds")
    assert said == TryLater("garbage", "an answer without a token", Scope.SENDER)


def test_whatever_refuses_a_token_is_for_an_administrator() -> None:
    unknown = token(Said("77", "no", {}), TABLE, text="word", lasts="seconds")
    assert unknown == TryLater("77", "no", Scope.SENDER, why=ACCOUNT.why)
    assert token(Said("1", "no", {}), TABLE, text="word", lasts="seconds") == Refused("1", "no", why=Why.GONE)
    assert token(TryLater("dns", "away"), TABLE, text="word", lasts="seconds") == TryLater("dns", "away")


def test_a_token_is_another_as_soon_as_what_it_was_fetched_with_is() -> None:
    keys = {
        token_key(kind, base, account, Secret(secret))
        for kind in ("feishu", "dingtalk")
        for base in ("https://a", "https://b")
        for account in ("x", "y")
        for secret in ("s1", "s2")
    }
    assert len(keys) == 16
    assert not any("s1" in key or "s2" in key for key in keys)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Tables of codes: which row is a code's, and what follows from it in the provider's words."""

from __future__ import annotations

import pytest

from mailroom.core.clock import HOUR
from mailroom.core.secrets import Secret
from mailroom.senders.contract import Refused, Scope, TryLater, Unknown, Why
from mailroom.senders.verdicts import ACCOUNT, AGAIN, BUSY, GONE, LOST, NO, Said, Spent, Table, closer, follows

TABLE = Table({"A": GONE, "A*": BUSY, "A.*b*": ACCOUNT, "A.cb": NO, "[A]": LOST})


@pytest.mark.parametrize(
    ("code", "row"),
    [
        ("A", GONE),
        ("Ax", BUSY),
        ("A.c", BUSY),
        ("A.xby", ACCOUNT),
        ("A.cb", NO),
        ("[A]", LOST),
        ("a", None),
        ("", None),
    ],
)
def test_the_longest_row_that_fits_is_the_codes(code: str, row: object) -> None:
    assert TABLE.row(code) == row


def test_a_code_without_a_row_means_another() -> None:
    assert TABLE.judge(Said("x", "words")) == TryLater("x", "words")
    assert TABLE.judge(Said("x", "words"), other=NO) == Refused("x", "words")
    assert TABLE.judge(Said("A", "words"), other=NO) == Refused("A", "words", why=Why.GONE)
    assert Table({}, other=LOST).judge(Said("x", "words")) == Unknown("x", "words")


def test_a_share_that_is_used_up_is_waited_for() -> None:
    spent = Spent(lambda now: HOUR - now, Scope.RECIPIENT)
    assert follows(spent, Said("c", "t", at=5)) == TryLater("c", "t", Scope.RECIPIENT, HOUR - 5, Why.QUOTA)


@pytest.mark.parametrize("row", [AGAIN, Spent(lambda now: now)])
def test_a_wait_that_is_asked_for_goes_before_the_rows(row: TryLater | Spent) -> None:
    outcome = follows(row, Said("c", "t", after=7, at=5))
    assert isinstance(outcome, TryLater)
    assert outcome.after == 7
    assert follows(GONE, Said("c", "t", after=7)) == Refused("c", "t", why=Why.GONE)


def test_words_say_what_a_code_is_about() -> None:
    clues = (("sign", "key"), ("time", "clock"))
    assert [closer("1", text, clues) for text in ("No SIGN", "Time, sign", "?")] == ["1/key", "1/key", "1"]


def test_no_secret_is_shown() -> None:
    shown = Said("no s3cret" + "x" * 100, "s3cret\nis wrong").shown([Secret("s3cret")])
    assert shown == Said("no ***" + "x" * 58, "*** is wrong")

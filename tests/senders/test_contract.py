# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The words that sender kinds share: fields checked by manifest, and a provider's words made fit to be kept."""

from __future__ import annotations

import re

import pytest

from mailroom.core.errors import InvalidValue
from mailroom.core.secrets import Secret
from mailroom.senders.contract import EXCERPT, Field, Manifest, News, Reported, Sent, Shape, Words, excerpt


def field(name: str, *, shape: Shape = Shape.TEXT, required: bool = False, default: str = "") -> Field:
    words = Words(name, name)
    return Field(name=name, shape=shape, title=words, help=words, required=required, default=default)


MANIFEST = Manifest(
    kind="pigeon",
    title=Words("Pigeon", "信鸽"),
    fields=(
        field("loft", required=True),
        field("ring", shape=Shape.SECRET, required=True),
        field("speed", default="fast"),
    ),
    retries=(),
    jitter=0,
    timeout=1,
    concurrency=1,
)
RING = {"ring": Secret("r1")}


def test_all_that_is_required_is_enough() -> None:
    MANIFEST.check({"loft": "north"}, RING)
    assert MANIFEST.value({"loft": "north"}, "speed") == "fast"
    assert MANIFEST.value({"speed": "slow"}, "speed") == "slow"


@pytest.mark.parametrize(
    ("settings", "secrets", "complaint"),
    [
        ({}, RING, "loft: is missing"),
        ({"loft": ""}, RING, "loft: is missing"),
        ({"loft": "north"}, {}, "ring: is missing"),
        ({"loft": "north", "ring": "r1"}, {}, "ring: is a secret, not a setting"),
        ({}, {"loft": Secret("north"), **RING}, "loft: is a setting, not a secret"),
        ({"loft": "north", "wings": "2"}, RING, "wings: there is no such setting"),
        ({"loft": "no\0rth"}, RING, "loft: is too long, or not text"),
        ({"loft": "north"}, {"ring": Secret("\ud800")}, "ring: is too long, or not text"),
        ({"loft": "x" * 20_000}, RING, "loft: is too long, or not text"),
    ],
)
def test_the_first_wrong_field_is_named(settings: dict[str, str], secrets: dict[str, Secret], complaint: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        MANIFEST.check(settings, secrets)
    assert str(refusal.value) == complaint


def test_an_excerpt_is_one_short_line_without_secrets() -> None:
    assert excerpt(" two\r\nlines\x00\x1b[31m\u2028 ") == "two lines [31m"
    assert excerpt("key=abc old=xyz", hide=[Secret("abc xyz"), Secret("")]) == "key=*** old=***"
    written = """of /sms?p=p%40s%2fw&q=p@s%2Fw: {"p":"p@s\\/w","q":"\\"x"}"""
    assert excerpt(written, hide=[Secret('p@s/w "x')]) == """of /sms?p=***&q=***: {"p":"***","q":"***"}"""
    assert excerpt("a.b axb", hide=[Secret("a.b")]) == "*** axb"
    long = excerpt("长" * 10_000)
    assert len(long) == EXCERPT
    assert long.endswith("…")
    assert excerpt("x" * EXCERPT) == "x" * EXCERPT


@pytest.mark.parametrize("provider_id", ["x" * 257, "a\0b", "\ud800", "a\nb"])
def test_an_id_that_no_store_takes_is_one_all_the_same(provider_id: str) -> None:
    sent, said = Sent(provider_id), Reported(provider_id, News.ARRIVED)
    assert sent.provider_id == said.provider_id
    assert re.fullmatch("[0-9a-f]{64}", sent.provider_id)
    assert Sent(provider_id + "x").provider_id != sent.provider_id


def test_a_usual_id_stays_as_it_is() -> None:
    assert (Sent("256271667526^0").provider_id, Sent().provider_id) == ("256271667526^0", "")

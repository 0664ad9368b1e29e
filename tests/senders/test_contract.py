# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The words that sender kinds share: fields checked by manifest, and a provider's words made fit to be kept."""

from __future__ import annotations

import pytest

from mailroom.core.errors import InvalidValue
from mailroom.core.secrets import Secret
from mailroom.senders.contract import EXCERPT, Field, Manifest, Shape, Words, excerpt


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
    ],
)
def test_the_first_wrong_field_is_named(settings: dict[str, str], secrets: dict[str, Secret], complaint: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        MANIFEST.check(settings, secrets)
    assert str(refusal.value) == complaint


def test_an_excerpt_is_one_short_line_without_secrets() -> None:
    assert excerpt(" two\r\nlines\x00\x1b[31m\u2028 ") == "two lines [31m"
    assert excerpt("key=abc old=xyz", hide=[Secret("abc xyz"), Secret("")]) == "key=*** old=***"
    long = excerpt("长" * 10_000)
    assert len(long) == EXCERPT
    assert long.endswith("…")
    assert excerpt("x" * EXCERPT) == "x" * EXCERPT

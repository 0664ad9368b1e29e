# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Rewritten senders: there and back, for three weeks, and only those that we made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.core.clock import DAY
from mailroom.delivery.srs import Srs

SRS = Srs(b"key")
OTHER = Srs(b"another key")
NOW = 1_750_000_000_000


def test_there_and_back() -> None:
    rewritten = SRS.forward("Bob.Li@out.example", domain="corp.example", now=NOW)
    assert rewritten.startswith("SRS0=")
    assert rewritten.endswith("=out.example=Bob.Li@corp.example")
    assert SRS.original(rewritten, now=NOW) == "Bob.Li@out.example"
    # Servers on the way may change the case of letters.
    assert SRS.original(rewritten.lower(), now=NOW) == "bob.li@out.example"
    assert SRS.original(rewritten.upper(), now=NOW) == "BOB.LI@OUT.EXAMPLE"


def test_nobody_stays_nobody() -> None:
    assert SRS.forward("", domain="corp.example", now=NOW) == ""
    assert SRS.forward("nobody", domain="corp.example", now=NOW) == ""


@pytest.mark.parametrize(("days", "stands"), [(0, True), (21, True), (22, False), (1000, False)])
def test_it_runs_out(*, days: int, stands: bool) -> None:
    rewritten = SRS.forward("bob@out.example", domain="corp.example", now=NOW)
    assert (SRS.original(rewritten, now=NOW + days * DAY) is not None) is stands


@pytest.mark.parametrize("sign", ["=", "+", "-"])
def test_what_others_have_rewritten_does_not_grow(sign: str) -> None:
    theirs = f"SRS0{sign}HHH=TT=first.example=bob@second.example"
    third = SRS.forward(theirs, domain="third.example", now=NOW)
    assert third.startswith("SRS1=")
    assert SRS.original(third, now=NOW) == theirs
    # Another forwarder leaves out the one in the middle.
    fourth = OTHER.forward(third, domain="fourth.example", now=NOW)
    assert len(fourth) - len("fourth.example") == len(third) - len("third.example")
    assert OTHER.original(fourth, now=NOW) == theirs


@pytest.mark.parametrize(
    "address",
    [
        "",
        "amy@corp.example",
        "srs0@corp.example",
        "SRS0=@corp.example",
        "SRS0====@corp.example",
        "SRS1=a==b@corp.example",
        "SRS0=AAAAAAAA=BB=out.example=bob@corp.example",
        "SRS0=" + "A" * 5000 + "@corp.example",
    ],
)
def test_what_we_have_not_made_is_nothing(address: str) -> None:
    assert SRS.original(address, now=NOW) is None


def test_nor_is_what_somebody_has_changed() -> None:
    rewritten = SRS.forward("bob@out.example", domain="corp.example", now=NOW)
    assert SRS.original(rewritten.replace("bob", "eve"), now=NOW) is None
    assert OTHER.original(rewritten, now=NOW) is None


def test_an_address_of_one_kind_is_none_of_the_other() -> None:
    # Who writes as SRS1 chooses all that stands behind the first sign: it must not become an SRS0 of his.
    for forged in ("SRS1=X=AB=victim.example=bob@evil.example", "SRS0=+victim.example=bob@AB"):
        rewritten = SRS.forward(forged, domain="corp.example", now=NOW)
        assert rewritten.startswith("SRS1=")
        assert SRS.original(rewritten.replace("SRS1=", "SRS0=", 1), now=NOW) is None


@given(st.text(max_size=80), st.text(max_size=80))
def test_no_text_makes_it_fall_over(sender: str, address: str) -> None:
    rewritten = SRS.forward(sender, domain="corp.example", now=NOW)
    assert SRS.original(address, now=NOW) is None
    if rewritten.startswith("SRS0") and "=" not in sender.rpartition("@")[2]:
        assert SRS.original(rewritten, now=NOW) in {sender, None}

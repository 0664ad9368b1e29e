# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""SMPP's octets: whatever comes is read, or is garbage."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.senders.sms_smpp import pdu
from mailroom.senders.sms_smpp.pdu import Address, Deliver, Garbage, Pdu, Submit, Tag
from mailroom.senders.sms_smpp.receipts import SPELLING, Ledger


@given(st.binary(min_size=pdu.HEAD, max_size=pdu.HEAD))
def test_any_head_is_bounded(octets: bytes) -> None:
    with contextlib.suppress(Garbage):
        length, _ = pdu.read_head(octets)
        assert 0 <= length <= pdu.PDU_MOST


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.binary(max_size=300))
def test_a_pdu_comes_back(command: int, status: int, sequence: int, body: bytes) -> None:
    octets = Pdu(command, status, sequence, body).octets()
    assert pdu.read_head(octets[: pdu.HEAD]) == (len(body), Pdu(command, status, sequence))


@given(st.binary(max_size=300))
def test_any_octets_are_a_delivery_or_garbage(body: bytes) -> None:
    with contextlib.suppress(Garbage):
        receipt = pdu.read_receipt(pdu.read_deliver(body))
        if receipt is not None:
            for spelling in SPELLING:
                Ledger().heard(receipt, spelling)


@given(st.binary(max_size=120), st.sampled_from(sorted(SPELLING)), st.binary(max_size=20))
def test_any_words_are_a_receipt_or_none(text: bytes, spelling: str, option: bytes) -> None:
    options = {Tag.RECEIPTED_MESSAGE_ID.value: option, Tag.MESSAGE_STATE.value: option[:1]}
    receipt = pdu.read_receipt(Deliver(source="861", esm_class=4, text=text, options=options))
    if receipt is not None:
        Ledger().heard(receipt, spelling)


def test_a_submission_by_hand() -> None:
    body = Submit(
        source=Address(text="Corp", ton=5, npi=0),
        target=Address(text="8613900000001"),
        text=b"Hi",
        coding=0,
        options={Tag.SAR_MSG_REF_NUM: b"\0\7"},
    ).body()
    assert body.hex(" ") == (
        "00 05 00 43 6f 72 70 00 01 01 38 36 31 33 39 30 30 30 30 30 30 30 31 00 "
        "00 00 00 00 00 01 00 00 00 02 48 69 02 0c 00 02 00 07"
    )


def delivery(text: str, *, options: bytes = b"", esm_class: int = 4) -> Deliver:
    octets = text.encode("latin-1")
    body = b"\0\1\1861390\0\1\1corp\0" + bytes((esm_class, 0, 0)) + b"\0\0\0\0\0\0" + bytes((len(octets),)) + octets
    return pdu.read_deliver(body + options)


APPENDIX_B = "id:0123456789 sub:001 dlvrd:001 submit date:0902281350 done date:0902281352 stat:{} err:000 text:Hello"


@pytest.mark.parametrize(
    ("text", "id_", "state"),
    [
        (APPENDIX_B.format("DELIVRD"), "0123456789", "DELIVRD"),
        (APPENDIX_B.format("EXPIRED"), "0123456789", "EXPIRED"),
        ("id:a1-b2 stat:delivrd err:", "a1-b2", "DELIVRD"),
        ("Id:7 Sub:1 Stat:REJECTD Err:0x11 Text:id:8 stat:DELIVRD", "7", "REJECTD"),
        ("id:7\0 stat:DELIVRD\0 err:0\x01", "7", "DELIVRD"),
    ],
)
def test_receipts_in_words(text: str, id_: str, state: str) -> None:
    found = pdu.read_receipt(delivery(text))
    assert found is not None
    assert (found.id, found.state, found.source) == (id_, state, "861390")


def test_options_count_more_than_words() -> None:
    options = struct.pack(">HH4s", Tag.RECEIPTED_MESSAGE_ID, 4, b"F00\0") + struct.pack(">HHB", Tag.MESSAGE_STATE, 1, 5)
    found = pdu.read_receipt(delivery("id:1 stat:DELIVRD", options=options))
    assert found is not None
    assert (found.id, found.state) == ("F00", "UNDELIV")


def test_somebodys_words_are_no_receipt() -> None:
    assert not delivery("id:1 stat:DELIVRD", esm_class=0).is_receipt
    assert delivery("id:1 stat:DELIVRD").is_receipt
    assert pdu.read_receipt(delivery("hello")) is None


def test_a_ledger_forgets_the_oldest() -> None:
    ledger = Ledger()
    for at in range(20_000):
        sending = ledger.begin("861", "same")
        ledger.taken(sending, f"x{at}")
        ledger.end(sending)
        ledger.complete(sending, f"x{at}")
    assert len(ledger._parts) == 10_000

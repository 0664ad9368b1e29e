# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""SCRAM-SHA-256: the exchange of RFC 7677 octet for octet, our own client against it, and rubbish."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.directory import scram
from mailroom.directory.scram import Keys, Malformed, Offer, Proof, keys, read_first
from tests.directory.scram_client import ScramClient

SALT = bytes(range(16))
# RFC 7677 §3.
RFC_FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
RFC_NONCE = b"rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
RFC_SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
RFC_PROOF = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")


def rfc_keys() -> Keys:
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", RFC_SALT, 4096)
    stored = hashlib.sha256(scram._hmac(salted, b"Client Key")).digest()
    return Keys(4096, RFC_SALT, stored, scram._hmac(salted, b"Server Key"))


def test_the_rfc_s_example() -> None:
    said = b"n=user,r=rOprNGfwEbeRWgbNEkqO,r=" + RFC_NONCE + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=" + RFC_NONCE
    proof = Proof(said, RFC_PROOF)
    assert proof.signature(rfc_keys()) == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    assert Proof(said + b"x", RFC_PROOF).signature(rfc_keys()) is None


def test_keys_are_kept_as_one_line_of_text() -> None:
    kept = keys("pencil", SALT)
    assert Keys.parse(str(kept)) == kept
    assert str(kept).count("$") == 3
    assert " " not in str(kept)


@pytest.mark.parametrize("header", ["n,,", "y,,", "n,a=amy,"])
def test_client_and_server_agree(header: str) -> None:
    client = ScramClient("a=m,y", "pencil", header=header)
    offer = Offer(read_first(client.first()), b"ours", SALT)
    assert offer.first.name == "a=m,y"
    final = client.final(offer.message)
    signature = offer.read_final(final).signature(keys("pencil", SALT))
    assert signature is not None
    assert client.is_server(signature)
    assert offer.read_final(final).signature(keys("Pencil", SALT)) is None


def test_what_is_typed_in_two_ways_is_one_password() -> None:
    assert keys("pass\u00a0w\u00adörd", SALT) == keys("pass wo\u0308rd", SALT)  # RFC 4013 §2


@pytest.mark.parametrize("password", ["", "a\0", "a\nb", "\x7f", "\ud800"])
def test_what_scram_cannot_carry_is_refused(password: str) -> None:
    with pytest.raises(Malformed):
        keys(password, SALT)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n,,n=amy",
        b"n,,n=,r=x",
        b"n,,n=amy,r=",
        b"p=tls-unique,,n=amy,r=x",  # channel binding is not offered
        b"x,,n=amy,r=x",
        b"n,,m=ext,n=amy,r=x",  # RFC 5802 §5.1: not understood, hence refused
        b"n,,n=a=b,r=x",
        b"n,,n=a=,r=x",
        b"n,,n=a\xff,r=x",
        b"n,,n=a\0b,r=x",
        b"n,,n=amy,r=a b",
        b"n,,n=amy,r=\x7f",
        b"n,,n=" + b"a" * 2000 + b",r=x",
        b"n,,n=amy,r=" + b"x" * 600,
    ],
)
def test_a_first_message_of_the_wrong_form_is_refused(message: bytes) -> None:
    with pytest.raises(Malformed):
        read_first(message)


@pytest.mark.parametrize(
    "final",
    [
        b"",
        b"c=biws,r=theirsours",
        b"c=biws,r=theirsother,p=" + b"A" * 43 + b"=",
        b"c=biws,r=theirs,p=" + b"A" * 43 + b"=",
        b"c=eSws,r=theirsours,p=" + b"A" * 43 + b"=",  # another header than before
        b"c=b,r=theirsours,p=" + b"A" * 43 + b"=",
        b"c=biws,r=theirsours,p=" + b"A" * 44,
        b"c=biws,r=theirsours,p=AAAA",
        b"r=theirsours,c=biws,p=" + b"A" * 43 + b"=",
    ],
)
def test_a_final_message_that_is_no_answer_to_the_offer_is_refused(final: bytes) -> None:
    offer = Offer(read_first(b"n,,n=amy,r=theirs"), b"ours", SALT)
    with pytest.raises(Malformed):
        offer.read_final(final)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_octets_are_a_message_or_malformed(first: bytes, final: bytes) -> None:
    try:
        offer = Offer(read_first(b"n,,n=" + first), b"ours", SALT)
        assert offer.read_final(b"c=biws,r=" + final).signature(Keys(1, b"", bytes(32), bytes(32))) is None
    except Malformed:
        pass

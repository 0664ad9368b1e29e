# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""How octets are said, and which refusal has which response code."""

from __future__ import annotations

import pytest

from mailroom.core import errors
from mailroom.core.errors import Kind, Refusal
from mailroom.mailboxes.model import Flag
from mailroom.protocols.imap import replies


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_row(kind: Kind) -> None:
    row = replies.for_kind(kind)
    assert row.startswith(b"[")
    assert b"] " in row


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (errors.NotFound(what="folder", name="x"), b"[NONEXISTENT]"),
        (errors.NameTaken(what="folder", name="x"), b"[ALREADYEXISTS]"),
        (errors.InUse(what="folder", name="x", by="y"), b"[CANNOT]"),
        (errors.OverQuota(), b"[OVERQUOTA]"),
        (errors.TooLarge(what="mail", limit=1), b"[TOOBIG]"),
        (errors.WrongCredentials(), b"[AUTHENTICATIONFAILED]"),
        (errors.LoginBlocked(), b"[AUTHORIZATIONFAILED]"),
        (errors.AccountDisabled(address="a@b.example"), b"[CONTACTADMIN]"),
        (errors.TooManyAttempts(seconds=9), b"[LIMIT]"),
        (errors.MailboxDisabled(address="a@x"), b"[CONTACTADMIN]"),
        (errors.SenderNotAllowed(address="a@x"), b"[NOPERM]"),
        (errors.InvalidValue(name="x", reason="y"), b"[CANNOT]"),
        (errors.NoSpace(), b"[UNAVAILABLE]"),
        (errors.Unavailable(what="store"), b"[UNAVAILABLE]"),
    ],
)
def test_a_refusal_has_the_code_that_clients_know(refusal: Refusal, code: bytes) -> None:
    assert replies.for_refusal(refusal).startswith(code + b" ")


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (b"", b'""'),
        (b'a "b" \\c', b'"a \\"b\\" \\\\c"'),
        (b"a\r\nb", b"{4}\r\na\r\nb"),
        (b"\xe6\x8a\xa5", b"{3}\r\n\xe6\x8a\xa5"),
        (b"x" * 1001, b"{1001}\r\n" + b"x" * 1001),
        (None, b"NIL"),
    ],
)
def test_a_string_is_quoted_where_that_can_be(octets: bytes | None, said: bytes) -> None:
    assert replies.nstring(octets) == said


def test_utf8_goes_between_quotes_for_those_who_know_it() -> None:
    assert replies.string("报".encode(), utf8=True) == '"报"'.encode()
    assert replies.mailbox("报价", utf8=True) == '"报价"'.encode()
    assert replies.mailbox("报价") == b"&YqVO9w-"
    assert replies.mailbox("R&D x") == b'"R&-D x"'


@pytest.mark.parametrize(
    ("octets", "said"), [(b"INBOX", b"INBOX"), (b"nil", b'"nil"'), (b"a]", b'"a]"'), (b"a*", b'"a*"')]
)
def test_an_atom_is_one_for_every_client(octets: bytes, said: bytes) -> None:
    assert replies.astring(octets) == said


def test_octets_of_any_kind_are_a_literal8() -> None:
    assert replies.literal8(b"\0\r\n") == b"~{3}\r\n\0\r\n"


@pytest.mark.parametrize(
    ("bits", "keywords", "said"),
    [
        (0, "", b"()"),
        (Flag.SEEN | Flag.ANSWERED, "", b"(\\Answered \\Seen)"),
        (0, " $forwarded work ", b"($Forwarded work)"),
        (Flag.DRAFT, " work ", b"(\\Draft work)"),
    ],
)
def test_flags_are_said_as_the_folder_spells_them(bits: int, keywords: str, said: bytes) -> None:
    assert replies.flags(bits, keywords, {"$forwarded": "$Forwarded"}) == said


@pytest.mark.parametrize(
    ("when", "said"),
    [
        (837_596_665_999, b'"17-Jul-1996 09:44:25 +0000"'),
        (1_580_522_400_000, b'" 1-Feb-2020 02:00:00 +0000"'),
        (-1, b'"31-Dec-1969 23:59:59 +0000"'),
    ],
)
def test_a_date_is_said_in_utc(when: int, said: bytes) -> None:
    assert replies.date_time(when) == said


def test_a_large_set_is_short() -> None:
    assert replies.numbers(range(1, 100_001)) == b"1:100000"
    assert replies.numbers([1, 3, 4, 5, 9]) == b"1,3:5,9"

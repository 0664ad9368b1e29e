# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Where commands, literals and mails begin and end, and what becomes of those that are too large."""

from __future__ import annotations

import pytest

from mailroom.core.secrets import Secret
from mailroom.mailboxes.model import NO_FLAGS, Flag, Marks
from mailroom.protocols.imap.grammar import values
from mailroom.protocols.imap.grammar.reader import (
    GoOn,
    Incoming,
    Limits,
    Line,
    Lost,
    Octets,
    Reader,
    Request,
    Wrong,
)
from mailroom.protocols.imap.grammar.values import Append, Draft
from tests.protocols.imap.listen import SMALL, listen

NOTHING = Marks(NO_FLAGS)
NOOP = Request(b"z", values.Noop())
LOGIN = Request(b"a", values.Login("amy", Secret("p w")))
TOO_LONG = Wrong(b"a", b"BAD [TOOBIG] the command is too long")
TOO_MUCH = Lost(b"too much of a refused command")


def draft(size: int) -> Draft:
    return Draft(NOTHING, None, size)


def test_pipelined_commands_come_one_by_one() -> None:
    assert listen([b"a NOOP\r\nb NOOP\nz NOOP\r\nx"]) == [
        Request(b"a", values.Noop()),
        Request(b"b", values.Noop()),
        NOOP,
    ]


def test_a_client_that_waits_is_told_to_go_on() -> None:
    assert listen([b"a LOGIN {3}\r\n"]) == [GoOn()]
    assert listen([b"a LOGIN {3}\r\n", b"amy", b" {3}\r\n", b"p w\r\n"]) == [GoOn(), GoOn(), LOGIN]


def test_one_that_does_not_wait_is_not() -> None:
    assert listen([b"a LOGIN {3+}\r\namy {3+}\r\np w\r\nz NOOP\r\n"]) == [LOGIN, NOOP]


def test_empty_lines_are_passed_over() -> None:
    assert listen([b"\r\n\n\r\nz NOOP\r\n\r\n"]) == [NOOP]


def test_but_not_without_end() -> None:
    assert listen([b"\r\n" * 50 + b"z NOOP\r\n"] * 9) == [NOOP] * 9
    assert listen([b"z NOOP\r\n" + b"\r\n" * 200 + b"z NOOP\r\n"]) == [NOOP, Lost(b"nothing but empty lines")]


def test_what_is_no_command_is_answered_and_the_next_is_heard() -> None:
    heard = listen([b"a XYZZY\r\n(\r\nz NOOP\r\n"])
    assert heard == [Wrong(b"a", b"BAD unknown command"), Wrong(b"*", b"BAD this is no command"), NOOP]
    assert isinstance(heard[0], Wrong)
    assert heard[0].wire == b"a BAD unknown command\r\n"


def test_lines_that_are_expected_are_no_commands() -> None:
    heard = listen([b"a IDLE\r\nDONE\r\nb AUTHENTICATE PLAIN\r\nAGE=\r\nz NOOP\r\n"])
    assert heard == [
        Request(b"a", values.Idle()),
        Line(b"DONE"),
        Request(b"b", values.Authenticate("PLAIN", None)),
        Line(b"AGE="),
        NOOP,
    ]


def test_a_mail_comes_in_pieces_and_is_not_held() -> None:
    reader = Reader(Limits(command=100, skipped=0))
    reader.feed(b'a APPEND inbox (\\Seen $Work) " 1-Feb-2020 10:00:00 +0800" {1000000}\r\n')
    coming = Draft(Marks(Flag.SEEN, frozenset({"$Work"})), 1_580_522_400_000, 1_000_000)
    assert reader.next() == Incoming(b"a", "INBOX", coming, waits=True)
    assert reader.next() is None
    reader.take()
    for piece in range(10):
        reader.feed(b"x" * 100_000)
        assert reader.next() == Octets(b"x" * 100_000, last=piece == 9)
        assert reader.held == 0
    reader.feed(b"\r\n")
    assert reader.next() == Request(b"a", Append("INBOX", (coming,)))
    assert reader.idle


def test_a_mail_waits_for_a_decision_however_much_has_come() -> None:
    reader = Reader(SMALL)
    reader.feed(b"a APPEND x {3+}\r\nabc\r\nz NOOP\r\n")
    assert reader.next() == Incoming(b"a", "x", draft(3), waits=False)
    assert reader.next() is None
    reader.take()
    assert [reader.next() for _ in range(3)] == [
        Octets(b"abc", last=True),
        Request(b"a", Append("x", (draft(3),))),
        NOOP,
    ]


def test_several_mails_may_come_at_once() -> None:
    heard = listen([b"a APPEND {3+}\r\nx y (\\Draft) {2+}\r\nab ~{3+}\r\n\0cd {0+}\r\n\r\nz NOOP\r\n"])
    first = Draft(Marks(Flag.DRAFT), None, 2)
    assert heard == [
        Incoming(b"a", "x y", first, waits=False),
        Octets(b"ab", last=True),
        Incoming(b"a", "x y", draft(3), waits=False),
        Octets(b"\0cd", last=True),
        Incoming(b"a", "x y", draft(0), waits=False),
        Octets(b"", last=True),
        Request(b"a", Append("x y", (first, draft(3), draft(0)))),
        NOOP,
    ]


def test_a_mail_in_utf8_stands_in_parentheses() -> None:
    heard = listen([b"a APPEND x UTF8 (~{2+}\r\nab) {1+}\r\nc\r\nz NOOP\r\n"])
    assert heard[-2:] == [Request(b"a", Append("x", (draft(2), draft(1)))), NOOP]
    assert Wrong(b"a", b"BAD a closing parenthesis expected") in listen([b"a APPEND x UTF8 (~{2+}\r\nab\r\nz NOOP\r\n"])


@pytest.mark.parametrize(
    "behind", [b"x", b" ", b" x", b" (\\Foo) {3+}\r\nabc", b" {3", b" (\\Seen){3+}\r\nabc", b' "x" {3+}\r\nabc']
)
def test_what_follows_a_mail_must_be_another_or_nothing(behind: bytes) -> None:
    heard = listen([b"a APPEND x {2+}\r\nab" + behind + b"\r\nz NOOP\r\n"])
    assert heard[-1] == NOOP
    assert isinstance(heard[-2], Request if behind == b" " else Wrong)


@pytest.mark.parametrize("before", [b"", b"x(\\Seen)", b"x (\\Foo)", b"x (\\Seen", b'x " 1-Feb-2020"', b"x y"])
def test_a_mail_that_is_announced_wrongly_is_passed_over(before: bytes) -> None:
    assert listen([b"a APPEND " + before + b" {4+}\r\nz Q\n\r\nz NOOP\r\n"])[1:] == [NOOP]


@pytest.mark.parametrize(
    "date", [b"32-Jan-2020 10:00:00", b"01-Jan-2020 24:00:00", b"01-Jan-2020 10:60:00", b"1-Xxx-2020 10:00:00"]
)
def test_a_date_that_does_not_exist_is_refused(date: bytes) -> None:
    heard = listen([b'a APPEND x "' + date + b' +0000" {2}\r\n', b"z NOOP\r\n"])
    assert heard == [Wrong(b"a", heard[0].text if isinstance(heard[0], Wrong) else b""), NOOP]


@pytest.mark.parametrize(
    ("date", "when"),
    [
        (b"01-Jan-1970 00:00:00 +0000", 0),
        (b" 1-jan-1970 00:00:00 -0030", 1_800_000),
        (b"1-Jan-1970 00:00:60 +0000", 59_000),
        (b"31-Dec-1969 23:59:59 +0000", -1000),
        (b"17-Jul-1996 02:44:25 -0700", 837_596_665_000),
    ],
)
def test_a_date_is_read_into_utc(date: bytes, when: int) -> None:
    [heard] = listen([b'a APPEND x "' + date + b'" {200}\r\n'])
    assert isinstance(heard, Incoming)
    assert heard.draft.date == when


def test_a_refused_mail_is_passed_over_if_it_comes_all_the_same() -> None:
    # `listen` refuses mails over 100 octets.
    heard = listen([b"a APPEND x {101+}\r\n" + b"x" * 101 + b" {102+}\r\n" + b"y" * 102 + b"\r\nz NOOP\r\n"])
    assert heard == [Incoming(b"a", "x", draft(101), waits=False), NOOP]


def test_one_that_was_not_sent_is_not() -> None:
    assert listen([b"a APPEND x {101}\r\n", b"z NOOP\r\n"]) == [Incoming(b"a", "x", draft(101), waits=True), NOOP]


def test_a_mail_can_be_refused_while_it_comes() -> None:
    reader = Reader(SMALL)
    reader.feed(b"a APPEND x {10+}\r\n12345")
    assert reader.next() == Incoming(b"a", "x", draft(10), waits=False)
    reader.take()
    assert reader.next() == Octets(b"12345", last=False)
    reader.refuse()
    reader.feed(b"67890 {2}\r\n")
    assert reader.next() is None
    reader.feed(b"z NOOP\r\n")
    assert reader.next() == NOOP


def test_a_mail_can_be_refused_when_it_has_come() -> None:
    reader = Reader(SMALL)
    reader.feed(b"a APPEND x {2+}\r\nab")
    reader.next()
    reader.take()
    assert reader.next() == Octets(b"ab", last=True)
    reader.refuse()
    reader.feed(b" {3+}\r\nabc\r\nz NOOP\r\n")
    assert reader.next() == NOOP


def test_nobody_waits_for_the_end_of_an_endless_mail() -> None:
    heard = listen([b"a APPEND x {9223372036854775807+}\r\n", b"z NOOP\r\n"])
    assert heard[1:] == [TOO_MUCH]


def test_a_literal_too_large_is_refused_before_it_comes() -> None:
    assert listen([b"a LOGIN {200}\r\n", b"z NOOP\r\n"]) == [TOO_LONG, NOOP]
    assert listen([b"a LOGIN {200+}\r\n" + b"\n" * 200 + b" {2+}\r\n\r\n\r\nz NOOP\r\n"]) == [TOO_LONG, NOOP]
    assert listen([b"a LOGIN {501+}\r\n", b"x", b"z NOOP\r\n"]) == [TOO_LONG, TOO_MUCH]


def test_literals_count_together() -> None:
    assert listen([b"a LOGIN {90+}\r\n" + b"x" * 90 + b" {90+}\r\n" + b"y" * 90 + b"\r\nz NOOP\r\n"]) == [
        TOO_LONG,
        NOOP,
    ]


def test_a_line_too_long_is_refused_and_the_next_one_heard() -> None:
    assert listen([b"a NOOP " + b"x" * 194 + b"\r\nz NOOP\r\n"]) == [TOO_LONG, NOOP]
    assert listen([b"a NOOP " + b" " * 193 + b"\r\n"]) == [Request(b"a", values.Noop())]
    assert listen([b"a NOOP ", *[b"x"] * 300, b" {3+}\r\na\nb\r\nz NOOP\r\n"]) == [TOO_LONG, NOOP]


def test_an_endless_line_ends_the_connection() -> None:
    assert listen([b"a NOOP " + b"x" * 600]) == [TOO_LONG, TOO_MUCH]
    assert listen([b"x" * 300, *[b"x"] * 600]) == [Wrong(b"*", TOO_LONG.text), TOO_MUCH]
    assert listen([b"a IDLE\r\n", b"x" * 202]) == [Request(b"a", values.Idle()), Lost(b"the line is too long")]


def test_what_came_before_tls_can_be_taken_back() -> None:
    reader = Reader(SMALL)
    reader.feed(b"a STARTTLS\r\nb NOOP\r\n")
    assert reader.next() == Request(b"a", values.StartTls())
    assert (reader.idle, reader.rest(), reader.idle) == (False, b"b NOOP\r\n", True)
    assert reader.next() is None


def test_names_are_utf8_only_once_that_is_enabled() -> None:
    reader = Reader(SMALL)
    reader.feed(b"a DELETE R&-D\r\n" * 2)
    assert reader.next() == Request(b"a", values.Delete("R&D"))
    reader.utf8 = True
    assert reader.next() == Request(b"a", values.Delete("R&-D"))

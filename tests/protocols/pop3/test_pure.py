# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""POP3 without a socket: commands, states, and mails dressed for the wire, cut anywhere."""

from __future__ import annotations

import itertools
import poplib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.core.errors import Kind
from mailroom.core.ids import FolderId
from mailroom.mailboxes.fetch import Snapshot
from mailroom.protocols.pop3 import grammar, replies, session
from mailroom.protocols.pop3.content import Beginning, Dressing
from mailroom.protocols.pop3.grammar import BadCommand
from mailroom.protocols.pop3.session import ERRORS_MOST, Maildrop, Offer, Session, State

OPEN = Offer(("PLAIN", "SCRAM-SHA-256"), passwords=True, tls=True)
SNAPSHOT = Snapshot(FolderId(1), 7, [(1, 120, 11), (2, 200, 12), (9, 300, 19)])


def signed_in() -> Session:
    made = Session(OPEN)
    made.opened(SNAPSHOT)
    return made


def said(action: session.Action) -> bytes:
    match action:
        case session.Say(octets) | session.Close(octets):
            return octets
        case session.Recite(lines):
            return b"".join(lines)
    raise AssertionError(action)


# Commands.


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"USER amy", grammar.User("amy")),
        (b"user  amy ", grammar.User("amy")),
        ("USER é".encode(), grammar.User("é")),
        (b"PASS  a b ", grammar.Pass(" a b ")),
        (b"AUTH", grammar.Auth("")),
        (b"AUTH PLAIN =", grammar.Auth("PLAIN", b"=")),
        (b"LIST", grammar.List(None)),
        (b"LIST 2 ", grammar.List(2)),
        (b"UIDL 10", grammar.Uidl(10)),
        (b"TOP 1 0", grammar.Top(1, 0)),
        (b"RETR 1", grammar.Retr(1)),
        (b"QUIT", grammar.Quit()),
    ],
)
def test_a_line_is_a_command(line: bytes, command: grammar.Command) -> None:
    assert grammar.parse(line) == command


@pytest.mark.parametrize(
    "line",
    [
        *[
            b"",
            b" ",
            b"APOP amy c4c9334bac560ecc979e58001b3e22fb",
            b"USER",
            b"PASS",
            b"PASS ",
            b"USER \xff",
            b"PASS a\0",
        ],
        *[b"AUTH PLAIN = =", b"AUTH \xff", b"LIST 1 2", b"LIST x", b"LIST -1", b"LIST 99999999999", b"RETR", b"TOP 1"],
        *[b"TOP 1 -1", b"DELE 1 1", b"QUIT now", b"RETR\t1", b"UTF8", b"XTND", "RETR ١".encode()],
    ],
)
def test_another_line_is_none(line: bytes) -> None:
    with pytest.raises(BadCommand):
        grammar.parse(line)


@given(st.binary(max_size=60))
def test_any_octets_are_a_command_or_none(line: bytes) -> None:
    try:
        answer = repr(grammar.parse(line)).encode()
    except BadCommand as bad:
        answer = bad.answer
    assert answer


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(grammar.parse(b"PASS secret"))
    assert "secret" not in repr(session.SignIn("amy", "secret"))


# The session.


def test_the_rfc_s_session() -> None:  # RFC 1939 §10, with its two mails
    made = Session(OPEN)
    made.opened(Snapshot(FolderId(1), 1, [(1, 120, 1), (2, 200, 2)]))
    assert said(made.obey(b"STAT")) == b"+OK 2 320\r\n"
    assert said(made.obey(b"LIST")) == b"+OK done\r\n1 120\r\n2 200\r\n.\r\n"
    assert made.obey(b"RETR 1") == session.Send(1, 120)  # type: ignore[arg-type] # ids are numbers
    assert said(made.obey(b"DELE 1")).startswith(b"+OK")
    assert said(made.obey(b"LIST")) == b"+OK done\r\n2 200\r\n.\r\n"
    assert said(made.obey(b"STAT")) == b"+OK 1 200\r\n"
    assert made.obey(b"QUIT") == session.Part([1])  # type: ignore[list-item] # likewise


def test_unique_ids_are_uidvalidity_and_uid() -> None:
    assert said(signed_in().obey(b"UIDL")) == b"+OK done\r\n1 7-1\r\n2 7-2\r\n3 7-9\r\n.\r\n"
    assert said(signed_in().obey(b"UIDL 3")) == b"+OK 3 7-9\r\n"


def test_what_is_deleted_is_not_there_until_it_is_reset() -> None:
    made = signed_in()
    made.obey(b"DELE 2")
    for line in (b"DELE 2", b"RETR 2", b"LIST 2", b"UIDL 2", b"TOP 2 1"):
        assert said(made.obey(line)) == replies.NO_SUCH_MAIL
    assert said(made.obey(b"LIST 3")) == b"+OK 3 300\r\n"  # numbers stay
    made.obey(b"RSET")
    assert said(made.obey(b"STAT")) == b"+OK 3 620\r\n"
    assert made.obey(b"QUIT") == session.Part([])


@pytest.mark.parametrize("number", [b"0", b"4", b"9999999999"])
def test_mails_that_are_not_there(number: bytes) -> None:
    for verb in (b"RETR ", b"DELE ", b"LIST ", b"UIDL "):
        assert said(signed_in().obey(verb + number)) == replies.NO_SUCH_MAIL


ROADS: dict[State, list[bytes]] = {
    State.AUTHORIZATION: [b"USER amy", b"AUTH", b"STLS", b"CAPA", b"QUIT"],
    State.TRANSACTION: [
        *[b"CAPA", b"STAT", b"LIST", b"UIDL", b"RETR 1", b"TOP 1 1", b"DELE 1", b"NOOP", b"RSET", b"QUIT"],
    ],
}


@pytest.mark.parametrize("state", State)
def test_each_command_has_its_state(state: State) -> None:
    for line in itertools.chain(*ROADS.values(), [b"PASS x"]):
        made = Session(OPEN) if state is State.AUTHORIZATION else signed_in()
        action = made.obey(line)
        refused = isinstance(action, session.Say) and action.octets == replies.OUT_OF_ORDER
        assert refused is (line not in ROADS[state])


def test_a_password_needs_a_name_right_before_and_once() -> None:
    made = Session(OPEN)
    assert said(made.obey(b"PASS x")) == replies.OUT_OF_ORDER
    made.obey(b"USER amy")
    assert made.obey(b"PASS x") == session.SignIn("amy", "x")
    assert said(made.obey(b"PASS x")) == replies.OUT_OF_ORDER


def test_no_password_is_asked_for_where_all_could_hear_it() -> None:
    made = Session(Offer(("SCRAM-SHA-256",), passwords=False, tls=True))
    assert said(made.obey(b"USER amy")) == replies.NEEDS_TLS
    assert said(made.obey(b"PASS x")) == replies.OUT_OF_ORDER
    offered = said(made.obey(b"CAPA")).split(b"\r\n")
    assert b"USER" not in offered
    assert b"STLS" in offered
    assert b"SASL SCRAM-SHA-256" in offered


def test_what_was_said_before_tls_is_forgotten() -> None:
    made = Session(OPEN)
    made.obey(b"USER eve")
    made.secured(Offer(OPEN.mechanisms, passwords=True, tls=False))
    assert said(made.obey(b"PASS x")) == replies.OUT_OF_ORDER
    assert said(made.obey(b"STLS")) == replies.OUT_OF_ORDER
    assert b"\r\nSTLS\r\n" not in said(made.obey(b"CAPA"))


def test_capabilities() -> None:
    before, after = said(Session(OPEN).obey(b"CAPA")).split(b"\r\n"), said(signed_in().obey(b"CAPA")).split(b"\r\n")
    both = {b"TOP", b"UIDL", b"RESP-CODES", b"AUTH-RESP-CODE", b"PIPELINING", b"EXPIRE NEVER", b"LOGIN-DELAY 0"}
    assert both < set(before)
    assert both < set(after)
    assert {b"USER", b"STLS", b"SASL PLAIN SCRAM-SHA-256"} < set(before)
    assert said(Session(OPEN).obey(b"AUTH")) == b"+OK mechanisms\r\nPLAIN\r\nSCRAM-SHA-256\r\n.\r\n"


def test_errors_end_it_unless_something_is_right_in_between() -> None:
    made = signed_in()
    for _ in range(3):
        for _ in range(ERRORS_MOST - 1):
            assert isinstance(made.obey(b"RETR 99"), session.Say)
        made.obey(b"NOOP")
    for _ in range(ERRORS_MOST - 1):
        made.obey(b"nonsense")
    assert isinstance(made.obey(b"nonsense"), session.Close)


def test_guessing_names_in_between_does_not_reset_the_count() -> None:
    made = Session(OPEN)
    for _ in range(ERRORS_MOST - 1):
        made.obey(b"USER amy")
        made.obey(b"PASS x")
        made.refused(replies.for_kind(Kind.UNAUTHENTICATED))
    made.obey(b"CAPA")
    assert isinstance(made.refused(b"-ERR\r\n"), session.Close)


@given(st.lists(st.sampled_from([*itertools.chain(*ROADS.values()), b"PASS x", b"DELE 2", b"x", b""])))
def test_any_dialogue_is_answered_line_by_line(lines: list[bytes]) -> None:
    made = signed_in()
    for line in lines:
        action = made.obey(line)
        if isinstance(action, session.Close | session.Part):
            return
        if isinstance(action, session.Say | session.Recite):
            assert said(action)[:4] in {b"+OK ", b"-ERR"}


def test_each_kind_of_refusal_has_an_answer() -> None:
    for kind in Kind:
        assert replies.for_kind(kind).startswith(b"-ERR ")


def test_a_large_drop_is_held_in_little_memory() -> None:
    count = 1000
    drop = Maildrop(Snapshot(FolderId(1), 1, [(uid, 1, uid) for uid in range(1, count + 1)]))
    assert (drop._uids.itemsize + drop._sizes.itemsize + drop._contents.itemsize) <= 24
    assert drop.count() == (count, count)


# Mails on the wire.


def pieces(octets: bytes, cuts: list[int]) -> Iterator[bytes]:
    places = sorted({0, *(cut % (len(octets) + 1) for cut in cuts), len(octets)})
    return (octets[start:end] for start, end in itertools.pairwise(places))


def dressed(octets: bytes, cuts: list[int]) -> bytes:
    dressing = Dressing()
    return b"".join([dressing.feed(piece) for piece in pieces(octets, cuts)]) + dressing.end()


def undressed(octets: bytes) -> bytes:
    """As a client reads it that takes any LF for the end of a line."""
    lines = octets.split(b"\n")
    end = lines.index(b".\r")
    assert lines[end + 1 :] == [b""], "it ends before its end"
    return b"\n".join([line.removeprefix(b".") for line in lines[:end]]) + b"\n" * (end > 0)


MAILS = st.lists(st.sampled_from([b".", b"\r\n", b"\n", b"\r", b"a", b"..", b"\r\n.\r\n", b"\n.\n"])).map(b"".join)


@given(MAILS, st.lists(st.integers(0, 100)))
def test_a_mail_arrives_as_it_is_and_ends_once(mail: bytes, cuts: list[int]) -> None:
    wire = dressed(mail, cuts)
    assert wire == dressed(mail, [])
    expected = mail.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    if expected and not expected.endswith(b"\r\n"):
        expected += b"\r\n"
    assert undressed(wire) == expected


@given(st.integers(0, 6), st.lists(st.integers(0, 100)))
def test_the_beginning_of_a_mail_is_its_header_and_so_many_lines(lines: int, cuts: list[int]) -> None:
    mail = b"A: b\r\n c\r\nD: e\r\n\r\n1\r\n2\r\n\r\n4"
    beginning, taken = Beginning(lines), b""
    for piece in pieces(mail, cuts):
        if not beginning.ended:
            taken += beginning.feed(piece)
    header, _, body = mail.partition(b"\r\n\r\n")
    assert taken == header + b"\r\n\r\n" + b"".join(body.splitlines(keepends=True)[:lines])
    assert beginning.ended is (lines < 4)


def test_a_header_without_a_body_is_all_there_is() -> None:
    assert Beginning(5).feed(b"A: b\r\n") == b"A: b\r\n"


def test_the_line_limit_is_wider_than_the_standard_library_s() -> None:
    assert poplib._MAXLINE < grammar.LINE_MOST  # type: ignore[attr-defined] # its own limit on what we say

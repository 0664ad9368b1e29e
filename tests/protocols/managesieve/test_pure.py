# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""ManageSieve without a socket: tokens, commands, states, and the examples of RFC 5804."""

from __future__ import annotations

import contextlib
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.core.errors import Kind, NotFound, TooManyAttempts, WrongCredentials
from mailroom.protocols.managesieve import grammar, replies, session
from mailroom.protocols.managesieve.grammar import Atom, BadCommand, OnScripts, Token, parse, tokens
from mailroom.protocols.managesieve.session import ERRORS_MOST, Offer, Session

OPEN = Offer(("SCRAM-SHA-256", "PLAIN"), tls=True, sieve=("fileinto", "vacation"))


def command(line: bytes, *literals: bytes) -> grammar.Command:
    """The command in a line; `literals` follow at its end, each but the last with more of the line after it."""
    found, size = tokens(line)
    for octets in literals:
        assert size == len(octets)
        found, size = [*found, octets], None
    assert size is None
    return parse(found)


@pytest.mark.parametrize(
    ("line", "literals", "expected"),
    [
        (b'Authenticate "DIGEST-MD5"', [], grammar.Authenticate("DIGEST-MD5", None)),
        (b'AUTHENTICATE "PLAIN" "QJIrweAPyo6Q1T9xu"', [], grammar.Authenticate("PLAIN", b"QJIrweAPyo6Q1T9xu")),
        (b'AUTHENTICATE "PLAIN" {3+}', [b"QQ="], grammar.Authenticate("PLAIN", b"QQ=")),
        (b"STARTTLS", [], grammar.StartTls()),
        (b"capability", [], grammar.Capability()),
        (b'HAVESPACE "myscript" 999999', [], grammar.HaveSpace("myscript", 999999)),
        (b'Putscript "foo" {5+}', [b"#x\r\ny"], grammar.PutScript("foo", "#x\r\ny")),
        (b'PUTSCRIPT "mysievescript" "keep;"', [], grammar.PutScript("mysievescript", "keep;")),
        (b"CheckScript {0+}", [b""], grammar.CheckScript("")),
        (b"Listscripts", [], grammar.ListScripts()),
        (b'Setactive "vacationscript"', [], grammar.SetActive("vacationscript")),
        (b'Setactive ""', [], grammar.SetActive("")),
        (b'GETSCRIPT "a \\"b\\\\c"', [], grammar.GetScript('a "b\\c')),
        ('DELETESCRIPT "筛选"'.encode(), [], grammar.DeleteScript("筛选")),
        (b'Renamescript "foo" "bar"', [], grammar.RenameScript("foo", "bar")),
        (b"NOOP", [], grammar.Noop(None)),
        (b'NOOP "STARTTLS-SYNC-42"', [], grammar.Noop(b"STARTTLS-SYNC-42")),
        (b"UNAUTHENTICATE", [], grammar.Unauthenticate()),
        (b"LOGOUT", [], grammar.Logout()),
    ],
)
def test_the_rfc_s_commands(line: bytes, literals: list[bytes], expected: grammar.Command) -> None:
    assert command(line, *literals) == expected


@pytest.mark.parametrize(
    "line",
    [
        *[
            b"",
            b" ",
            b'"CAPABILITY"',
            b"FROBNICATE",
            b"LISTSCRIPTS 1",
            b"PUTSCRIPT x y",
            b'PUTSCRIPT "x"',
            b"HAVESPACE",
        ],
        *[
            b'HAVESPACE "x" "1"',
            b'HAVESPACE "x" 99999999999',
            b'GETSCRIPT "x',
            b'GETSCRIPT "\\x"',
            b"NOOP x",
            b"NOOP 1",
        ],
        *[b'GETSCRIPT "\0"', b'GETSCRIPT "\xff"', b"AUTHENTICATE", b"AUTHENTICATE PLAIN", b'GETSCRIPT "x" "y"'],
        *[b"NOOP {1+} x", b'RENAMESCRIPT "a" "b" "c" "d" "e"', b"CAPABILITY\x01", b"GET / HTTP/1.1"],
    ],
)
def test_another_line_is_none(line: bytes) -> None:
    with pytest.raises(BadCommand):
        command(line)


@given(st.lists(st.sampled_from([b'"', b"\\", b"a", b" ", b"{1+}", b"9", b"PUTSCRIPT", b"\xff", b'""'])).map(b"".join))
def test_any_line_is_understood_or_refused(line: bytes) -> None:
    found, size = tokens(line)
    assert (size is not None) is line.endswith(b"{1+}")  # or a literal would be read as commands
    with contextlib.suppress(BadCommand):
        assert isinstance(parse([*found, b"x"] if size is not None else found), grammar.Command)


@given(st.one_of(st.binary(max_size=50), st.text(max_size=50)))
def test_a_string_that_we_say_can_be_read_back(text: bytes | str) -> None:
    octets = text.encode(errors="replace") if isinstance(text, str) else text
    said = replies.string(octets)
    found, size = tokens(said.partition(b"\r\n")[0] if said.startswith(b"{") else said)
    if size is None:
        assert found == [octets]
    else:
        assert said.partition(b"\r\n")[2] == octets


# The session.


def signed_in() -> Session:
    made = Session(OPEN)
    made.signed_in("amy@corp.example")
    return made


def said(action: session.Action) -> bytes:
    assert isinstance(action, session.Say | session.Close)
    return action.octets


def obey(made: Session, line: bytes) -> session.Action:
    return made.obey(tokens(line)[0])


def test_the_greeting_tells_what_there_is() -> None:
    lines = Session(OPEN).greeting.split(b"\r\n")
    assert lines[:4] == [
        b'"IMPLEMENTATION" "Mailroom"',
        b'"SASL" "SCRAM-SHA-256 PLAIN"',
        b'"SIEVE" "fileinto vacation"',
        b'"VERSION" "1.0"',
    ]
    assert b'"STARTTLS"' in lines
    assert lines[-2:] == [b'OK "Mailroom"', b""]


def test_capabilities_change_with_tls_and_with_the_owner() -> None:
    made = Session(OPEN)
    made.secured(Offer(OPEN.mechanisms, tls=False, sieve=OPEN.sieve))
    assert b"STARTTLS" not in made.greeting
    assert said(obey(made, b"STARTTLS")) == replies.OUT_OF_ORDER
    made.signed_in("amy@corp.example")
    assert b'"OWNER" "amy@corp.example"\r\n' in said(obey(made, b"CAPABILITY"))


def test_noop_says_back_what_it_was_given() -> None:  # RFC 5804 §2.13
    made = Session(OPEN)
    assert said(obey(made, b"NOOP")) == b'OK "done"\r\n'
    assert said(obey(made, b'NOOP "STARTTLS-SYNC-42"')) == b'OK (TAG "STARTTLS-SYNC-42") "done"\r\n'


def test_scripts_are_for_their_owner() -> None:
    samples = [
        b'HAVESPACE "x" 1',
        b'PUTSCRIPT "x" "keep;"',
        b'CHECKSCRIPT "keep;"',
        b"LISTSCRIPTS",
        b'SETACTIVE "x"',
        b'GETSCRIPT "x"',
        b'DELETESCRIPT "x"',
        b'RENAMESCRIPT "x" "y"',
    ]
    assert {type(command(line)) for line in samples} == set(get_args(OnScripts))
    for line in samples:
        assert said(obey(Session(OPEN), line)) == replies.OUT_OF_ORDER
        assert obey(signed_in(), line) == session.Carry(command(line))  # type: ignore[arg-type] # as just shown


def test_signing_in_is_for_strangers_and_can_be_undone() -> None:
    made = signed_in()
    for line in (b'AUTHENTICATE "PLAIN"', b"STARTTLS"):
        assert said(obey(made, line)) == replies.OUT_OF_ORDER
    assert said(obey(made, b"UNAUTHENTICATE")).startswith(b"OK")
    assert said(obey(made, b"LISTSCRIPTS")) == replies.OUT_OF_ORDER
    assert obey(made, b'AUTHENTICATE "PLAIN" "x"') == session.Exchange("PLAIN", b"x")


def test_errors_end_it_unless_something_comes_out_well_in_between() -> None:
    made = signed_in()
    for _ in range(3):
        for _ in range(ERRORS_MOST - 1):
            assert isinstance(obey(made, b"nonsense"), session.Say)
        made.done(replies.ok())
    for _ in range(ERRORS_MOST - 1):
        obey(made, b"NOOP")
        made.refused(replies.no("x"))
    assert isinstance(made.refused(replies.no("x")), session.Close)


def test_each_kind_of_refusal_has_a_code() -> None:
    for kind in Kind:
        assert isinstance(replies.code(kind), bytes)
    assert (
        replies.for_refusal(NotFound(what="script", name='a"b')) == b'NO (NONEXISTENT) "There is no script a\\"b."\r\n'
    )
    assert replies.for_refusal(WrongCredentials()).startswith(b'NO "')
    assert replies.for_refusal(TooManyAttempts(seconds=1)).startswith(b"NO (TRYLATER)")


@given(st.lists(st.sampled_from([Atom("PUTSCRIPT"), Atom("NOOP"), Atom("SETACTIVE"), Atom("X"), b"a", b"\xff", 1])))
def test_any_tokens_are_answered(found: list[Token]) -> None:
    assert isinstance(signed_in().obey(found), session.Action)

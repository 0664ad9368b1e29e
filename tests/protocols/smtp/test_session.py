# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The state machine: whatever is said in whatever state and however it is cut, nothing breaks and nothing is promised
that was not kept.
"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.core.errors import NoSpace, OverQuota, Refusal
from mailroom.protocols.smtp import grammar, session
from mailroom.protocols.smtp.replies import CLOSING
from mailroom.protocols.smtp.session import Dialect, Session, State
from tests.protocols.smtp.drive import ROADS, WORDS, Driven, play, promises

SPEECH = st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=8)), max_size=20)


@given(st.sampled_from(sorted(ROADS)), SPEECH, st.sampled_from(Dialect))
def test_no_octets_break_it_and_no_promise_is_empty(road: str, speech: list[bytes], dialect: Dialect) -> None:
    beginning = ROADS[road].replace(b"EHLO", b"EHLO" if dialect is Dialect.SMTP else b"LHLO")
    driven = play([beginning, *speech], lambda: Driven(dialect))
    recipients = sum(len(addresses) for _, addresses, _ in driven.taken)
    assert promises(driven) == (len(driven.taken) if dialect is Dialect.SMTP else recipients)
    for _, _, content in driven.taken:
        rest = content.replace(b"\r\n", b"")
        assert b"\r" not in rest
        assert b"\n" not in rest


@given(SPEECH, st.sampled_from([OverQuota(), NoSpace()]))
def test_a_mail_that_is_not_taken_is_never_promised(speech: list[bytes], refusal: Refusal) -> None:
    driven = play([ROADS["data"], *speech], lambda: Driven(no=refusal))
    assert promises(driven) == 0


@given(st.sampled_from(sorted(set(ROADS) - {"secured"})), SPEECH, st.lists(st.integers(0, 3000), max_size=10))
def test_the_answers_do_not_depend_on_how_the_octets_come(road: str, speech: list[bytes], cuts: list[int]) -> None:
    # STARTTLS is apart: there the octets in one packet are dropped on purpose.
    whole = (ROADS[road] + b"".join(speech)).replace(b"STARTTLS", b"NOOP")
    marks = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    cut = play([whole[a:b] for a, b in itertools.pairwise(marks)])
    at_once = play([whole])
    assert (cut.said, cut.taken, cut.closed) == (at_once.said, at_once.taken, at_once.closed)


def test_nor_does_the_answer_to_a_mail_that_is_bad_and_far_too_large() -> None:
    pieces = [ROADS["bad data"], b"x" * 2100]
    assert play(pieces).said == play([b"".join(pieces)]).said


@pytest.mark.parametrize("state", State)
def test_the_table_has_a_way_to_go_on_from_every_state(state: State) -> None:
    commands = {command for at, command in Session.NEXT if at is state}
    assert {grammar.Hello, grammar.Reset, grammar.Quit, grammar.NoOp, grammar.Bdat} <= commands


def test_a_spool_that_fails_is_told_of_at_the_end() -> None:
    driven = play([ROADS["data"]], lambda: Driven(spool_failure=NoSpace()))
    assert driven.hear(b"a\r\n") == b""
    assert driven.hear(b"b\r\n.\r\nNOOP\r\n").startswith(b"452 4.3.1 no space left, try later\r\n250 2.0.0")
    assert not driven.taken


@pytest.mark.parametrize("road", ["fresh", "greeted"])
def test_between_two_mails_it_leaves_at_once(road: str) -> None:
    driven = play([ROADS[road]])
    driven.session.leave()
    assert driven.hear(b"NOOP\r\n") == CLOSING.wire
    assert driven.closed


def test_within_a_mail_it_leaves_after_it() -> None:
    driven = play([ROADS["data"]])
    driven.session.leave()
    assert driven.hear(b"a\r\n.\r\nMAIL FROM:<a@y>\r\n").endswith(b"accepted as id\r\n" + CLOSING.wire)
    assert driven.closed


def test_an_answer_to_nothing_is_a_bug_of_ours() -> None:
    with pytest.raises(TypeError):
        Driven().session.accepted("id")


def test_errors_are_paid_with_time_and_the_last_with_the_line() -> None:
    talk = Session(session.Terms(hostname="mx.x", mail_size=1, recipients=1, errors_free=1, errors_most=4, penalty=2))
    talk.receive(b"WIZ\r\n" * 9)
    waits = []
    while (action := talk.next()) is not None:
        if isinstance(action, session.Wait):
            waits.append(action.seconds)
    assert waits == [2, 4, 6]


@pytest.mark.parametrize(
    ("hello", "parameters", "protocol"),
    [
        (b"HELO", b"", "SMTP"),
        (b"EHLO", b"", "ESMTP"),
        (b"EHLO", b" SMTPUTF8", "UTF8SMTP"),
        (b"LHLO", b"", "LMTP"),
        (b"LHLO", b" SMTPUTF8", "UTF8LMTP"),
    ],
)
@pytest.mark.parametrize("secure", ["", "S"])
def test_the_protocols_name_is_right(hello: bytes, parameters: bytes, protocol: str, secure: str) -> None:
    lmtp = hello == b"LHLO"
    driven = Driven(Dialect.LMTP if lmtp else Dialect.SMTP)
    if secure:
        driven.hear(b"STARTTLS\r\n")
    driven.hear(hello + b" c\r\nMAIL FROM:<a@y>" + parameters + b"\r\nRCPT TO:<b@x>\r\n")
    driven.session.receive(b"DATA\r\n")
    begin = driven.session.next()
    assert isinstance(begin, session.Begin)
    # RFC 3848 has no name for HELO within TLS.
    assert begin.hop.protocol == ("ESMTPS" if secure and protocol == "SMTP" else protocol + secure)

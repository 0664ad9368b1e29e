# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The state machine: whatever is said in whatever state and however it is cut, nothing breaks and nothing is promised
that was not kept.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.core.errors import NoSpace, OverQuota, Refusal
from mailroom.protocols.smtp import actions, grammar, session
from mailroom.protocols.smtp.replies import CLOSING
from mailroom.protocols.smtp.session import Dialect, Session, State
from tests.protocols.smtp.drive import (
    GOOD,
    MEMBER_ROADS,
    MEMBER_WORDS,
    MORE,
    ODD,
    ROADS,
    WORDS,
    Driven,
    for_members,
    play,
    promises,
)

MEMBER_SPEECH = st.lists(st.one_of(st.sampled_from(MEMBER_WORDS + WORDS), st.binary(max_size=8)), max_size=20)
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


@given(st.sampled_from(sorted(MEMBER_ROADS)), MEMBER_SPEECH)
def test_nor_does_it_where_members_sign_in_and_strangers_send_nothing(road: str, speech: list[bytes]) -> None:
    driven = play([MEMBER_ROADS[road], *speech], for_members)
    assert promises(driven) == len(driven.taken)


@given(st.sampled_from(sorted(MEMBER_ROADS)), MEMBER_SPEECH, st.lists(st.integers(0, 3000), max_size=10))
def test_signing_in_does_not_depend_on_how_the_octets_come(road: str, speech: list[bytes], cuts: list[int]) -> None:
    whole = (MEMBER_ROADS[road] + b"".join(speech)).replace(b"STARTTLS", b"NOOP")
    marks = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    cut = play([whole[a:b] for a, b in itertools.pairwise(marks)], for_members)
    at_once = play([whole], for_members)
    assert (cut.said, cut.taken, cut.closed) == (at_once.said, at_once.taken, at_once.closed)


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


def test_a_member_is_received_by_a_name_that_says_so() -> None:
    driven = play([MEMBER_ROADS["signed in"], b"MAIL FROM:<a@y>\r\nRCPT TO:<b@x>\r\n"], for_members)
    driven.session.receive(b"DATA\r\n")
    begin = driven.session.next()
    assert isinstance(begin, actions.Begin)
    assert begin.hop.protocol == "ESMTPA"


SIGN_INS = {
    "RFC 4954 4: at once": ([b"AUTH PLAIN " + GOOD], ["235 2.7.0"]),
    "RFC 4954 4: challenged": ([b"AUTH PLAIN", GOOD], ["334 Pw==", "235 2.7.0"]),
    "RFC 4954 4: twice": ([b"auth login", MORE, GOOD], ["334 Pw==", "334 IQ==", "235 2.7.0"]),
    "RFC 4954 4: an empty response": ([b"AUTH PLAIN ="], ["535 5.7.8"]),
    "RFC 4954 4: cancelled": ([b"AUTH PLAIN", b"*", b"NOOP"], ["334 Pw==", "501 5.7.0", "250 2.0.0"]),
    "RFC 4954 4: no second time": ([b"AUTH PLAIN " + GOOD, b"AUTH PLAIN " + GOOD], ["235 2.7.0", "503 5.5.1"]),
    "RFC 4954 4: not within a mail": (
        [b"AUTH PLAIN " + GOOD, b"MAIL FROM:<a@y>", b"AUTH PLAIN"],
        ["235 2.7.0", "250 2.1.0", "503 5.5.1"],
    ),
    "RFC 4954 4: not base64": ([b"AUTH PLAIN %%"], ["501 5.5.2"]),
    "RFC 4954 4: nor this": ([b"AUTH PLAIN", b"%%"], ["334 Pw==", "501 5.5.2"]),
    "RFC 4954 4: a star is no initial response": ([b"AUTH PLAIN *"], ["501 5.5.2"]),
    "RFC 4954 4: not what the mechanism wants": ([b"AUTH PLAIN " + ODD], ["501 5.5.2"]),
    "RFC 4954 4: unknown": ([b"AUTH CRAM-MD5"], ["504 5.5.4"]),
    "RFC 4954 4: no mechanism": ([b"AUTH"], ["501 5.5.4"]),
    "RFC 4954 4: a line as long as allowed": ([b"AUTH PLAIN", b"A" * 12_288], ["334 Pw==", "535 5.7.8"]),
    "RFC 4954 4: and a longer one": ([b"AUTH PLAIN", b"A" * 12_292, b"NOOP"], ["334 Pw==", "500 5.5.6", "250 2.0.0"]),
    "RFC 4954 4: a response is no command": ([b"AUTH PLAIN", b"QUIT", b"NOOP"], ["334 Pw==", "535 5.7.8", "250 2.0.0"]),
    "RFC 4954 5: AUTH of MAIL is read over": (
        [b"AUTH PLAIN " + GOOD, b"MAIL FROM:<a@y> AUTH=e+3Dmc2@x"],
        ["235 2.7.0", "250 2.1.0"],
    ),
    "RFC 6409 4.3: nothing before": ([b"MAIL FROM:<a@y>", b"RCPT TO:<b@x>"], ["530 5.7.0", "503 5.5.1"]),
    "RFC 6409 6.1: not as anybody": (
        [b"AUTH PLAIN " + GOOD, b"MAIL FROM:<nobody@y>", b"MAIL FROM:<a@y>"],
        ["235 2.7.0", "550 5.7.1", "250 2.1.0"],
    ),
    "RFC 3207 4.2: TLS begins anew": (
        [b"AUTH PLAIN " + GOOD, b"STARTTLS", b"EHLO c", b"MAIL FROM:<a@y>"],
        ["235 2.7.0", "220 2.0.0", "250 CHUNK", "530 5.7.0"],
    ),
}


@pytest.mark.parametrize("title", SIGN_INS)
def test_signing_in(title: str) -> None:
    lines, codes = SIGN_INS[title]
    driven = play([b"EHLO c\r\n"], for_members)
    assert b"250-AUTH PLAIN LOGIN\r\n" in driven.said
    before = len(driven.codes())
    for line in lines:
        driven.hear(line + b"\r\n")
    assert driven.codes()[before:] == codes


def test_all_of_it_may_be_said_ahead() -> None:
    mail = b"MAIL FROM:<a@y>\r\nRCPT TO:<b@x>\r\nDATA\r\na\r\n.\r\n"
    driven = play([b"EHLO c\r\nAUTH LOGIN\r\n" + MORE + b"\r\n" + GOOD + b"\r\n" + mail], for_members)
    assert driven.taken == [("a@y", ("b@x",), b"a\r\n")]


def test_what_was_to_be_said_ahead_is_no_command_after_a_refusal() -> None:
    driven = play([b"EHLO c\r\nAUTH WIZ\r\n" + GOOD + b"\r\n"], for_members)
    assert driven.codes()[-2:] == ["504 5.5.4", "500 5.5.1"]


def test_who_guesses_too_often_is_sent_away() -> None:
    driven = play([b"EHLO c\r\n", *[b"AUTH PLAIN YmFk\r\n"] * 9], for_members)
    assert driven.codes()[-6:] == [*["535 5.7.8"] * 5, "421 4.7.0"]
    assert driven.closed


def test_nobody_signs_in_where_strangers_bring_mail() -> None:
    driven = play([ROADS["greeted"], b"AUTH PLAIN " + GOOD + b"\r\n"])
    assert b"AUTH" not in driven.said
    assert driven.codes()[-1] == "502 5.5.1"


def test_outside_tls_no_password_is_looked_at() -> None:
    driven = play([ROADS["greeted"]], lambda: Driven(mechanisms=lambda secure: ["PLAIN"] if secure else []))
    assert b"AUTH" not in driven.said
    driven.hear(b"AUTH PLAIN " + GOOD + b"\r\n")
    assert driven.codes()[-1] == "538 5.7.1"  # 5.7.11
    driven.hear(b"STARTTLS\r\n")
    driven.hear(b"EHLO c\r\n")
    assert b"AUTH PLAIN" in driven.said
    driven.hear(b"AUTH PLAIN " + GOOD + b"\r\n")
    assert driven.codes()[-1] == "235 2.7.0"


def test_a_password_does_not_get_into_what_is_logged() -> None:
    line = grammar.parse(b"AUTH PLAIN c2VjcmV0")
    shown = repr((line, actions.Authenticate("PLAIN", b"secret"), actions.Respond(b"secret")))
    assert "secret" not in shown
    assert "c2VjcmV0" not in shown


def test_an_old_address_book_is_no_offence_of_a_members() -> None:
    driven = play([MEMBER_ROADS["signed in, sender"]], lambda: replace(for_members(), errors_most=4, recipients=50))
    driven.hear(b"RCPT TO:<nobody@x>\r\n" * 50)
    assert not driven.closed
    driven.hear(b"RCPT TO:<nobody@x>\r\n" * 4)
    assert driven.closed


def test_what_a_recipient_is_to_be_told_goes_with_the_mail() -> None:
    driven = play(
        [
            b"EHLO c\r\nMAIL FROM:<a@y> RET=HDRS ENVID=q1 SMTPUTF8\r\n",
            b"RCPT TO:<b@x> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;B@x\r\nRCPT TO:<c@x>\r\nDATA\r\na\r\n.\r\n",
        ]
    )
    [envelope] = driven.envelopes
    assert (envelope.ret, envelope.envid, envelope.utf8) == ("HDRS", "q1", True)
    first, second = envelope.destinations
    assert (first.notify, first.orcpt) == (frozenset({"SUCCESS", "DELAY"}), "rfc822;B@x")
    assert (second.notify, second.orcpt) == (frozenset(), "")


def test_an_answer_to_nothing_is_a_bug_of_ours() -> None:
    with pytest.raises(TypeError):
        Driven().session.accepted("id")


def test_errors_are_paid_with_time_and_the_last_with_the_line() -> None:
    talk = Session(session.Terms(hostname="mx.x", mail_size=1, recipients=1, errors_free=1, errors_most=4, penalty=2))
    talk.receive(b"WIZ\r\n" * 9)
    waits = []
    while (action := talk.next()) is not None:
        if isinstance(action, actions.Wait):
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
    assert isinstance(begin, actions.Begin)
    # RFC 3848 has no name for HELO within TLS.
    assert begin.hop.protocol == ("ESMTPS" if secure and protocol == "SMTP" else protocol + secure)

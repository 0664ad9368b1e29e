# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""One SMTP or LMTP conversation as a state machine. Pure: no socket, no clock, no await.

Give it what the client sent (`receive`) and do what it says (`next`) until it says nothing. Some actions are
questions: they wait for one answer (`found`, `accepted`, `refused` ...), and until it is given `next` is silent. So a
client may send commands ahead (RFC 2920) and each is still answered in its turn.

Where members hand in their mail (RFC 6409) nobody sends before he has signed in (RFC 4954).

`Session.NEXT` is the whole protocol: which command does what in which state; a pair that is not in it is out of order.
"""

from __future__ import annotations

import base64
import enum
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from mailroom.core.errors import Refusal
from mailroom.delivery.posting import Addressee, Envelope
from mailroom.protocols import sasl
from mailroom.protocols.smtp import grammar, replies
from mailroom.protocols.smtp.actions import (
    Accept,
    AcceptEach,
    Action,
    Authenticate,
    Begin,
    Close,
    Drop,
    Find,
    Keep,
    Question,
    Respond,
    Say,
    Secure,
    SendAs,
    Wait,
)
from mailroom.protocols.smtp.content import Counted, Dotted
from mailroom.protocols.smtp.grammar import AUTH_LINE_MOST, LINE_MOST, BadCommand
from mailroom.protocols.smtp.replies import Answer
from mailroom.protocols.smtp.trace import Hop


class Dialect(enum.Enum):
    """Which of the two languages; the value is its name in a Received field (RFC 3848)."""

    SMTP = "ESMTP"
    LMTP = "LMTP"


class State(enum.Enum):
    """How far the client has come."""

    FRESH = enum.auto()  # it has not said who it is
    GREETED = enum.auto()
    SIGNING_IN = enum.auto()  # AUTH is under way: lines are responses
    SENDER = enum.auto()  # MAIL has been taken
    RECIPIENTS = enum.auto()  # and at least one RCPT
    CHUNKS = enum.auto()  # and at least one BDAT, but not the last


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What this server offers, and how much it bears. Errors and chatter are forgiven when a mail is accepted."""

    hostname: str
    mail_size: int
    recipients: int
    dialect: Dialect = Dialect.SMTP
    offers_tls: bool = False
    errors_free: int = 3  # refused commands before answers come slower
    errors_most: int = 20  # and before we hang up
    penalty: float = 1.0  # seconds that each further error adds
    penalty_most: float = 10.0
    chatter_most: int = 100  # commands that bring no mail nearer before we hang up
    tries_most: int = 5  # to sign in before we hang up


# What a client may sign in with, by whether it is in TLS.
Mechanisms = Callable[[bool], Sequence[str]]


_NO_MAIL: Final = grammar.MailFrom("")
_NO_RECIPIENT: Final = grammar.RcptTo("")
_NOBODY: Final = grammar.Hello("", "")

_BETWEEN_MAILS: Final = (State.FRESH, State.GREETED, State.SIGNING_IN)
_IN_CONTENT: Final = (State.RECIPIENTS, State.CHUNKS)
_CHATTER: Final = (
    *(grammar.Hello, grammar.Auth, grammar.MailFrom, grammar.Reset, grammar.NoOp, grammar.Verify, grammar.Help),
)
_PIECE: Final = 16 * 1024  # octets of content in one action, so that none of them takes long

_Do = Callable[["Session", Any], None]  # Any: the command whose type stands in the key beside it
_Table = dict[tuple[State, type[grammar.Command]], _Do]


def _whenever(command: type[grammar.Command], do: _Do) -> _Table:
    return {(state, command): do for state in State}


class Session:
    """A conversation from its greeting to its end, in TLS from the first octet if it is `secure`. With `mechanisms`
    only who has signed in may send mail; without, nobody signs in.
    """

    def __init__(self, terms: Terms, mechanisms: Mechanisms | None = None, *, secure: bool = False) -> None:
        self._terms: Final = terms
        self._mechanisms: Final = mechanisms
        self._line_most: Final = LINE_MOST if mechanisms is None else AUTH_LINE_MOST
        self._state = State.FRESH
        self._hello = _NOBODY
        self._secure = secure
        self._is_member = False  # he has signed in
        self._tries = 0
        self._mail = _NO_MAIL
        self._recipient = _NO_RECIPIENT  # the one that was asked for
        self._destinations: list[Addressee] = []
        self._buffer = b""
        self._at = 0  # how much of the buffer has been read
        self._overlong = False  # within a line that is too long
        self._content: Dotted | Counted | None = None
        self._bdat: grammar.Bdat | None = None
        self._chunk: Counted | None = None  # the BDAT before
        self._size = 0
        self._fault: Answer | None = None  # why this mail will not be taken
        self._errors = 0
        self._chatter = 0
        self._asked: Question | None = None
        self._closed = False
        self._leaving = False
        self._actions: deque[Action] = deque()
        self._say(Answer(220, "", f"{terms.hostname} {terms.dialect.value} Mailroom"))

    # What the server tells us.

    def receive(self, octets: bytes) -> None:
        """The client has sent these; once `Secure` has been asked, through TLS."""
        if not self._closed:
            self._buffer = self._buffer[self._at :] + octets if self._at < len(self._buffer) else octets
            self._at = 0

    def challenged(self, challenge: bytes) -> None:
        """The client has to answer this before it is signed in."""
        self._settle(Authenticate, Respond)
        self._state = State.SIGNING_IN
        self._say(Answer(334, "", base64.b64encode(challenge).decode()))

    def signed_in(self) -> None:
        """We know who the client is. RFC 4954 §4: no mail is under way, and no layer begins: nothing is forgotten."""
        self._settle(Authenticate, Respond)
        self._state = State.GREETED
        self._is_member = True
        self._say(replies.SIGNED_IN)
        self._part_if_leaving()

    def misunderstood(self) -> None:
        """What the client said is not what its mechanism wants."""
        self._settle(Authenticate, Respond)
        self._fail_to_sign_in(replies.NOT_BASE64)

    def allowed(self) -> None:
        """The client may send as the address that was asked for."""
        self._settle(SendAs)
        self._begin_mail()

    def found(self, destination: Addressee) -> None:
        """The recipient that was asked for takes mail."""
        self._settle(Find)
        asked = self._recipient
        self._destinations.append(replace(destination, notify=asked.notify, orcpt=asked.orcpt))
        self._state = State.RECIPIENTS
        self._say(replies.RECIPIENT_OK)

    def accepted(self, trace_id: str) -> None:
        """The mail is durable."""
        self._settle(Accept)
        self._say(_accepted(trace_id))
        self._forgive()
        self._end_mail()

    def accepted_each(self, answers: Mapping[Addressee, Refusal | None], trace_id: str) -> None:
        """The mail is durable for those whose refusal is None."""
        self._settle(AcceptEach)
        for one in self._destinations:  # RFC 2033 §4.2: one reply each, in the order of RCPT
            refusal = answers[one]
            self._say(_accepted(trace_id) if refusal is None else replies.for_refusal(refusal))
        self._forgive()
        self._end_mail()

    def refused(self, refusal: Refusal) -> None:
        """The answer to what was asked is no."""
        question = self._settle(Authenticate, Respond, SendAs, Find, Accept, AcceptEach)
        answer = replies.for_refusal(refusal)
        if isinstance(question, Authenticate | Respond):
            self._fail_to_sign_in(answer)
        elif isinstance(question, SendAs):
            self._refuse(answer)
            self._end_mail()
        elif isinstance(question, Find):
            self._refuse(answer)
        else:
            self._refuse_mail(answer)

    def secured(self) -> None:
        """TLS is up; the client begins anew (RFC 3207 §4.2)."""
        self._settle(Secure)
        self._secure = True
        self._is_member = False
        self._hello = _NOBODY
        self._state = State.FRESH
        self._part_if_leaving()

    def spool_failed(self, refusal: Refusal) -> None:
        """The mail's octets could not be kept. The client hears of it when it has sent them all."""
        self._fault = self._fault or replies.for_refusal(refusal)

    def leave(self) -> None:
        """Say goodbye now, or after the mail under way."""
        self._leaving = True
        self._part_if_leaving()

    def hang_up(self, answer: Answer) -> None:
        """Say this and close, whatever is under way."""
        self._asked = None
        self._actions = deque(action for action in self._actions if isinstance(action, Say))
        self._say(answer)
        self._close()

    # What the server asks us.

    def next(self) -> Action | None:
        """What to do now; None: wait for the client, or for the answer to a question."""
        while not self._actions:
            if self._asked is not None or self._closed or not self._read():
                return None
        return self._actions.popleft()

    @property
    def buffered(self) -> int:
        """Octets that were received and not yet looked at."""
        return len(self._buffer) - self._at

    @property
    def hello(self) -> str:
        """What the client calls itself; "" before it has said so."""
        return self._hello.name

    @property
    def sender(self) -> str:
        """From whom the mail under way is."""
        return self._mail.address

    @property
    def content_size(self) -> int:
        """Octets of the mail's content so far, those of a mail that will be refused too."""
        return self._size

    # Reading.

    def _read(self) -> bool:
        return self._read_command() if self._content is None else self._read_content(self._content)

    def _pass(self, end: int) -> None:
        if end == len(self._buffer):
            self._buffer, self._at = b"", 0
        else:
            self._at = end

    def _read_command(self) -> bool:
        end = self._buffer.find(b"\n", self._at)
        if end < 0:
            if self.buffered > self._line_most:
                self._overlong = True
                # The CR may be one half of the line's end.
                self._at = len(self._buffer) - 1
            return False
        line = self._buffer[self._at : end + 1]
        self._pass(end + 1)
        if self._overlong or len(line) > self._line_most:
            self._overlong = False
            self._refuse_line(replies.LINE_TOO_LONG)
        elif not line.endswith(b"\r\n"):
            self._refuse_line(replies.BAD_LINE)
        elif self._state is State.SIGNING_IN:
            self._respond(line[:-2])
        else:
            self._obey(line[:-2])
        return True

    def _refuse_line(self, answer: Answer) -> None:
        if self._state is State.SIGNING_IN:
            self._fail_to_sign_in(answer)
        else:
            self._refuse(answer)

    def _obey(self, line: bytes) -> None:
        try:
            command = grammar.parse(line)
        except BadCommand as bad:
            self._refuse(bad.answer)
            if bad.lost and not self._closed:
                self._close()
            return
        self._chatter += isinstance(command, _CHATTER)
        do = self.NEXT.get((self._state, type(command)))
        if self._chatter > self._terms.chatter_most:
            self._say(replies.TOO_MUCH_TALK)
            self._close()
        elif do is None:
            self._refuse(replies.OUT_OF_ORDER)
        else:
            do(self, command)

    def _read_content(self, content: Dotted | Counted) -> bool:
        if self._at == len(self._buffer) and not content.ended:
            return False
        end = min(self._at + _PIECE, len(self._buffer))
        octets = content.feed(self._buffer[self._at : end])
        self._pass(end - len(content.rest))
        content.rest = b""
        self._size += len(octets)
        if self._fault is None:
            if self._size > self._terms.mail_size:
                self._fail(replies.TOO_LARGE)
            elif content.bare:
                self._fail(replies.BARE_LINE_END)
            elif octets:
                self._actions.append(Keep(octets))
        if self._size > 2 * self._terms.mail_size:  # it may never come to its end
            self._say(replies.TOO_LARGE)
            self._say(replies.ENDLESS)
            self._close()
        elif content.ended:
            self._content = None
            self._finish_content()
        return True

    def _fail(self, answer: Answer) -> None:
        self._fault = answer
        self._actions.append(Drop(answer))

    # Commands.

    def _greet(self, command: grammar.Hello) -> None:
        lmtp = self._terms.dialect is Dialect.LMTP
        if (command.verb == "LHLO") is not lmtp:  # RFC 2033 §4.1
            self._refuse(replies.UNKNOWN_COMMAND)
            return
        self._hello = command
        self._forget_mail()  # RFC 5321 §4.1.4
        if command.verb == "HELO":
            self._say(Answer(250, "", self._terms.hostname))
        else:
            self._actions.append(Say(self._offer()))

    def _offer(self) -> bytes:
        lines = [
            self._terms.hostname,
            "PIPELINING",
            f"SIZE {self._terms.mail_size}",
            "8BITMIME",
            "SMTPUTF8",
            "ENHANCEDSTATUSCODES",
        ]
        # In LMTP the server in front tells the sender that it has handed the mail on (RFC 3461 §6.2.4).
        if self._terms.dialect is Dialect.SMTP:
            lines.append("DSN")
        if self._terms.offers_tls and not self._secure:
            lines.append("STARTTLS")
        if mechanisms := self._offered_mechanisms():
            lines.append(f"AUTH {' '.join(mechanisms)}")
        return "".join(f"250-{line}\r\n" for line in lines).encode() + b"250 CHUNKING\r\n"

    def _offered_mechanisms(self) -> Sequence[str]:
        if self._mechanisms is None or self._is_member:
            return ()
        return self._mechanisms(self._secure)

    def _authenticate(self, command: grammar.Auth) -> None:
        offered = self._offered_mechanisms()
        if self._is_member:  # RFC 4954 §4
            self._refuse(replies.OUT_OF_ORDER)
        elif self._mechanisms is None:
            self._refuse(replies.NOT_OFFERED)
        elif not offered:
            self._refuse(replies.NEEDS_TLS)
        elif command.mechanism not in offered:
            self._refuse(replies.UNKNOWN_MECHANISM)
        else:
            try:
                self._ask(Authenticate(command.mechanism, sasl.decode_initial(command.initial)))
            except sasl.BadResponse:
                self._fail_to_sign_in(replies.NOT_BASE64)

    def _respond(self, line: bytes) -> None:
        try:
            self._ask(Respond(sasl.decode(line)))
        except sasl.Cancelled:
            self._fail_to_sign_in(replies.CANCELLED)
        except sasl.BadResponse:
            self._fail_to_sign_in(replies.NOT_BASE64)

    def _fail_to_sign_in(self, answer: Answer) -> None:
        self._state = State.GREETED
        self._tries += 1
        self._refuse(answer)
        if self._tries >= self._terms.tries_most and not self._closed:
            self._say(replies.TOO_MANY_TRIES)
            self._close()
        self._part_if_leaving()

    def _sender(self, command: grammar.MailFrom) -> None:
        if self._mechanisms is not None and not self._is_member:
            self._refuse(replies.NEEDS_SIGN_IN)
        elif command.size > self._terms.mail_size:  # RFC 1870 §6.1
            self._refuse(replies.TOO_LARGE)
        else:
            self._mail = command
            if self._is_member:
                self._ask(SendAs(command.address))
            else:
                self._begin_mail()

    def _begin_mail(self) -> None:
        self._state = State.SENDER
        self._say(replies.SENDER_OK)

    def _recipient_named(self, command: grammar.RcptTo) -> None:
        if len(self._destinations) >= self._terms.recipients:
            self._say(replies.TOO_MANY_RECIPIENTS)  # RFC 5321 §4.5.3.1.10: no fault of the client
        elif not self._mail.utf8 and not command.address.isascii():
            self._refuse(replies.NEEDS_UTF8)
        else:
            self._chatter = max(0, self._chatter - 1)  # its MAIL was meant
            self._recipient = command
            self._ask(Find(command.address, self._mail.size, len(self._destinations)))

    def _data(self, _: grammar.Data) -> None:
        self._actions.append(Begin(self._hop()))
        self._content = Dotted()
        self._say(replies.GO_AHEAD)

    def _data_for_nobody(self, _: grammar.Data) -> None:
        self._refuse(replies.NO_RECIPIENTS)

    def _first_chunk(self, command: grammar.Bdat) -> None:
        self._actions.append(Begin(self._hop()))
        self._state = State.CHUNKS
        self._next_chunk(command)

    def _next_chunk(self, command: grammar.Bdat) -> None:
        self._bdat = command
        self._chunk = self._content = Counted(command.size, last=command.last, after=self._chunk)

    def _stray_chunk(self, command: grammar.Bdat) -> None:
        # RFC 3030 §2: its octets come whatever we say; read as commands they would be a door for smugglers.
        self._fault = replies.OUT_OF_ORDER if self._state is not State.SENDER else replies.NO_RECIPIENTS
        self._content = Counted(command.size, last=True)

    def _finish_content(self) -> None:
        chunk, self._bdat = self._bdat, None
        if self._state not in _IN_CONTENT:
            fault, self._fault, self._size = self._fault, None, 0
            self._refuse(fault or replies.OUT_OF_ORDER)
            self._part_if_leaving()
        elif chunk is not None and not chunk.last:
            if self._fault is not None:
                self._refuse(self._fault)
                self._end_mail()
            else:
                self._say(Answer(250, "2.0.0", f"{chunk.size} octets"))
        elif self._fault is not None:
            self._refuse_mail(self._fault)
        else:
            mail = self._mail
            envelope = Envelope(mail.address, tuple(self._destinations), utf8=mail.utf8, ret=mail.ret, envid=mail.envid)
            self._ask(Accept(envelope) if self._terms.dialect is Dialect.SMTP else AcceptEach(envelope))

    def _reset(self, _: grammar.Reset) -> None:
        self._say(replies.OK)
        if self._state is not State.FRESH:
            self._forget_mail()
            self._part_if_leaving()

    def _start_tls(self, _: grammar.StartTls) -> None:
        if not self._terms.offers_tls:
            self._refuse(replies.NOT_OFFERED)
        elif self._secure:
            self._refuse(replies.OUT_OF_ORDER)
        else:
            self._say(replies.READY_FOR_TLS)
            self._buffer, self._at = b"", 0  # RFC 3207 §6: it could have been said by anybody
            self._ask(Secure())

    def _nothing(self, _: grammar.NoOp) -> None:
        self._say(replies.OK)

    def _verify(self, _: grammar.Verify) -> None:
        self._say(replies.NOT_SAID)  # RFC 5321 §7.3: nobody may try out who is here

    def _expand(self, _: grammar.Expand) -> None:
        self._refuse(replies.NOT_OFFERED)

    def _help(self, _: grammar.Help) -> None:
        self._say(replies.HELP)

    def _quit(self, _: grammar.Quit) -> None:
        self._say(replies.BYE)
        self._close()

    def _foreign(self, _: grammar.Foreign) -> None:
        self._say(replies.NOT_SMTP)
        self._close()

    NEXT: ClassVar[_Table] = {
        **_whenever(grammar.Hello, _greet),
        **_whenever(grammar.NoOp, _nothing),
        **_whenever(grammar.Verify, _verify),
        **_whenever(grammar.Expand, _expand),
        **_whenever(grammar.Help, _help),
        **_whenever(grammar.Reset, _reset),
        **_whenever(grammar.Quit, _quit),
        **_whenever(grammar.Foreign, _foreign),
        **_whenever(grammar.Bdat, _stray_chunk),
        (State.FRESH, grammar.StartTls): _start_tls,
        (State.GREETED, grammar.StartTls): _start_tls,
        (State.GREETED, grammar.Auth): _authenticate,
        (State.GREETED, grammar.MailFrom): _sender,
        (State.SENDER, grammar.RcptTo): _recipient_named,
        (State.SENDER, grammar.Data): _data_for_nobody,
        (State.RECIPIENTS, grammar.RcptTo): _recipient_named,
        (State.RECIPIENTS, grammar.Data): _data,
        (State.RECIPIENTS, grammar.Bdat): _first_chunk,
        (State.CHUNKS, grammar.Bdat): _next_chunk,
    }

    # What they share.

    def _say(self, answer: Answer) -> None:
        self._actions.append(Say(answer.wire))

    def _ask(self, question: Question) -> None:
        self._asked = question
        self._actions.append(question)

    def _settle(self, *kinds: type[Question]) -> Question:
        question, self._asked = self._asked, None
        if not isinstance(question, kinds):
            raise TypeError(f"asked was {question}")
        return question

    def _refuse(self, answer: Answer, *, times: int = 1) -> None:
        lasting = answer.code >= 500  # what is only temporary is no fault of the client
        self._errors += lasting
        borne = self._terms.recipients if self._is_member else 0  # his address book may be old
        over = self._errors - borne - self._terms.errors_free
        if lasting and over > 0:
            self._actions.append(Wait(min(over * self._terms.penalty, self._terms.penalty_most)))
        for _ in range(times):
            self._say(answer)
        if self._errors - borne >= self._terms.errors_most:
            self._say(replies.TOO_MANY_ERRORS)
            self._close()

    def _forgive(self) -> None:
        self._errors = self._chatter = 0

    def _refuse_mail(self, answer: Answer) -> None:
        each = self._terms.dialect is Dialect.LMTP
        self._refuse(answer, times=len(self._destinations) if each else 1)
        self._end_mail()

    def _end_mail(self) -> None:
        self._state = State.GREETED
        self._clear_mail()
        self._part_if_leaving()

    def _forget_mail(self) -> None:
        if self._state is State.CHUNKS:
            self._actions.append(Drop(None))
        self._state = State.GREETED
        self._clear_mail()

    def _clear_mail(self) -> None:
        self._mail = _NO_MAIL
        self._destinations = []
        self._chunk = self._fault = None
        self._size = 0

    def _part_if_leaving(self) -> None:
        under_way = self._asked is not None or self._content is not None or self._state not in _BETWEEN_MAILS
        if self._leaving and not self._closed and not under_way:
            self._say(replies.CLOSING)
            self._close()

    def _close(self) -> None:
        self._closed = True
        self._buffer, self._at = b"", 0
        self._actions.append(Close())

    def _hop(self) -> Hop:
        only = self._destinations[0].address if len(self._destinations) == 1 else None
        if self._mail.utf8:
            name = f"UTF8{self._terms.dialect.name}"
        elif self._hello.verb == "HELO" and not self._secure:
            name = "SMTP"
        else:
            name = self._terms.dialect.value
        return Hop(self._hello.name, name + "S" * self._secure + "A" * self._is_member, self._mail.address, only)


def _accepted(trace_id: str) -> Answer:
    return Answer(250, "2.0.0", f"accepted as {trace_id}")

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Drives a session without a socket, as a server would, and keeps what it says and what it was promised."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from mailroom.core.errors import NotFound, Refusal, SenderNotAllowed, WrongCredentials
from mailroom.core.ids import MailboxId
from mailroom.delivery.posting import Addressee, Envelope, Local
from mailroom.protocols.smtp import actions
from mailroom.protocols.smtp.actions import Action
from mailroom.protocols.smtp.session import Dialect, Mechanisms, Session, Terms

# Each leads to one state; together they are all the places where octets may find a session.
ROADS = {
    "fresh": b"",
    "greeted": b"EHLO c\r\n",
    "sender": b"EHLO c\r\nMAIL FROM:<a@y>\r\n",
    "recipients": b"EHLO c\r\nMAIL FROM:<a@y>\r\nRCPT TO:<b@x>\r\n",
    "data": b"EHLO c\r\nMAIL FROM:<a@y>\r\nRCPT TO:<b@x>\r\nDATA\r\n",
    "within data": b"EHLO c\r\nMAIL FROM:<a@y>\r\nRCPT TO:<b@x>\r\nDATA\r\nSubject: x\r\n\r",
    "bad data": b"EHLO c\r\nMAIL FROM:<a@y>\r\nRCPT TO:<b@x>\r\nDATA\r\n\n",
    "chunks": b"EHLO c\r\nMAIL FROM:<a@y>\r\nRCPT TO:<b@x>\r\nBDAT 3\r\na\r\n",
    "within chunk": b"EHLO c\r\nMAIL FROM:<a@y>\r\nRCPT TO:<b@x>\r\nBDAT 30\r\na\r\n",
    "stray chunk": b"EHLO c\r\nBDAT 30\r\na\r\n",
    "long line": b"EHLO c\r\nNOOP " + b"x" * 3000,
    "secured": b"EHLO c\r\nSTARTTLS\r\n",
}
# And those of a session where members sign in. What they say in base64: good, more, odd.
GOOD, MORE, ODD = b"Z29vZA==", b"bW9yZQ==", b"b2Rk"
MEMBER_ROADS = {
    "stranger": b"EHLO c\r\n",
    "challenged": b"EHLO c\r\nAUTH PLAIN\r\n",
    "challenged again": b"EHLO c\r\nAUTH LOGIN " + MORE + b"\r\n",
    "within a response": b"EHLO c\r\nAUTH LOGIN\r\nZ29v",
    "refused once": b"EHLO c\r\nAUTH PLAIN YmFk\r\n",
    "signed in": b"EHLO c\r\nAUTH PLAIN " + GOOD + b"\r\n",
    "signed in, sender": b"EHLO c\r\nAUTH PLAIN " + GOOD + b"\r\nMAIL FROM:<a@y>\r\n",
    "signed in, data": b"EHLO c\r\nAUTH PLAIN " + GOOD + b"\r\nMAIL FROM:<a@y>\r\nRCPT TO:<b@x>\r\nDATA\r\n",
}
MEMBER_WORDS = [
    *[b"AUTH PLAIN\r\n", b"AUTH PLAIN " + GOOD + b"\r\n", b"AUTH LOGIN\r\n", b"AUTH\r\n", b"AUTH PLAIN =\r\n"],
    *[b"AUTH WIZ\r\n", b"AUTH PLAIN *\r\n", b"AUTH PLAIN not base64\r\n", b"AUTH LOGIN " + MORE + b"\r\n"],
    *[GOOD + b"\r\n", MORE + b"\r\n", ODD + b"\r\n", b"*\r\n", b"=\r\n", b"\r\n", b"YmFk\r\n", b"A" * 12_300],
    *[b"MAIL FROM:<nobody@y>\r\n", b"MAIL FROM:<a@y> AUTH=<>\r\n"],
]
WORDS = [
    *[b"EHLO c\r\n", b"HELO c\r\n", b"LHLO c\r\n", b"MAIL FROM:<a@y>\r\n", b"MAIL FROM:<> SIZE=9\r\n"],
    *[b"RCPT TO:<b@x>\r\n", b"RCPT TO:<nobody@x>\r\n", b"DATA\r\n", b"BDAT 3\r\n", b"BDAT 0 LAST\r\n"],
    *[b"BDAT 5 LAST\r\n", b"BDAT\r\n", b"RSET\r\n", b"NOOP\r\n", b"VRFY x\r\n", b"EXPN x\r\n", b"HELP\r\n"],
    *[b"STARTTLS\r\n", b"QUIT\r\n", b"GET / HTTP/1.1\r\n", b"\r\n.\r\n", b".\r\n", b"\r", b"\n", b".", b"\0"],
    *[b"a\r\n", b"x" * 2100, b"RCPT TO:<" + "用@x".encode() + b">\r\n"],
]


@dataclass
class Driven:
    """A session and all it has said. `accepts` counts the mails that were really taken."""

    dialect: Dialect = Dialect.SMTP
    mechanisms: Mechanisms | None = None  # with them it is a session for members
    errors_most: int = 1000
    recipients: int = 3
    no: Refusal | None = None  # the answer to every mail
    spool_failure: Refusal | None = None
    said: bytes = b""
    spooled: bytes = b""
    taken: list[tuple[str, tuple[str, ...], bytes]] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    closed: bool = False
    member: bool = False

    def __post_init__(self) -> None:
        self.session = Session(
            Terms(
                hostname="mx.x",
                mail_size=100,
                recipients=self.recipients,
                dialect=self.dialect,
                offers_tls=True,
                errors_most=self.errors_most,
            ),
            self.mechanisms,
        )
        self._settle()

    def hear(self, *pieces: bytes) -> bytes:
        """Say these to it; gives what it answers."""
        before = len(self.said)
        for piece in pieces:
            self.session.receive(piece)
            self._settle()
        return self.said[before:]

    def codes(self) -> list[str]:
        """The code and status of each final line said."""
        lines = self.said.decode().split("\r\n")
        return [line[:9] for line in lines if line[3:4] == " "]

    def _settle(self) -> None:
        while (action := self.session.next()) is not None:
            assert not self.closed, "said something after the end"
            self._do(action)

    def _do(self, action: Action) -> None:  # noqa: C901, PLR0912 -- one case for each action
        match action:
            case actions.Say(wire):
                assert wire.endswith(b"\r\n")
                self.said += wire
            case actions.Begin():
                assert self.member or self.mechanisms is None, "a stranger hands in a mail"
                self.spooled = b""
            case actions.Drop():
                self.spooled = b""
            case actions.Authenticate(_, None):
                self.session.challenged(b"?")
            case actions.Authenticate(_, bytes(response)) | actions.Respond(response):
                self._judge(response)
            case actions.SendAs(address):
                if address.startswith("nobody"):
                    self.session.refused(SenderNotAllowed(address=address))
                else:
                    self.session.allowed()
            case actions.Keep(octets):
                self.spooled += octets
                if self.spool_failure is not None:
                    self.session.spool_failed(self.spool_failure)
            case actions.Find(address, _, before):
                assert 0 <= before < self.recipients
                if address.startswith("nobody"):
                    self.session.refused(NotFound(what="mailbox", name=address))
                else:
                    self.session.found(Addressee(address, Local(MailboxId(1))))
            case actions.Accept(envelope) | actions.AcceptEach(envelope):
                if self.no is not None:
                    self.session.refused(self.no)
                    return
                self.envelopes.append(envelope)
                addresses = tuple(one.address for one in envelope.destinations)
                self.taken.append((envelope.sender, addresses, self.spooled))
                if isinstance(action, actions.Accept):
                    self.session.accepted("id")
                else:
                    self.session.accepted_each(dict.fromkeys(envelope.destinations), "id")
            case actions.Secure():
                self.member = False
                self.session.secured()
            case actions.Close():
                self.closed = True
            case actions.Wait(seconds):
                assert seconds > 0

    def _judge(self, response: bytes) -> None:
        match response:
            case b"good":
                self.member = True
                self.session.signed_in()
            case b"more":
                self.session.challenged(b"!")
            case b"odd":
                self.session.misunderstood()
            case _:
                self.session.refused(WrongCredentials())


def for_members() -> Driven:
    """A session where members sign in."""
    return Driven(mechanisms=lambda _: ["PLAIN", "LOGIN"])


def promises(driven: Driven) -> int:
    """How often it said that a mail is kept."""
    return driven.said.count(b"accepted as id")


def play(pieces: Iterable[bytes], make: Callable[[], Driven] = Driven) -> Driven:
    """A new session that has heard all this."""
    driven = make()
    driven.hear(*pieces)
    return driven

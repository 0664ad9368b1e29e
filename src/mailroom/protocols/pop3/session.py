# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""One POP3 conversation as a state machine. Pure: no socket, no clock, no await.

Give it a line (`obey`) and do the one thing that it says. Where that is a question to the store, tell how it came out
(`opened`, `secured`, `refused`); between two lines nothing is open.

`Session.NEXT` is the whole protocol: which command does what in which state; a pair that is not in it is out of order.
"""

from __future__ import annotations

import enum
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from mailroom.core.ids import ContentId, FolderId, Uid
from mailroom.mailboxes.fetch import Snapshot
from mailroom.protocols.pop3 import grammar, replies
from mailroom.protocols.pop3.grammar import BadCommand

ERRORS_MOST: Final = 10  # refused commands in a row, wrong passwords among them, before we hang up


class State(enum.Enum):
    """How far the client has come (RFC 1939 §3). UPDATE is what QUIT does; nobody speaks in it."""

    AUTHORIZATION = enum.auto()
    TRANSACTION = enum.auto()


@dataclass(frozen=True, slots=True)
class Offer:
    """What this client may use to come in."""

    mechanisms: Sequence[str]
    passwords: bool  # USER and PASS
    tls: bool


@dataclass(frozen=True, slots=True)
class Say:
    """Send these octets."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Recite:
    """Send these lines, of which there may be very many."""

    lines: Iterator[bytes]


@dataclass(frozen=True, slots=True)
class SignIn:
    """Whose are these? Answer with `opened` or `refused`."""

    name: str
    password: str

    def __repr__(self) -> str:
        return f"SignIn({self.name!r}, ***)"


@dataclass(frozen=True, slots=True)
class Exchange:
    """Go through this mechanism with the client. Answer with `opened` or `refused`."""

    mechanism: str
    initial: bytes | None


@dataclass(frozen=True, slots=True)
class Secure:
    """Begin TLS, then answer with `secured`."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send this mail; with `lines`, its header and so many lines of its body."""

    content_id: ContentId
    size: int
    lines: int | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """Remove these mails for good, say how that went, and hang up."""

    uids: Sequence[Uid]


@dataclass(frozen=True, slots=True)
class Close:
    """Say this and hang up."""

    octets: bytes


Action = Say | Recite | SignIn | Exchange | Secure | Send | Part | Close


class Maildrop:
    """The inbox as it was when the session began; mails are numbered from 1 and keep their numbers."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._uidvalidity = snapshot.uidvalidity
        self._uids = array("Q", (mail[0] for mail in snapshot.mails))
        self._sizes = array("Q", (mail[1] for mail in snapshot.mails))
        self._contents = array("Q", (mail[2] for mail in snapshot.mails))
        self._deleted: set[int] = set()

    def has(self, number: int) -> bool:
        """Whether there is such a mail that is not marked as deleted."""
        return 1 <= number <= len(self._uids) and number not in self._deleted

    @property
    def numbers(self) -> Iterator[int]:
        """Of the mails that are not marked as deleted."""
        return (number for number in range(1, len(self._uids) + 1) if number not in self._deleted)

    def count(self) -> tuple[int, int]:
        """How many mails, and octets."""
        gone = sum(self._sizes[number - 1] for number in self._deleted)
        return len(self._uids) - len(self._deleted), sum(self._sizes) - gone

    def size(self, number: int) -> int:
        return self._sizes[number - 1]

    def content(self, number: int) -> ContentId:
        return ContentId(self._contents[number - 1])

    def unique_id(self, number: int) -> str:
        """A name that the mail keeps in all sessions, and that no other mail ever has in this inbox."""
        return f"{self._uidvalidity}-{self._uids[number - 1]}"

    def delete(self, number: int) -> None:
        self._deleted.add(number)

    def reset(self) -> None:
        self._deleted.clear()

    @property
    def deleted(self) -> Sequence[Uid]:
        return [Uid(self._uids[number - 1]) for number in sorted(self._deleted)]


_EMPTY: Final = Maildrop(Snapshot(FolderId(0), 0, ()))  # before anybody has signed in

_Table = Mapping[tuple[State, type[grammar.Command]], Callable[["Session", Any], Action]]


class Session:
    """One client, from greeting to parting."""

    def __init__(self, offer: Offer) -> None:
        self._offer = offer
        self._state = State.AUTHORIZATION
        self._user = ""
        self._drop = _EMPTY
        self._errors = 0

    def obey(self, line: bytes) -> Action:
        """What to do for this line."""
        try:
            command = grammar.parse(line)
        except BadCommand as bad:
            return self.refused(bad.answer)
        do = self.NEXT.get((self._state, type(command)))
        return self.refused(replies.OUT_OF_ORDER) if do is None else do(self, command)

    def opened(self, snapshot: Snapshot) -> Say:
        """The client has signed in."""
        self._drop = Maildrop(snapshot)
        self._state = State.TRANSACTION
        count, octets = self._drop.count()
        return self._yes(replies.ok(f"{count} mails ({octets} octets)"))

    def secured(self, offer: Offer) -> None:
        """TLS is up; the client begins anew (RFC 2595 §4)."""
        self._offer = offer
        self._user = ""

    def refused(self, answer: bytes) -> Say | Close:
        """Say no, and too many of them end it."""
        self._errors += 1
        if self._errors >= ERRORS_MOST:
            return Close(answer + replies.TOO_MANY_ERRORS)
        return Say(answer)

    def _yes(self, answer: bytes) -> Say:
        self._errors = 0
        return Say(answer)

    # Before signing in.

    def _name(self, command: grammar.User) -> Action:
        if not self._offer.passwords:
            return self.refused(replies.NEEDS_TLS)
        self._user = command.name
        return Say(replies.NEXT_PASSWORD)  # the same for every name

    def _password(self, command: grammar.Pass) -> Action:
        name, self._user = self._user, ""
        return SignIn(name, command.password) if name else self.refused(replies.OUT_OF_ORDER)

    def _authenticate(self, command: grammar.Auth) -> Action:
        if command.mechanism:
            return Exchange(command.mechanism, command.initial)
        return Say(_listed(replies.ok("mechanisms"), self._offer.mechanisms))

    def _secure(self, _: grammar.Stls) -> Action:
        return Secure() if self._offer.tls else self.refused(replies.OUT_OF_ORDER)

    def _leave(self, _: grammar.Quit) -> Action:
        return Close(replies.BYE)

    def _capabilities(self, _: grammar.Capa) -> Action:
        lines = ["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER", "LOGIN-DELAY 0"]
        if self._state is State.AUTHORIZATION:
            lines += ["USER"] * self._offer.passwords + ["STLS"] * self._offer.tls
            lines.append(f"SASL {' '.join(self._offer.mechanisms)}")
        return Say(_listed(replies.ok("capabilities"), [*lines, "IMPLEMENTATION Mailroom"]))

    # After.

    def _count(self, _: grammar.Stat) -> Action:
        count, octets = self._drop.count()
        return self._yes(replies.ok(f"{count} {octets}"))

    def _sizes(self, command: grammar.List) -> Action:
        return self._tell(command.number, self._drop.size)

    def _unique_ids(self, command: grammar.Uidl) -> Action:
        return self._tell(command.number, self._drop.unique_id)

    def _tell(self, number: int | None, what: Callable[[int], object]) -> Action:
        if number is None:
            self._errors = 0
            return Recite(self._told(what))
        if not self._drop.has(number):
            return self.refused(replies.NO_SUCH_MAIL)
        return self._yes(replies.ok(f"{number} {what(number)}"))

    def _told(self, what: Callable[[int], object]) -> Iterator[bytes]:
        yield replies.DONE
        for number in self._drop.numbers:
            yield b"%d %b\r\n" % (number, str(what(number)).encode())
        yield b".\r\n"

    def _retrieve(self, command: grammar.Retr) -> Action:
        return self._send(command.number, None)

    def _top(self, command: grammar.Top) -> Action:
        return self._send(command.number, command.lines)

    def _send(self, number: int, lines: int | None) -> Action:
        if not self._drop.has(number):
            return self.refused(replies.NO_SUCH_MAIL)
        self._errors = 0
        return Send(self._drop.content(number), self._drop.size(number), lines)

    def _delete(self, command: grammar.Dele) -> Action:
        if not self._drop.has(command.number):
            return self.refused(replies.NO_SUCH_MAIL)
        self._drop.delete(command.number)
        return self._yes(replies.DONE)

    def _nothing(self, _: grammar.Noop) -> Action:
        return self._yes(replies.DONE)

    def _reset(self, _: grammar.Rset) -> Action:
        self._drop.reset()
        return self._yes(replies.DONE)

    def _update(self, _: grammar.Quit) -> Action:
        return Part(self._drop.deleted)

    NEXT: ClassVar[_Table] = {
        (State.AUTHORIZATION, grammar.User): _name,
        (State.AUTHORIZATION, grammar.Pass): _password,
        (State.AUTHORIZATION, grammar.Auth): _authenticate,
        (State.AUTHORIZATION, grammar.Stls): _secure,
        (State.AUTHORIZATION, grammar.Capa): _capabilities,
        (State.AUTHORIZATION, grammar.Quit): _leave,
        (State.TRANSACTION, grammar.Capa): _capabilities,
        (State.TRANSACTION, grammar.Stat): _count,
        (State.TRANSACTION, grammar.List): _sizes,
        (State.TRANSACTION, grammar.Uidl): _unique_ids,
        (State.TRANSACTION, grammar.Retr): _retrieve,
        (State.TRANSACTION, grammar.Top): _top,
        (State.TRANSACTION, grammar.Dele): _delete,
        (State.TRANSACTION, grammar.Noop): _nothing,
        (State.TRANSACTION, grammar.Rset): _reset,
        (State.TRANSACTION, grammar.Quit): _update,
    }


def _listed(head: bytes, lines: Sequence[str]) -> bytes:
    return head + "".join(f"{line}\r\n" for line in lines).encode() + b".\r\n"

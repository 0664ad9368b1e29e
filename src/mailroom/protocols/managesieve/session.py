# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""One ManageSieve conversation as a state machine. Pure: no socket, no clock, no await.

Give it the tokens of a command (`obey`) and do the one thing that it says; tell it when the client has come in
(`signed_in`) or is in TLS (`secured`). `Session.NEXT` is the whole protocol.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, get_args

from mailroom.protocols.managesieve import grammar, replies
from mailroom.protocols.managesieve.grammar import BadCommand, OnScripts, Token

ERRORS_MOST: Final = 10  # refused commands in a row, wrong passwords among them, before we hang up


class State(enum.Enum):
    """How far the client has come (RFC 5804 §2)."""

    STRANGER = enum.auto()
    OWNER = enum.auto()


@dataclass(frozen=True, slots=True)
class Offer:
    """What this server can do for this client now. `sieve` are the extensions of the language (RFC 5228 §2.10.5)."""

    mechanisms: Sequence[str]
    tls: bool
    sieve: Sequence[str]


@dataclass(frozen=True, slots=True)
class Say:
    """Send these octets."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """Say this and hang up."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """Go through this mechanism with the client."""

    mechanism: str
    initial: bytes | None


@dataclass(frozen=True, slots=True)
class Secure:
    """Begin TLS."""


@dataclass(frozen=True, slots=True)
class Carry:
    """Carry out this command on the client's scripts."""

    command: OnScripts


Action = Say | Close | Exchange | Secure | Carry


_Table = Mapping[tuple[State, type[grammar.Command]], Callable[["Session", Any], Action]]


class Session:
    """One client, from greeting to parting."""

    def __init__(self, offer: Offer) -> None:
        self._offer = offer
        self._owner = ""  # the address whose scripts the client may keep
        self._errors = 0

    @property
    def state(self) -> State:
        return State.OWNER if self._owner else State.STRANGER

    @property
    def greeting(self) -> bytes:
        """What is said at the beginning, and again when TLS is up (RFC 5804 §1.7)."""
        return self._capabilities() + replies.ok("Mailroom")

    def obey(self, tokens: Sequence[Token]) -> Action:
        """What to do for this command."""
        try:
            command = grammar.parse(tokens)
        except BadCommand as bad:
            return self.refused(bad.answer)
        do = self.NEXT.get((self.state, type(command)))
        return self.refused(replies.OUT_OF_ORDER) if do is None else do(self, command)

    def signed_in(self, owner: str) -> None:
        """The client may keep the scripts of this address."""
        self._owner = owner
        self._errors = 0

    def secured(self, offer: Offer) -> None:
        """TLS is up; the client begins anew."""
        self._offer = offer

    def refused(self, answer: bytes) -> Say | Close:
        """Say no, and too many of them end it."""
        self._errors += 1
        if self._errors >= ERRORS_MOST:
            return Close(answer + replies.TOO_MANY_ERRORS)
        return Say(answer)

    def done(self, answer: bytes) -> Say:
        """A command on scripts has come out well."""
        self._errors = 0
        return Say(answer)

    def _authenticate(self, command: grammar.Authenticate) -> Action:
        return Exchange(command.mechanism, command.initial)

    def _secure(self, _: grammar.StartTls) -> Action:
        return Secure() if self._offer.tls else self.refused(replies.OUT_OF_ORDER)

    def _tell(self, _: grammar.Capability) -> Action:
        return Say(self._capabilities() + replies.ok())

    def _nothing(self, command: grammar.Noop) -> Action:
        return Say(replies.ok() if command.tag is None else replies.ok(code=b"TAG " + replies.string(command.tag)))

    def _leave(self, _: grammar.Logout) -> Action:
        return Close(replies.ok("goodbye"))

    def _begin_anew(self, _: grammar.Unauthenticate) -> Action:
        self._owner = ""
        return Say(replies.ok())

    def _carry(self, command: grammar.OnScripts) -> Action:
        return Carry(command)

    def _capabilities(self) -> bytes:
        lines = {
            "IMPLEMENTATION": "Mailroom",
            "SASL": " ".join(self._offer.mechanisms),
            "SIEVE": " ".join(self._offer.sieve),
            "VERSION": "1.0",
        }
        if self._owner:
            lines["OWNER"] = self._owner
        said = [replies.string(name) + b" " + replies.string(value) + b"\r\n" for name, value in lines.items()]
        bare = ["UNAUTHENTICATE"] + ["STARTTLS"] * (self._offer.tls and not self._owner)
        return b"".join([*said, *(replies.string(name) + b"\r\n" for name in bare)])

    NEXT: ClassVar[_Table] = {
        **dict.fromkeys(((state, grammar.Capability) for state in State), _tell),
        **dict.fromkeys(((state, grammar.Noop) for state in State), _nothing),
        **dict.fromkeys(((state, grammar.Logout) for state in State), _leave),
        (State.STRANGER, grammar.Authenticate): _authenticate,
        (State.STRANGER, grammar.StartTls): _secure,
        (State.OWNER, grammar.Unauthenticate): _begin_anew,
        **dict.fromkeys(((State.OWNER, kind) for kind in get_args(OnScripts)), _carry),
    }

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Where commands, literals and lines begin and end in what a client sends: octets in, events out.

A command comes whole, with all its literals, and within a limit; the mails of an APPEND come as they arrive and are
never held here. A line may end with a bare LF, as Dovecot takes it.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Final

from mailroom.protocols.imap.grammar import append, commands
from mailroom.protocols.imap.grammar.append import Appending
from mailroom.protocols.imap.grammar.lexer import TAG, Malformed
from mailroom.protocols.imap.grammar.values import Command, Draft

_LITERAL: Final = re.compile(rb"\{([0-9]{1,19})(\+?)\}\r?\Z")
_LITERAL_MOST: Final = 24  # octets in which a literal at a line's end shows, with the CR
_TAG: Final = re.compile(rb"(" + TAG + rb") ")
_TAG_MOST: Final = 256  # octets in which the tag of a command too long is looked for
_EMPTY_MOST: Final = 100  # empty lines in a row
_TOO_LONG: Final = b"BAD [TOOBIG] the command is too long"
_TOO_MUCH: Final = b"too much of a refused command"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much we take, in octets. A command that has more is refused; to find the next one, so much is thrown away,
    and after that the connection is lost. An APPEND's mails count only as what is thrown away.
    """

    command: int
    skipped: int


BEFORE_LOGIN: Final = Limits(command=16 * 1024, skipped=64 * 1024)


@dataclass(frozen=True, slots=True)
class Request:
    """A whole command."""

    tag: bytes
    command: Command


@dataclass(frozen=True, slots=True)
class Wrong:
    """What the client said is no command; say this. The tag is "*" where there was none."""

    tag: bytes
    text: bytes  # BAD or NO, with its words

    @property
    def wire(self) -> bytes:
        """The line as it is sent."""
        return b"%b %b\r\n" % (self.tag, self.text)


@dataclass(frozen=True, slots=True)
class GoOn:
    """The client waits for a continuation request before it sends a literal (not one of a mail): say `+`."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A mail of an APPEND is about to come: say `take` or `refuse` to the reader, later if need be. One who takes a
    mail that `waits` says `+`.
    """

    tag: bytes
    mailbox: str
    draft: Draft
    waits: bool


@dataclass(frozen=True, slots=True)
class Octets:
    """A piece of the mail that was taken; `last` tells that the mail is whole."""

    octets: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class Line:
    """The line that was expected, without its end."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """Nobody can tell where the next command begins, or it is too far: say BYE with this text, and close."""

    text: bytes


Event = Request | Wrong | GoOn | Incoming | Octets | Line | Lost


class _State(enum.Enum):
    COMMAND = enum.auto()  # a line of a command
    LITERAL = enum.auto()  # a literal that is part of the command's text
    DECISION = enum.auto()  # a mail is announced, and nobody has said what to do with it
    MAIL = enum.auto()
    SKIPPED_LITERAL = enum.auto()  # a literal of a command that has its answer already
    SKIPPED_LINE = enum.auto()  # a line of one
    LINE = enum.auto()  # a line that is no command
    LOST = enum.auto()


class Reader:
    """One client's words, in order. `feed` it and ask `next` until it has nothing more to say.

    `limits` may be changed at any time, `utf8` when the client has enabled it: mailbox names are then UTF-8 only.
    """

    __slots__ = ("_append", "_empty", "_left", "_octets", "_scanned", "_state", "_text", "_thrown", "limits", "utf8")

    def __init__(self, limits: Limits = BEFORE_LOGIN) -> None:
        self.limits = limits
        self.utf8 = False
        self._octets = bytearray()
        self._scanned = 0  # so many of them have no line end
        self._state = _State.COMMAND
        self._text = bytearray()  # the command as far as it has come, with its literals
        self._append: Appending | None = None
        self._left = 0  # octets of a literal that are still to come
        self._thrown = 0  # octets of a refused command
        self._empty = 0  # lines in a row

    def feed(self, octets: bytes) -> None:
        """The client has said this; what a lost one says is not heard."""
        if self._state is not _State.LOST:
            self._octets += octets

    @property
    def held(self) -> int:
        """Octets that have been fed and not yet been told of."""
        return len(self._octets)

    @property
    def idle(self) -> bool:
        """Whether the client is between two commands, and nothing of the next has come."""
        return self._state is _State.COMMAND and not self._text and not self._octets and self._append is None

    def rest(self) -> bytes:
        """Take back what has been fed and not yet been told of: STARTTLS throws it away, COMPRESS inflates it."""
        rest = bytes(self._octets)
        self._octets.clear()
        self._scanned = 0
        return rest

    def expect_line(self) -> None:
        """What comes next is a line that is no command: an answer to AUTHENTICATE, or IDLE's DONE."""
        self._state = _State.LINE

    def take(self) -> None:
        """Let the announced mail come."""
        self._state = _State.MAIL

    def refuse(self) -> None:
        """Have no more of this APPEND, from the time that its first mail was announced until its `Request`: the caller
        has said NO, and no event of it follows.
        """
        assert self._append is not None
        if self._state is _State.DECISION and self._append.waits:
            self._end()  # RFC 9051 §4.3: after the NO the client does not send it
        else:
            self._skip(self._left)

    def next(self) -> Event | None:
        """What has come, or None: more must be fed, or a decision made."""
        while True:
            state = self._state
            event = self._step(state)
            if event is not None or self._state is state:
                return event

    def _step(self, state: _State) -> Event | None:
        event: Event | None = None
        match state:
            case _State.COMMAND:
                event = self._command()
            case _State.LITERAL:
                self._literal()
            case _State.MAIL:
                event = self._mail()
            case _State.SKIPPED_LITERAL:
                event = self._skipped_literal()
            case _State.SKIPPED_LINE:
                event = self._skipped_line()
            case _State.LINE:
                event = self._expected()
            case _State.DECISION | _State.LOST:
                pass
        return event

    def _line(self, most: int) -> bytes | None:
        """The next line, without its end; None if it has not ended, or has more than so many octets."""
        end = self._octets.find(b"\n", self._scanned)
        if end < 0:
            self._scanned = len(self._octets)
            return None
        line = bytes(self._octets[: end - 1 if self._octets[end - 1 : end] == b"\r" else end])
        if len(line) > most:
            return None
        del self._octets[: end + 1]
        self._scanned = 0
        return line

    def _command(self) -> Event | None:
        most = self.limits.command - len(self._text)
        while (line := self._line(most)) is not None:
            self._empty = 0 if line else self._empty + 1
            literal = _LITERAL.search(line) if line[-1:] == b"}" else None
            if self._append is not None:
                return self._appended(self._append, line, literal)
            if literal is not None:
                return self._announced(line, literal)
            if self._text:
                line = bytes(self._text + line)
                self._text.clear()
            if line:
                return _parsed(line, utf8=self.utf8)
            if self._empty > _EMPTY_MOST:  # some clients send one line end too many behind a literal
                return self._lose(b"nothing but empty lines")
        if len(self._octets) > most + 1:  # it may be a CR
            self._text += self._octets[: min(_TAG_MOST, most + 2)]
            answer = Wrong(self._tag(), _TOO_LONG)
            self._skip(0)
            return answer
        return None

    def _announced(self, line: bytes, literal: re.Match[bytes]) -> Event | None:
        self._text += line
        size = int(literal[1])
        try:
            self._append = append.begins(self._text, utf8=self.utf8)
        except Malformed as fault:
            return self._refused(fault.text, literal)
        if self._append is not None:
            return self._incoming(self._append, self._append.drafts[-1])
        if len(self._text) + size > self.limits.command:
            return self._refused(_TOO_LONG, literal)
        self._text += b"\r\n"
        self._left = size
        self._state = _State.LITERAL
        return None if literal[2] else GoOn()

    def _appended(self, begun: Appending, line: bytes, literal: re.Match[bytes] | None) -> Event | None:
        try:
            found = begun.follow(line)
        except Malformed as fault:
            return self._refused(fault.text, literal)
        if isinstance(found, Draft):
            return self._incoming(begun, found)
        self._end()
        return Request(begun.tag, found)

    def _incoming(self, begun: Appending, draft: Draft) -> Incoming:
        self._text.clear()
        self._left = draft.size
        self._state = _State.DECISION
        return Incoming(begun.tag, begun.mailbox, draft, begun.waits)

    def _literal(self) -> None:
        if len(self._octets) >= self._left:
            self._text += self._octets[: self._left]
            del self._octets[: self._left]
            self._left = 0
            self._state = _State.COMMAND

    def _mail(self) -> Octets | None:
        if self._left and not self._octets:
            return None
        octets = bytes(self._octets[: self._left])
        del self._octets[: self._left]
        self._left -= len(octets)
        if not self._left:
            self._state = _State.COMMAND
        return Octets(octets, last=not self._left)

    def _expected(self) -> Event | None:
        line = self._line(self.limits.command)
        if line is not None:
            self._state = _State.COMMAND
            return Line(line)
        if len(self._octets) > self.limits.command + 1:
            return self._lose(b"the line is too long")
        return None

    def _refused(self, text: bytes, literal: re.Match[bytes] | None) -> Wrong:
        """Answer a command whose last line so far has been taken."""
        answer = Wrong(self._tag(), text)
        if literal is not None and literal[2]:
            self._skip(int(literal[1]))
        else:
            self._end()  # as in `refuse`
        return answer

    def _tag(self) -> bytes:
        if self._append is not None:
            return self._append.tag
        found = _TAG.match(self._text)
        return bytes(found[1]) if found and len(found[1]) < _TAG_MOST else b"*"

    def _skip(self, size: int) -> None:
        self._end()
        self._left = size
        self._thrown += size
        self._state = _State.SKIPPED_LITERAL

    def _skipped_literal(self) -> Event | None:
        if self._thrown > self.limits.skipped:
            return self._lose(_TOO_MUCH)
        gone = min(self._left, len(self._octets))
        del self._octets[:gone]
        self._left -= gone
        if not self._left:
            self._state = _State.SKIPPED_LINE
        return None

    def _skipped_line(self) -> Event | None:
        end = self._octets.find(b"\n", self._scanned)
        gone = end if end >= 0 else max(0, len(self._octets) - _LITERAL_MOST)  # those may show that a literal follows
        self._thrown += gone
        if self._thrown > self.limits.skipped:
            return self._lose(_TOO_MUCH)
        literal = _LITERAL.search(self._octets[max(0, gone - _LITERAL_MOST) : gone]) if end >= 0 else None
        del self._octets[: gone if end < 0 else gone + 1]
        if end < 0:
            self._scanned = len(self._octets)
        elif literal is not None and literal[2]:
            self._skip(int(literal[1]))
        else:
            self._thrown = 0
            self._end()
        return None

    def _end(self) -> None:
        self._append = None
        self._text.clear()
        self._scanned = 0
        self._state = _State.COMMAND

    def _lose(self, text: bytes) -> Lost:
        self._octets.clear()
        self._state = _State.LOST
        return Lost(text)


def _parsed(text: bytes, *, utf8: bool) -> Request | Wrong:
    try:
        tag, command = commands.parse(text, utf8=utf8)
    except Malformed as fault:
        return Wrong(fault.tag, fault.text)
    return Request(tag, command)

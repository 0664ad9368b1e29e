# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The offset scanner: where each part of a mail begins and ends, found in one pass and in flat memory.

A 50 MB mail is fed in chunks as it streams to the spool; only header blocks are held, never bodies.
Bodies are crossed with `bytes.find`, not line by line, so the cost is that of reading them once.
Grammar: RFC 2045, RFC 2046 section 5.1. Hostile mail ends as an opaque leaf, never as an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from mailroom.mime import headers

MAX_DEPTH = 50
MAX_PARTS = 1_000
MAX_HEADER = 256 * 1024  # octets of one header block that are kept; the rest is measured
MAX_HEADERS = 1024 * 1024  # octets of all header blocks that are kept
MAX_BOUNDARY = 200  # RFC 2046 says 70; some programs write more; of longer ones the rest is not looked at
MAX_HIDDEN = 1000  # lines that look like a boundary which has ended; who has more is playing with us
MAX_DELIMITER_LINE = 1000  # RFC 5322 section 2.1.1: no line is longer than 998 octets
CHUNK = 256 * 1024

_HEADER_STOP = re.compile(rb"\n(?:\r?\n|--)")
_CONTENT_FIELD = re.compile(
    rb"\ncontent-(type|transfer-encoding|disposition|id|description|language|md5|location)"
    rb"[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)",
    re.IGNORECASE,
)
# RFC 2045 section 5.1: a token; RFC 6838 section 4.2: of at most 127 octets.
_TYPE = re.compile(rb"([!#-'*+\-.0-9A-Z^-~]{1,127})\s*/\s*([!#-'*+\-.0-9A-Z^-~]{1,127})")
_WORD = re.compile(rb"[!-~]{1,127}")
TEXT_PLAIN = ("text", "plain")
CR, LF = b"\r\n"


@dataclass(frozen=True, slots=True)
class Part:
    """One MIME entity: octet offsets into the mail, and what its Content fields say.

    The header is `[header_start, body_start)` with its blank line, the body `[body_start, body_end)`; the line
    end before a boundary belongs to the boundary (RFC 2046 section 5.1.1). `lines` counts the body's line ends.
    A `message/rfc822` part has one child, the mail it holds. A multipart without a usable boundary is a
    `text/plain` leaf; one nested too deep is an `application/octet-stream` leaf.
    Strings are as they stood, undecoded; types and encoding are in lower case; None means the field is missing.
    """

    header_start: int
    body_start: int
    body_end: int
    lines: int
    main: str = "text"
    sub: str = "plain"
    params: headers.Pairs = ()
    encoding: str = "7bit"
    disposition: str | None = None
    disposition_params: headers.Pairs = ()
    id: bytes | None = None
    description: bytes | None = None
    language: bytes | None = None
    md5: bytes | None = None
    location: bytes | None = None
    children: tuple[Part, ...] = ()
    header: bytes = b""  # at most MAX_HEADER octets of the header block

    @property
    def content_type(self) -> str:
        """Main and sub type, as in `text/plain`."""
        return f"{self.main}/{self.sub}"

    @property
    def size(self) -> int:
        """Octets in the body."""
        return self.body_end - self.body_start

    def walk(self) -> Iterator[Part]:
        """This part and every part in it, in the order they stand."""
        yield self
        for child in self.children:
            yield from child.walk()


def scan(data: bytes) -> Part:
    """The parts of a whole mail. Never raises."""
    scanner = Scanner()
    for start in range(0, len(data), CHUNK):
        scanner.feed(data[start : start + CHUNK])
    return scanner.finish()


class _Delimiter(NamedTuple):
    depth: int  # in the stack of open parts
    end: int  # of its line, in the buffer
    is_closing: bool


@dataclass(slots=True)
class _Open:
    """A part whose end is not seen yet."""

    header_start: int
    default: tuple[str, str]
    header: bytearray = field(default_factory=bytearray)
    content: dict[bytes, bytes] = field(default_factory=dict)
    main: str = "text"
    sub: str = "plain"
    params: headers.Pairs = ()
    encoding: str = "7bit"
    body_start: int = 0
    lines_before: int = 0
    boundary: bytes | None = None  # None: no multipart, or its close delimiter was seen
    children: list[Part] = field(default_factory=list)

    def describe(self) -> None:
        """Read the Content fields; of a field that stands twice the first counts, as it does in Dovecot."""
        self.main, self.sub = self.default
        for name, raw in _CONTENT_FIELD.findall(b"\n" + self.header):
            self.content.setdefault(name.lower(), raw)
        if b"type" in self.content:
            value, params = headers.split(self.content[b"type"])
            named = _TYPE.match(value)
            if named:
                self.main, self.sub = (each.decode("latin-1").lower() for each in named.groups())
            elif value:
                # RFC 2045 section 5.2: what cannot be read is text/plain.
                self.main, self.sub, params = "text", "plain", ()
            self.params = params
        if b"transfer-encoding" in self.content:
            value, _ = headers.split(self.content[b"transfer-encoding"])
            self.encoding = _word(value) or "7bit"

    def declared_boundary(self) -> bytes:
        """The multipart's boundary, or nothing."""
        boundary = next((value for name, value in self.params if name == "boundary"), b"")
        if not boundary:  # RFC 2231 section 3: it may be written in sections
            boundary = headers.assemble(self.params).get("boundary", "").encode()
        return boundary.rstrip()[:MAX_BOUNDARY]

    def holds_mail(self) -> bool:
        """Whether the body is a mail that can be read where it stands (RFC 2046 section 5.2.1 forbids to encode it)."""
        is_mail = self.main == "message" and self.sub in ("rfc822", "global")
        return is_mail and self.encoding not in ("base64", "quoted-printable")

    def ended(self, body_end: int, lines: int) -> Part:
        """The part, now that its end is known; `lines` are the mail's line ends before it."""
        content = self.content
        disposition, disposition_params = headers.split(content.get(b"disposition", b""))
        return Part(
            header_start=self.header_start,
            body_start=self.body_start,
            body_end=body_end,
            lines=lines - self.lines_before,
            main=self.main,
            sub=self.sub,
            params=self.params,
            encoding=self.encoding,
            disposition=_word(disposition),
            disposition_params=disposition_params,
            id=_line(content.get(b"id")),
            description=_line(content.get(b"description")),
            language=_line(content.get(b"language")),
            md5=_line(content.get(b"md5")),
            location=_line(content.get(b"location")),
            children=tuple(self.children),
            header=bytes(self.header),
        )


class Scanner:
    """Takes a mail in chunks of any size and answers with its parts; the answer does not depend on the chunks."""

    def __init__(self) -> None:
        # Everything before `_pos` is settled and its line ends are counted. A line end is imagined before the
        # mail, so that its first line is found like any other; hence offset and count start at -1.
        self._buffer = b"\n"
        self._pos = 0
        self._base = -1
        self._lines = -1
        self._parts = 1
        self._kept = 0
        self._seen: set[bytes] = set()
        self._root: Part | None = None
        self._stack = [_Open(header_start=0, default=TEXT_PLAIN)]
        self._in_header = True
        self._boundaries: tuple[bytes, ...] = ()  # those that are open
        self._longest = 0  # of them
        self._needle = b""  # what their lines begin with, LF included; empty: none is open
        self._hidden = 0

    def feed(self, chunk: bytes) -> None:
        """Go on with the next octets of the mail."""
        if not (self._in_header or self._needle):
            # Nothing can end this body but the end of the mail.
            self._settle(len(self._buffer))
            self._base += len(self._buffer) + len(chunk)
            self._lines += chunk.count(b"\n")
            self._buffer, self._pos = b"", 0
            return
        self._buffer += chunk
        self._run(is_last=False)
        # The octet before the unsettled ones stays: it may be the CR that belongs to a boundary.
        cut = max(0, self._pos - 1)
        self._buffer = self._buffer[cut:]
        self._base += cut
        self._pos -= cut

    def finish(self) -> Part:
        """The mail has ended: its parts. Whatever was left open ends here."""
        self._run(is_last=True)
        end = len(self._buffer)
        self._break_header(end)
        self._settle(end)
        self._close(0, self._base + end, self._lines)
        if self._root is None:
            raise AssertionError("closing from depth 0 ends the root")
        return self._root

    def _run(self, *, is_last: bool) -> None:
        while self._step_header(is_last=is_last) if self._in_header else self._step_body(is_last=is_last):
            pass

    def _step_header(self, *, is_last: bool) -> bool:
        """Go on to the header's blank line, or to a boundary in it. False: more octets are needed."""
        buffer = self._buffer
        at = self._pos
        while stop := _HEADER_STOP.search(buffer, at):
            at = stop.start()
            if buffer[stop.end() - 1] == LF:
                self._keep_header(stop.end())
                self._begin_body(stop.end())
                return True
            if self._is_other_line(at):
                at += 1
                continue
            end = self._line_end(at, is_last=is_last)
            if end is None:
                break
            delimiter = self._delimiter(at, end)
            if delimiter:
                self._break_header(at + 1)
                self._cross(at, delimiter)
                return True
            at += 1
        else:
            at = max(at, len(buffer) - 2)  # a blank line or boundary may have begun with the last two octets
        self._keep_header(at)
        self._settle(at)
        return False

    def _step_body(self, *, is_last: bool) -> bool:
        """Go on to the next line that may be a boundary. False: more octets are needed, or none can come."""
        if not self._needle:
            self._settle(len(self._buffer))
            return False
        at = self._buffer.find(self._needle, self._pos)
        while at >= 0 and self._is_other_line(at):
            at = self._buffer.find(self._needle, at + 3)
        if at < 0:
            self._settle(len(self._buffer) - len(self._needle) + 1)
            return False
        end = self._line_end(at, is_last=is_last)
        if end is None:
            self._settle(at)
            return False
        delimiter = self._delimiter(at, end)
        if delimiter:
            self._cross(at, delimiter)
        else:
            self._settle(at + 3)
        return True

    def _is_other_line(self, at: int) -> bool:
        """Whether the line whose LF and two dashes are at `at` is seen at a glance to begin with no open boundary."""
        is_whole = at + 3 + self._longest <= len(self._buffer)
        return is_whole and not self._buffer.startswith(self._boundaries, at + 3)

    def _line_end(self, at: int, *, is_last: bool) -> int | None:
        """Where the line after the LF at `at` ends, or has become too long; None: not yet known."""
        longest = at + 1 + MAX_DELIMITER_LINE
        end = self._buffer.find(b"\n", at + 1, longest)
        if end >= 0:
            return end
        if len(self._buffer) >= longest:
            return longest
        return len(self._buffer) if is_last else None

    def _delimiter(self, at: int, end: int) -> _Delimiter | None:
        """The boundary that the line between the LF at `at` and `end` is, if it is one.

        RFC 2046 section 5.1.1: it is enough that a line begins with the boundary. The longest that fits is
        meant, and of equal ones the innermost; one that ended before hides the shorter ones it begins with.
        """
        if end > at + MAX_DELIMITER_LINE:
            return None
        line = self._buffer[at + 3 : end].rstrip()
        best, length = -1, 0
        for index in range(len(self._stack) - 1, -1, -1):
            boundary = self._stack[index].boundary
            if boundary and len(boundary) > length and line.startswith(boundary):
                best, length = index, len(boundary)
        if best < 0:
            return None
        is_closing = line.startswith(b"--", length)
        is_exact = len(line) == length + 2 * is_closing
        longest = min(len(line), MAX_BOUNDARY)
        if not is_exact and any(line[:longer] in self._seen for longer in range(length + 1, longest + 1)):
            self._count_hidden()
            return None
        return _Delimiter(best, end, is_closing)

    def _count_hidden(self) -> None:
        self._hidden += 1
        if self._hidden > MAX_HIDDEN:
            self._forget_boundaries()

    def _cross(self, at: int, delimiter: _Delimiter) -> None:
        """Pass the delimiter line after the LF at `at`: close what it ends, open what it begins."""
        self._settle(at)
        line_end = 2 if at > 0 and self._buffer[at - 1] == CR else 1
        self._close(delimiter.depth + 1, self._base + at + 1 - line_end, self._lines)
        self._settle(delimiter.end)
        parent = self._stack[-1]
        self._in_header = False
        if delimiter.is_closing:
            parent.boundary = None
        elif self._parts < MAX_PARTS:
            default = ("message", "rfc822") if parent.sub == "digest" else TEXT_PLAIN
            self._open(self._base + min(delimiter.end + 1, len(self._buffer)), default)
        else:
            self._forget_boundaries()
        self._look_for_boundaries()

    def _forget_boundaries(self) -> None:
        for each in self._stack:
            each.boundary = None
        self._look_for_boundaries()

    def _open(self, header_start: int, default: tuple[str, str]) -> None:
        self._parts += 1
        self._stack.append(_Open(header_start, default))
        self._in_header = True

    def _keep_header(self, upto: int) -> None:
        part = self._stack[-1]
        if self._kept < MAX_HEADERS:
            start = part.header_start + len(part.header) - self._base
            piece = self._buffer[start : min(upto, start + MAX_HEADER - len(part.header))]
            part.header += piece
            self._kept += len(piece)

    def _break_header(self, at: int) -> None:
        """A boundary or the mail's end at `at` ends a header without its blank line: every body in it is empty."""
        while self._in_header:
            self._keep_header(at)
            self._begin_body(at)

    def _begin_body(self, at: int) -> None:
        """The header of the innermost part ends before `at`."""
        part = self._stack[-1]
        self._settle(at - 1)
        part.body_start = self._base + at
        part.lines_before = self._lines + (self._buffer[at - 1] == LF)
        part.describe()
        self._in_header = False
        can_nest = len(self._stack) < MAX_DEPTH and self._parts < MAX_PARTS
        if part.main == "multipart":
            boundary = part.declared_boundary()
            if not boundary:
                part.main, part.sub, part.params = "text", "plain", ()
            elif not can_nest:
                part.main, part.sub, part.params = "application", "octet-stream", ()
            else:
                part.boundary = boundary
                self._seen.add(boundary)
                self._look_for_boundaries()
        elif can_nest and part.holds_mail():
            self._open(part.body_start, TEXT_PLAIN)

    def _look_for_boundaries(self) -> None:
        boundaries = tuple([each.boundary for each in self._stack if each.boundary])
        if boundaries == self._boundaries:
            return
        self._boundaries = boundaries
        self._longest = max(map(len, boundaries), default=0)
        lines = [b"\n--" + each for each in boundaries]
        low, high = min(lines, default=b""), max(lines, default=b"")
        # The longer the needle, the faster `find`. What the lowest and the highest share, all share.
        shared = next((index for index, octet in enumerate(low) if octet != high[index]), len(low))
        self._needle = low[:shared]

    def _settle(self, upto: int) -> None:
        """Count the line ends before `upto`, which will not be looked at again."""
        if upto > self._pos:
            self._lines += self._buffer.count(b"\n", self._pos, upto)
            self._pos = upto

    def _close(self, depth: int, body_end: int, lines: int) -> None:
        """End every open part from `depth` inwards."""
        while len(self._stack) > depth:
            innermost = self._stack[-1]
            if body_end < innermost.body_start:
                # A boundary right after the blank line: the line end between them stays with the header, and so
                # with all that hold it.
                body_end, lines = innermost.body_start, innermost.lines_before
            ended = self._stack.pop().ended(body_end, lines)
            if self._stack:
                self._stack[-1].children.append(ended)
            else:
                self._root = ended


def _word(value: bytes) -> str | None:
    found = _WORD.match(value)
    return found[0].decode("ascii").lower() if found else None


def _line(raw: bytes | None) -> bytes | None:
    return None if raw is None else headers.unfold(raw)

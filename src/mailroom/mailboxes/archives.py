# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Files of mails: a ZIP of EML, and mbox. Mails are written piece by piece, so that memory grows neither with a mail
nor with their number; hence a ZIP of our own: the standard library's keeps an object for each entry.

Nothing here knows the store.
"""

from __future__ import annotations

import re
import struct
import tempfile
import time
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO, Final, Protocol

from mailroom.core.clock import SECOND


@dataclass(frozen=True, slots=True)
class Entry:
    """A mail in an archive: where it lies in there, when it arrived (milliseconds), and its envelope sender."""

    path: str
    arrived_at: int
    sender: str


class Archive(Protocol):
    """An archive that is being written."""

    def begin(self, entry: Entry) -> None:
        """A mail follows."""

    def write(self, octets: bytes) -> None:
        """The next octets of the mail."""

    def end(self) -> None:
        """The mail is complete."""

    def finish(self) -> None:
        """The archive is complete."""

    def close(self) -> None:
        """Nothing more is written to it, whether or not it is complete. The file stays open."""


_FORBIDDEN: Final = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\u202a-\u202e\u2066-\u2069]')  # here, or on Windows
_DEVICES: Final = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
_PART_MOST: Final = 100  # octets; file systems take 255


def part(text: str) -> str:
    """A text as one part of a path that any system takes; "" may come out."""
    safe = _FORBIDDEN.sub("_", text).strip(" .").encode("utf-8", "replace")[:_PART_MOST].decode("utf-8", "ignore")
    safe = safe.rstrip(" .")
    return f"_{safe}" if _DEVICES.fullmatch(safe) else safe


def folder(name: str) -> str:
    """The name of a folder as a path, its parts made safe."""
    return str(PurePosixPath(*(part(each) or "_" for each in name.split("/"))))


_FROM: Final = re.compile(rb"(^|\n)(>*)From ")
_CUT: Final = re.compile(rb"(?:\r|F(?:r(?:om?)?)?)\Z")


class Mbox:
    """An mbox in the variant "mboxrd": lines end in LF; a line that begins with "From ", after any number of ">", is
    given one ">" more, so that a reader that knows can take it away again.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._rest = b""  # what may belong to what follows
        self._quotes = True  # nothing but ">" has come since the line began
        self._last = b""

    def begin(self, entry: Entry) -> None:
        sender = re.sub(r"\s", "", entry.sender) or "MAILER-DAEMON"
        moment = time.asctime(time.gmtime(entry.arrived_at // SECOND))
        self._file.write(f"From {sender} {moment}\n".encode("utf-8", "replace"))
        self._rest, self._quotes, self._last = b"", True, b"\n"

    def write(self, octets: bytes) -> None:
        octets = self._rest + octets
        cut = _CUT.search(octets, max(len(octets) - 4, 0))
        self._rest = octets[cut.start() :] if cut else b""
        self._put(octets[: len(octets) - len(self._rest)])

    def _put(self, octets: bytes) -> None:
        if not octets:
            return
        octets = octets.replace(b"\r\n", b"\n")
        quoted = octets
        if b"From " in octets:  # far quicker than to look for lines that begin with it
            # In the middle of a line the first "From " is none that begins it.
            quoted = _FROM.sub(rb"\1\2>From ", octets if self._quotes else b"." + octets)
            quoted = quoted if self._quotes else quoted[1:]
        self._file.write(quoted)
        _, newline, line = octets.rpartition(b"\n")
        self._quotes = (bool(newline) or self._quotes) and not line.strip(b">")
        self._last = octets[-1:]

    def end(self) -> None:
        self._put(self._rest)
        self._file.write(b"\n" if self._last == b"\n" else b"\n\n")

    def finish(self) -> None:
        """Nothing is left to be written."""

    def close(self) -> None:
        """Nothing is held."""


_LOCAL: Final = struct.Struct("<4sHHHHHLLLHH")
_CENTRAL: Final = struct.Struct("<4sHHHHHHLLLHHHHHLL")
_SIZES: Final = struct.Struct("<LLL")
_SIZES_AT: Final = 14  # in a local header
_MOMENT: Final = struct.Struct("<HHBl")  # the extended timestamp, which is of UTC
_FAR: Final = struct.Struct("<HHQ")
_END64: Final = struct.Struct("<4sQHHLLQQQQ")
_LOCATOR: Final = struct.Struct("<4sLQL")
_END: Final = struct.Struct("<4sHHHHLLH")
_UTF8: Final = 1 << 11
_DEFLATED: Final = 8
_UNIX: Final = 3 << 8
_MODE: Final = 0o100600 << 16
_MOST16: Final = (1 << 16) - 1
_MOST32: Final = (1 << 32) - 1
_CHUNK: Final = 1 << 20


@dataclass(slots=True)
class _Open:
    """The entry that is being written."""

    name: bytes
    at: int  # where its local header begins
    date: int
    time: int
    extra: bytes
    crc: int = 0
    size: int = 0
    compressed: int = 0


class Zip:
    """A ZIP. Names are UTF-8, times those of arrival. The directory, which stands at its end, is gathered on disk."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._directory = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the archive
        self._count = 0
        self._open = _Open(b"", 0, 0, 0, b"")
        self._deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)

    def begin(self, entry: Entry) -> None:
        seconds = entry.arrived_at // SECOND
        moment = max(time.gmtime(seconds), time.struct_time((1980, 1, 1, 0, 0, 0, 0, 1, 0)))
        date = min(moment.tm_year - 1980, 127) << 9 | moment.tm_mon << 5 | moment.tm_mday
        clock = moment.tm_hour << 11 | moment.tm_min << 5 | moment.tm_sec // 2
        extra = _MOMENT.pack(0x5455, 5, 1, seconds) if abs(seconds) < 1 << 31 else b""
        self._open = now = _Open(entry.path.encode(), self._file.tell(), date, clock, extra)
        self._deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
        header = _LOCAL.pack(
            b"PK\3\4", 20, _UTF8, _DEFLATED, now.time, now.date, 0, 0, 0, len(now.name), len(now.extra)
        )
        self._file.write(header + now.name + now.extra)

    def write(self, octets: bytes) -> None:
        now = self._open
        now.crc = zlib.crc32(octets, now.crc)
        now.size += len(octets)
        self._put(self._deflate.compress(octets))

    def _put(self, compressed: bytes) -> None:
        self._open.compressed += len(compressed)
        self._file.write(compressed)

    def end(self) -> None:
        self._put(self._deflate.flush())
        now, end = self._open, self._file.tell()
        sizes = _SIZES.pack(now.crc, now.compressed, now.size)
        self._file.seek(now.at + _SIZES_AT)
        self._file.write(sizes)
        self._file.seek(end)
        far = _FAR.pack(1, 8, now.at) if now.at >= _MOST32 else b""
        central = _CENTRAL.pack(
            b"PK\1\2",
            _UNIX | 45,
            45 if far else 20,
            _UTF8,
            _DEFLATED,
            now.time,
            now.date,
            *_SIZES.unpack(sizes),
            len(now.name),
            len(far) + len(now.extra),
            0,
            0,
            0,
            _MODE,
            min(now.at, _MOST32),
        )
        self._directory.write(central + now.name + far + now.extra)
        self._count += 1

    def finish(self) -> None:
        begins, size = self._file.tell(), self._directory.tell()
        self._directory.seek(0)
        while chunk := self._directory.read(_CHUNK):
            self._file.write(chunk)
        if self._count >= _MOST16 or begins + size >= _MOST32:
            end = _END64.pack(b"PK\6\6", 44, _UNIX | 45, 45, 0, 0, self._count, self._count, size, begins)
            self._file.write(end + _LOCATOR.pack(b"PK\6\7", 0, begins + size, 1))
        count = min(self._count, _MOST16)
        self._file.write(_END.pack(b"PK\5\6", 0, 0, count, count, min(size, _MOST32), min(begins, _MOST32), 0))

    def close(self) -> None:
        self._directory.close()

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A mail on its way in: its octets, digest and structure, gathered as they arrive, in flat memory."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from mailroom.mime.scan import Part, Scanner

# Up to here a mail lies in memory, and later in a row; beyond, in a file, and later in a blob.
SMALL = 64 * 1024
_ASK_EACH = 1024 * 1024  # octets after which the disk is asked again


class Spool:
    """Takes a mail's octets in order. Up to `SMALL` they stay in memory, beyond that in a file of `folder` that only we
    see. Not durable: `Blobs.keep` makes the file so. Leaving the context deletes what is left of it. Raises `OSError`
    from `write`, ENOSPC also when fewer than `reserve` octets of the disk are left, looked at each MiB.
    """

    def __init__(self, folder: Path, *, reserve: int = 0) -> None:
        self._folder = folder
        self._reserve = reserve
        self._ask_at = 0  # the size at which the disk is asked next
        self._chunks: list[bytes] = []
        self._file: BinaryIO | None = None
        self._path: Path | None = None
        self._digest = hashlib.sha256()
        self._scanner = Scanner()
        self.size = 0
        self.is_ascii = True  # so far: no octet has its eighth bit

    def write(self, chunk: bytes) -> None:
        """Take the next octets."""
        self._scanner.feed(chunk)
        self.keep(chunk)

    def keep(self, chunk: bytes) -> None:
        """Take the next octets without looking at them, for a mail whose parts are known. Raises as `write`."""
        self.size += len(chunk)
        self.is_ascii = self.is_ascii and chunk.isascii()
        if self._file is None:
            self._chunks.append(chunk)
            if self.size > SMALL:
                self._spill()
            return
        self._ask_disk()
        self._digest.update(chunk)
        self._file.write(chunk)

    def _ask_disk(self) -> None:
        if self.size < self._ask_at:
            return
        self._ask_at = self.size + _ASK_EACH
        disk = os.statvfs(self._folder)
        if disk.f_bavail * disk.f_frsize < self._reserve:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _spill(self) -> None:
        self._ask_disk()
        octets = b"".join(self._chunks)
        self._chunks.clear()
        self._digest.update(octets)
        handle, name = tempfile.mkstemp(prefix="incoming-", dir=self._folder)
        self._path = Path(name)
        self._file = os.fdopen(handle, "w+b")
        self._file.write(octets)

    def finish(self) -> Part:
        """No more octets come: the structure of the mail. Call it once."""
        self.flush()
        return self._scanner.finish()

    def flush(self) -> None:
        """No more octets come: all of them can be read, in the file too."""
        if self._file is not None:
            self._file.flush()

    def another(self) -> Spool:
        """An empty spool in the same place, under the same terms."""
        return Spool(self._folder, reserve=self._reserve)

    @property
    def sha256(self) -> str:
        """The digest, in hex, of a mail larger than `SMALL`."""
        return self._digest.hexdigest()

    @property
    def path(self) -> Path | None:
        """The file of a mail larger than `SMALL`."""
        return self._path

    def read(self, start: int, end: int) -> bytes:
        """The octets from `start` up to `end`; after `finish`."""
        if self._file is None:
            if len(self._chunks) > 1:
                self._chunks = [b"".join(self._chunks)]
            return self._chunks[0][start:end] if self._chunks else b""
        return os.pread(self._file.fileno(), end - start, start)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give up memory and file. Doing it again is harmless."""
        self._chunks.clear()
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk refuses the octets that were not written yet
                self._file.close()
            self._file = None
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None

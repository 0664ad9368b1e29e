# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Large bodies as files of a local disk, in two levels of folders by the beginning of their names.

A file to be kept that lies on the same file system is synced and renamed; another is first copied, to `incoming`.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mailroom.core import log
from mailroom.core.clock import DAY, SECOND, Clock
from mailroom.core.errors import NoSpace, Unavailable

_CHUNK = 256 * 1024
_NAME = re.compile("[0-9a-f]{64}")
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}

_log = log.get("blobs")


@dataclass(frozen=True, slots=True)
class Files:
    """A `ports.Blobs`."""

    folder: Path

    @property
    def incoming(self) -> Path:
        """For files that are not complete yet."""
        return self.folder / "incoming"

    async def keep(self, name: str, source: Path) -> None:
        await asyncio.to_thread(self._keep, name, source)

    async def read(self, name: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        with _meanings():
            handle = await asyncio.to_thread(os.open, self._path(name), os.O_RDONLY)
            try:
                while chunk := await asyncio.to_thread(_read, handle, start, end):
                    yield chunk
                    start += len(chunk)
            finally:
                os.close(handle)

    async def drop(self, name: str) -> None:
        with _meanings(), suppress(FileNotFoundError):
            await asyncio.to_thread(self._path(name).unlink)

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a SHA-256 in hex")
        return self.folder / name[:2] / name[2:4] / name

    def _keep(self, name: str, source: Path) -> None:
        target = self._path(name)
        with _meanings():
            _make_folder(target.parent)
            if not target.exists():
                _sync(source)
                try:
                    source.rename(target)
                except OSError as fault:
                    if fault.errno != errno.EXDEV:
                        raise
                    self._copy(source, target)
            # Also when it was there: whoever put it there may not have come as far as this.
            _sync(target.parent)

    def _copy(self, source: Path, target: Path) -> None:
        """`source` lies on another file system."""
        handle, copy = tempfile.mkstemp(prefix="incoming-", dir=self.incoming)
        os.close(handle)
        try:
            shutil.copyfile(source, copy)
            _sync(Path(copy))
            Path(copy).rename(target)
        finally:
            Path(copy).unlink(missing_ok=True)


def open_files(folder: Path, clock: Clock) -> Files:
    """The bodies in `folder`, which is made if need be. What was left in `incoming` more than a day ago, by a process
    that died, is deleted. Raises `NoSpace`, `Unavailable`.
    """
    files = Files(folder)
    with _meanings():
        _make_folder(files.incoming)
        for left in files.incoming.glob("incoming-*"):
            if left.stat().st_mtime * SECOND < clock() - DAY:
                left.unlink(missing_ok=True)
    return files


@contextmanager
def _meanings() -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        if fault.errno in _NO_SPACE:
            raise NoSpace from fault
        _log.error("blobs_failed", error=repr(fault))
        raise Unavailable(what="body store") from fault


def _read(handle: int, start: int, end: int | None) -> bytes:
    return os.pread(handle, _CHUNK if end is None else max(0, min(_CHUNK, end - start)), start)


def _make_folder(folder: Path) -> None:
    """Make it and its parents, durably, for our eyes only."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    _sync(folder.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

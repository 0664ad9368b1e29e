# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A serial line: lines of text in, octets out, nobody else on it, and flat memory whatever the other end sends."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Final

PROMPT: Final = ">"
_LINE_MOST: Final = 4096  # octets
_CHUNK: Final = 4096
# What the kernel calls serial lines. Merely to open another device may do something: a watchdog begins to count.
_SERIAL: Final = re.compile(r"/dev/(?:tty[A-Z]+[0-9]+|rfcomm[0-9]+|pts/[0-9]+)")


class Unusable(OSError):
    """There is no such line, or it is somebody else's."""


class Line:
    """An open line. `hear` is called with each line of text, and with `PROMPT`. Writing raises `OSError` once the other
    end is gone.
    """

    def __init__(self, descriptor: int, hear: Callable[[str], None], lose: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._hear = hear
        self._lose = lose
        self._unread = bytearray()
        self._may_write = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(descriptor, self._read)
        self.open = True

    @classmethod
    def at(cls, device: str, baud: int, *, hear: Callable[[str], None], lose: Callable[[], None]) -> Line:
        """Open the device; `lose` is called when it goes away. Raises `Unusable`."""
        descriptor = _open(device)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.ioctl(descriptor, termios.TIOCEXCL)
            _make_raw(descriptor, baud)
        except BlockingIOError:
            os.close(descriptor)
            raise Unusable("another process uses it") from None
        except (OSError, termios.error) as fault:
            os.close(descriptor)
            raise Unusable(f"it is no serial line ({fault})") from None
        return cls(descriptor, hear, lose)

    async def write(self, octets: bytes) -> None:
        """Send, as fast as the other end takes it."""
        while octets:
            if not self.open:
                raise ConnectionResetError("the line is closed")
            try:
                octets = octets[os.write(self._descriptor, octets) :]
            except BlockingIOError:
                await self._writable()

    async def _writable(self) -> None:
        self._may_write.clear()
        self._loop.add_writer(self._descriptor, self._may_write.set)
        try:
            await self._may_write.wait()
        finally:
            if self.open:
                self._loop.remove_writer(self._descriptor)

    def close(self) -> None:
        """Let go of the line."""
        if self.open:
            self.open = False
            self._loop.remove_reader(self._descriptor)
            self._loop.remove_writer(self._descriptor)
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._descriptor, termios.TIOCNXCL)
            os.close(self._descriptor)
            self._may_write.set()

    def _read(self) -> None:
        try:
            octets = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return
        except OSError:  # EIO: it was pulled out
            octets = b""
        if not octets:
            self.close()
            self._lose()
            return
        self._unread += octets
        *lines, rest = re.split(rb"[\r\n]", self._unread)
        if rest.startswith(PROMPT.encode()):  # no end of line follows it
            lines.append(PROMPT.encode())
            rest = b""
        self._unread = bytearray(rest[:_LINE_MOST])
        for line in lines:
            if text := line[:_LINE_MOST].decode("latin-1").strip():
                self._hear(text)


def _open(device: str) -> int:
    real = os.path.realpath(device)
    try:
        if not _SERIAL.fullmatch(real) or not Path(real).is_char_device():
            raise Unusable("it is no serial line")
        return os.open(real, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except Unusable:
        raise
    except OSError as fault:
        raise Unusable(os.strerror(fault.errno or 0)) from None


def _make_raw(descriptor: int, baud: int) -> None:
    *_, control = termios.tcgetattr(descriptor)
    speed: int = getattr(termios, f"B{baud}")
    eight_bits = termios.CS8 | termios.CREAD | termios.CLOCAL
    termios.tcsetattr(descriptor, termios.TCSANOW, [0, 0, eight_bits, 0, speed, speed, control])
    termios.tcflush(descriptor, termios.TCIOFLUSH)

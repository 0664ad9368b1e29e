# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A client that says IMAP commands as they stand and takes answers apart, for any server.

An answer becomes nested lists of octets: strings are what they hold, `BODY[...]` and atoms what they are.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO, Self

PATIENCE = 20.0

_TOKEN = re.compile(
    rb'(?P<space> +)|(?P<open>\()|(?P<close>\))|"(?P<quoted>(?:[^"\\]|\\.)*)"|~?\{(?P<literal>[0-9]+)\}\r\n'
    rb"|(?P<atom>(?:[^ ()\[\"\r\n]|\[[^\]]*\])+)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Answer:
    """What a server said to one command: its untagged lines with their literals, and how it ended."""

    lines: list[bytes]
    status: str  # OK, NO, BAD
    text: bytes

    @property
    def code(self) -> str:
        """The first word of the response code."""
        found = re.match(rb"\[([A-Z-]+)", self.text)
        return found[1].decode() if found else ""


class Talk:
    """One connection, not asynchronous."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._file: BinaryIO = self._socket.makefile("rb")
        self._number = 0
        self.greeting = self._file.readline()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def __call__(self, command: bytes) -> Answer:
        """Say a command, without its tag and last line end, and hear its answer. Literals in it must be `{n+}`."""
        self._number += 1
        tag = b"t%d" % self._number
        self._socket.sendall(tag + b" " + command + b"\r\n")
        lines: list[bytes] = []
        while True:
            line = self._line()
            if line.startswith(tag + b" "):
                status, _, text = line[len(tag) + 1 :].partition(b" ")
                return Answer(lines, status.decode(), text)
            assert line, f"hung up after {command!r}: {lines!r}"
            assert line.startswith(b"* "), f"{command!r}: {line!r}"
            lines.append(line[2:])

    def ok(self, command: bytes) -> Answer:
        """As a call, and the answer must be OK."""
        answer = self(command)
        assert answer.status == "OK", (command, answer.text)
        return answer

    def _line(self) -> bytes:
        line = b""
        while True:
            line += self._file.readline()
            literal = re.search(rb"\{([0-9]+)\}\r\n\Z", line)
            if literal is None:
                return line.removesuffix(b"\r\n")
            line += self._file.read(int(literal[1]))


def values(octets: bytes) -> list[object]:
    """The octets of an answer as nested lists: None for NIL."""
    stack: list[list[object]] = [[]]
    at = 0
    while at < len(octets):
        token = _TOKEN.match(octets, at)
        assert token is not None, octets[at:]
        at = token.end()
        if token["open"]:
            stack.append([])
        elif token["close"]:
            done = stack.pop()
            stack[-1].append(done)
        elif token["literal"]:
            size = int(token["literal"])
            stack[-1].append(octets[at : at + size])
            at += size
        elif token["quoted"] is not None:
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", token["quoted"]))
        elif token["atom"]:
            stack[-1].append(None if token["atom"].upper() == b"NIL" else token["atom"])
    assert len(stack) == 1, octets
    return stack[0]


def fetched(lines: Sequence[bytes]) -> dict[int, dict[bytes, object]]:
    """FETCH answers by message number; several for one mail are put together."""
    found: dict[int, dict[bytes, object]] = {}
    for line in lines:
        match = re.match(rb"([0-9]+) FETCH ", line)
        if match:
            [items] = values(line[match.end() :])
            assert isinstance(items, list)
            found.setdefault(int(match[1]), {}).update(zip(items[::2], items[1::2], strict=True))
    return found

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Several sessions on one folder, each with a mirror of what it has been told. Whatever they do, in any order: every
number that a client is told of is the one that its mirror has, and once all have caught up the mirrors are the folder.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from mailroom.storage.engines import open_store
from tests import make
from tests.protocols.imap.room import Client, Room, room
from tests.protocols.imap.talk import values

CLIENTS = 3
MAIL = make.mail(body="x")

Step = tuple[int, str, int, int]

COMMANDS = {
    "append": "APPEND {folder} ({flag}) {{{size}+}}\r\n{mail}",
    "noop": "NOOP",
    "fetch": "FETCH {one}:{other} (UID FLAGS)",
    "fetch all": "UID FETCH 1:* (FLAGS)",
    "fetch one": "UID FETCH {uid} (FLAGS MODSEQ)",
    "read": "FETCH {one}:{other} BODY[]",
    "mark": "STORE {one}:{other} +FLAGS ({flag})",
    "unmark": "STORE {one} -FLAGS ({flag})",
    "replace": "UID STORE {uid}:* FLAGS ({flag} word{key})",
    "mark silently": "UID STORE {uid}:* +FLAGS.SILENT (\\Deleted)",
    "expunge": "EXPUNGE",
    "expunge one": "UID EXPUNGE {uid}",
    "copy": "COPY {one}:{other} {folder}",
    "move here": "UID MOVE {uid} {folder}",
    "move away": "MOVE {one} Trash",
    "search": "SEARCH RETURN (ALL SAVE) DELETED",
    "use": "FETCH $ (UID FLAGS)",
    "sort": "UID SORT (REVERSE ARRIVAL) UTF-8 ALL",
    "open anew": "SELECT {folder}",
    "check": "CHECK",
}
FLAGS = ("\\Seen", "\\Deleted", "\\Flagged", "Later")

steps = some.lists(
    some.tuples(
        some.integers(0, CLIENTS - 1), some.sampled_from(sorted(COMMANDS)), some.integers(0, 9), some.integers(0, 9)
    ),
    min_size=5,
    max_size=40,
)


@dataclass
class Mirror:
    """A client, and the folder as it must be by all that it was told. A mail is its UID and its flags, if told."""

    client: Client
    folder: str
    mails: list[tuple[int | None, frozenset[bytes] | None]] = field(default_factory=list)

    async def do(self, command: str) -> None:
        answer = await self.client(command)
        assert answer.status != "BAD" or not self.mails or "$" in command, (command, answer)
        if command.startswith("SELECT"):
            self.mails = []
        if ".SILENT" in command:  # it was this client's wish not to be told
            self.mails = [(uid, None) for uid, _ in self.mails]
        for line in answer.lines:
            assert b"EXPUNGE" not in line or not command.startswith(("FETCH", "STORE", "SEARCH")), (command, line)
            self.learn(line)

    def learn(self, line: bytes) -> None:
        if match := re.fullmatch(rb"(\d+) EXISTS", line):
            assert int(match[1]) >= len(self.mails), line
            self.mails += [(None, None)] * (int(match[1]) - len(self.mails))
        elif match := re.fullmatch(rb"(\d+) EXPUNGE", line):
            del self.mails[int(match[1]) - 1]
        elif match := re.fullmatch(rb"VANISHED ([\d:,]+)", line):
            gone = numbers(match[1])
            assert gone <= {uid for uid, _ in self.mails} or None in {uid for uid, _ in self.mails}
            known = [mail for mail in self.mails if mail[0] not in gone]
            unknown = len(gone) - (len(self.mails) - len(known))
            for _ in range(unknown):  # which of them, nobody has said; they came last
                known.remove((None, None))
            self.mails = known
        elif match := re.match(rb"(\d+) FETCH ", line):
            self.fetched(int(match[1]), line[match.end() :])

    def fetched(self, number: int, said: bytes) -> None:
        [items] = values(said)
        assert isinstance(items, list)
        told = dict(zip(items[::2], items[1::2], strict=True))
        uid, flags = self.mails[number - 1]
        if b"UID" in told:
            now = int(told[b"UID"])
            assert uid in {None, now}, (number, uid, now)
            uid = now
        if b"FLAGS" in told:
            flags = frozenset(told[b"FLAGS"])
        self.mails[number - 1] = (uid, flags)


def numbers(written: bytes) -> set[int]:
    found: set[int] = set()
    for part in written.split(b","):
        first, _, last = part.partition(b":")
        found |= set(range(int(first), int(last or first) + 1))
    return found


async def walk(place: Room, number: int, made: list[Step]) -> None:
    folder = f"run{number}"
    mirrors = []
    async with place.open() as one, place.open() as two, place.open() as three:
        await one.ok(f"CREATE {folder}")
        await three.ok("ENABLE QRESYNC")
        for client in (one, two, three):
            mirrors.append(Mirror(client, folder))
            await mirrors[-1].do(f"SELECT {folder}")
        for who, what, first, second in made:
            mirror = mirrors[who]
            await mirror.do(worded(what, mirror, first, second))
        for mirror in mirrors:
            await mirror.do("NOOP")
        truth = Mirror(two, folder)
        await truth.do(f"SELECT {folder}")
        await truth.do("UID FETCH 1:* (FLAGS)")
        for mirror in mirrors:
            told = [
                (uid or real[0], flags or real[1]) for (uid, flags), real in zip(mirror.mails, truth.mails, strict=True)
            ]
            assert told == truth.mails


def worded(what: str, mirror: Mirror, first: int, second: int) -> str:
    one, other = sorted((first % max(len(mirror.mails), 1) + 1, second % max(len(mirror.mails), 1) + 1))
    return COMMANDS[what].format(
        folder=mirror.folder,
        one=one,
        other=other,
        uid=first + 1,
        flag=FLAGS[second % len(FLAGS)],
        key=second,
        mail=MAIL.decode(),
        size=len(MAIL),
    )


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_numbers_always_agree(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url = str(request.getfixturevalue(f"{engine}_url"))
    with asyncio.Runner() as runner:
        store = open_store(url)
        opened = room(store, tmp_path)
        place = runner.run(opened.__aenter__())
        count = iter(range(10_000))

        @settings(max_examples=60 if engine == "sqlite" else 20)
        @given(steps)
        def check(made: list[Step]) -> None:
            runner.run(walk(place, next(count), made))

        try:
            check()
        finally:
            runner.run(opened.__aexit__(None, None, None))
            runner.run(store.close())

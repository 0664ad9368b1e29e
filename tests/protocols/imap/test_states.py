# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Every command in every state: heard where the table says so, BAD elsewhere, and never the end of the connection."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import structlog

from mailroom.protocols.imap.commands import TABLE
from mailroom.protocols.imap.grammar import commands, values
from mailroom.protocols.imap.session import State
from mailroom.storage.ports import Store
from tests.protocols.imap.room import Client, room

COMMANDS: Sequence[str] = [
    *["CAPABILITY", "NOOP", 'ID ("name" "test")', "ENABLE CONDSTORE", "CHECK", "NAMESPACE", "IDLE"],
    *['LIST "" *', 'LSUB "" *', 'XLIST "" *', "STATUS INBOX (MESSAGES)", "CREATE x", "RENAME x y", "DELETE y"],
    *["SUBSCRIBE INBOX", "UNSUBSCRIBE INBOX", "APPEND Drafts {5+}\r\nA: b\n", "GETQUOTAROOT INBOX"],
    *["GETQUOTA amy@corp.example", "SETQUOTA x (STORAGE 1)", "GETACL INBOX", "MYRIGHTS INBOX", "LISTRIGHTS INBOX amy"],
    *["SETACL INBOX bob lr", "DELETEACL INBOX bob", "FETCH 1 FLAGS", "UID FETCH 1 FLAGS", "STORE 1 +FLAGS \\Seen"],
    *["SEARCH ALL", "SORT (DATE) UTF-8 ALL", "THREAD REFERENCES UTF-8 ALL", "COPY 1 Sent", "MOVE 1 Trash", "EXPUNGE"],
    *["UID EXPUNGE 1", "CLOSE", "SELECT INBOX", "UNSELECT", "EXAMINE INBOX", "STARTTLS"],
    *["AUTHENTICATE PLAIN =", "LOGIN amy wrong", "COMPRESS DEFLATE", "LOGOUT"],
]
REFUSED = {"SETQUOTA", "SETACL", "DELETEACL"}


def test_the_table_has_every_command_and_so_has_this_test() -> None:
    assert set(TABLE) == set(values.Command.__args__)
    named = {type(commands.parse(f"a {words}".encode())[1]) for words in COMMANDS if not words.startswith("APPEND")}
    assert named | {values.Append} == set(TABLE)


async def test_a_stranger(store: Store, tmp_path: Path) -> None:
    await every_command(store, tmp_path, State.NOT_AUTHENTICATED)


async def test_a_member(store: Store, tmp_path: Path) -> None:
    await every_command(store, tmp_path, State.AUTHENTICATED)


async def test_with_a_folder_open(store: Store, tmp_path: Path) -> None:
    await every_command(store, tmp_path, State.SELECTED)


async def every_command(store: Store, folder: Path, state: State) -> None:
    async with room(store, folder) as place:
        await place.deliver("one", "two")
        with structlog.testing.capture_logs() as lines:
            for words in COMMANDS:
                async with place.call() as c:
                    await come_to(c, state)
                    await say(c, words, state)
        assert not [line for line in lines if line["log_level"] == "error"]


async def come_to(c: Client, state: State) -> None:
    if state is not State.NOT_AUTHENTICATED:
        await c.login("amy")
    if state is State.SELECTED:
        await c.ok("SELECT INBOX")


async def say(c: Client, words: str, state: State) -> None:
    tag = await c.say(words)
    if words == "IDLE" and state is not State.NOT_AUTHENTICATED:
        await c.expect(r"\+ .*")
        await c.send(b"DONE\r\n")
    answer = await c.answer(tag)
    command = values.Append if words.startswith("APPEND") else type(commands.parse(f"a {words}".encode())[1])
    is_heard = state in TABLE[command].states
    verb = words.split(maxsplit=1)[0]
    if verb in {"STARTTLS", "AUTHENTICATE"}:  # there is no certificate here, and the answer is no base64
        assert answer.status == "BAD"
    elif not is_heard:
        assert (answer.status, answer.text) == ("BAD", b"not now"), words
    elif verb in REFUSED or words == "LOGIN amy wrong":
        assert answer.status == "NO", words
    else:
        assert answer.status == "OK", (words, answer)
    if verb == "LOGOUT":
        await c.expect_end()
    elif verb != "COMPRESS" or not is_heard:
        await c.ok("NOOP")

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The kill test for long work: a real server is killed at random points while it copies a mailbox into another and
writes it to a file. However often it dies, in the end each mail is there once, and the file is whole.
"""

from __future__ import annotations

import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from mailroom.core import settings
from mailroom.core.ids import FolderId, JobId, MailboxId
from mailroom.directory import addresses
from mailroom.directory.model import SYSTEM
from mailroom.mailboxes import access, append, backup, contents, export, folders
from mailroom.mailboxes.contents import Small
from mailroom.mailboxes.export import Form
from mailroom.mime.scan import scan
from mailroom.mime.structure import summarise
from mailroom.runtime.app import open_app
from mailroom.storage.ports import Tx
from tests import make
from tests.kill.checker import CONTRADICTIONS, Query, check_file, copy_of, live, reader
from tests.kill.conftest import furnish
from tests.kill.siege import Reader, Siege

pytestmark = pytest.mark.chaos

_FOLDERS = ("INBOX", "Sent", "Work/2025", "Work/2026")
_MAILS = 600  # in each folder, to begin with
_MORE = 300  # in each, when all is copied and the killing goes on
_LIVES_MOST = 0.4  # seconds from a server's first word to its death
_DIES_EARLY = 0.1  # of the servers, while they start
_OCTETS = make.mail(size=2_000)
_SUMMARY = summarise(scan(_OCTETS), lambda start, end: _OCTETS[start:end])


@dataclass
class Copied(Siege):
    """Ann's mailbox, which is copied into Bob's; each mail is known by its internal date."""

    mails: int = 0

    async def begin(self, number: int) -> JobId:
        """So many mails more in each folder, which are to be copied; and a file is asked for, the first time."""
        async with open_app(settings.load(None, self.variables)) as app:
            for name in _FOLDERS:
                for _ in range(number // 100):
                    await app.store.write(partial(self._fill, name=name, number=100))
            job_id = await app.store.write(_start)
            if self.mails == number * len(_FOLDERS):
                ann = await app.store.read(lambda tx: _mailbox(tx, "ann"))
                await app.store.write(lambda tx: export.start(tx, SYSTEM, ann, Form.ZIP))
        return job_id

    def _fill(self, tx: Tx, *, name: str, number: int) -> None:
        into = _folder(tx, _mailbox(tx, "ann"), name)
        for _ in range(number):
            content_id = contents.add(tx, Small(_OCTETS), _SUMMARY, size=len(_OCTETS), refs=1)
            self.mails += 1
            append.append(tx, content_id, into=into, size=len(_OCTETS), internal_date=self.mails)


def _start(tx: Tx) -> JobId:
    return backup.start(tx, SYSTEM, _mailbox(tx, "ann"), _mailbox(tx, "bob")).id


def _mailbox(tx: Tx, userid: str) -> MailboxId:
    return access.by_address(tx, addresses.parse(f"{userid}@kill.test")).id


def _folder(tx: Tx, mailbox_id: MailboxId, name: str) -> FolderId:
    found = folders.by_name(tx, mailbox_id, name)
    return found.id if found else folders.create(tx, mailbox_id, name)


@pytest_asyncio.fixture
async def siege(tmp_path: Path) -> AsyncIterator[Copied]:
    """A town besieged."""
    async with Copied.of(tmp_path) as begun:
        yield begun


async def test_a_backup_outlives_its_servers_on_sqlite(siege: Copied, kills: int) -> None:
    database = siege.data / "mailroom.db"
    await _besiege(siege, kills, dead=lambda: copy_of(database), alive=lambda: live(database))
    with copy_of(database) as query:
        assert check_file(query) == []


async def test_a_backup_outlives_its_servers_on_postgresql(siege: Copied, postgres_url: str, kills: int) -> None:
    siege = replace(siege, variables={**siege.variables, "MAILROOM_DATABASE": postgres_url})
    await _besiege(siege, max(1, kills // 4), dead=lambda: reader(postgres_url), alive=lambda: reader(postgres_url))


async def _besiege(siege: Copied, kills: int, *, dead: Reader, alive: Reader) -> None:
    await furnish(siege.variables, push_url="")
    job, runs = await siege.begin(_MAILS), 0
    for _ in range(kills):
        await siege.kill_one(lives_most=_LIVES_MOST, dies_early=_DIES_EARLY)
        with dead() as query:
            assert _complaints(query, whole=False) == []
            [(state,)] = query(f"SELECT state FROM jobs WHERE id = {job}")  # noqa: S608 # a number
        if state == "done":
            job, runs = await siege.begin(_MORE), runs + 1
    await siege.drain(alive)
    with dead() as query:
        assert _complaints(query, whole=True) == []
        assert {state for (state,) in query("SELECT state FROM jobs")} == {"done"}
        [(name, mails)] = query("SELECT id, total FROM jobs WHERE kind = 'export'")
    with zipfile.ZipFile(siege.data / f"exports/{name}.zip") as file:
        assert file.testzip() is None
        assert len(file.namelist()) == mails >= _MAILS * len(_FOLDERS)
    assert '"error"' not in siege.log.read_text()
    print(f"{kills} kills, {runs} backups done among them, {siege.mails} mails")


_TREE = """
SELECT folders.name, mails.internal_date, mails.content_id FROM mails JOIN folders ON folders.id = mails.folder_id
JOIN addresses ON addresses.mailbox_id = folders.mailbox_id WHERE addresses.address = '{}' AND mails.internal_date < {}
"""
_OURS = 1_000_000  # internal dates from here on are of the mails that tell of the backup


def _complaints(query: Query, *, whole: bool) -> list[str]:
    """What is wrong. When all should be copied, that is more."""
    complaints = [f"{what}: {row}" for what, statement in CONTRADICTIONS.items() for row in query(statement)]
    source = sorted(query(_TREE.format("ann@kill.test", _OURS)))
    copied = [
        (name.split("/", 1)[1], date, content) for name, date, content in query(_TREE.format("bob@kill.test", _OURS))
    ]
    if len(set(copied)) != len(copied):
        complaints.append(f"{len(copied) - len(set(copied))} copies are there twice")
    if foreign := set(copied) - set(source):
        complaints.append(f"{len(foreign)} copies of nothing")
    if whole and sorted(copied) != source:
        complaints.append(f"{len(source) - len(copied)} mails of {len(source)} are not copied")
    return complaints

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A real server is killed at random points while it purges a mailbox and sees a member off. However often it dies, a
mailbox is there or is not, what is there is counted right, and who takes the address next finds nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from mailroom.core import settings
from mailroom.core.ids import MailboxId
from mailroom.directory import addresses, members
from mailroom.directory.model import SYSTEM
from mailroom.mailboxes import access, append, change, contents, create, folders, offboard, purge, recycle
from mailroom.mailboxes.contents import Small
from mailroom.mailboxes.model import FolderRole, Source
from mailroom.mailboxes.offboard import Wish
from mailroom.mailboxes.uids import EVERY
from mailroom.mime.scan import scan
from mailroom.mime.structure import summarise
from mailroom.runtime.app import open_app
from mailroom.storage.ports import Tx
from tests import make
from tests.kill.checker import CONTRADICTIONS, Query, check_file, copy_of, live, reader
from tests.kill.conftest import furnish
from tests.kill.ledger import DOMAIN
from tests.kill.siege import Reader, Siege

pytestmark = pytest.mark.chaos

ANN, BOB, CY = (f"{each}@{DOMAIN}" for each in ("ann", "bob", "cy"))
_MAILS = 1_500  # in the mailbox that is purged
_LIVES_MOST = 0.5  # seconds from a server's first word to its death
_OCTETS = make.mail(size=2_000)
_SUMMARY = summarise(scan(_OCTETS), lambda start, end: _OCTETS[start:end])


@dataclass
class Farewells(Siege):
    """Ann's mailbox is purged again and again; Bob leaves once, and his mail is copied into Cy's."""

    async def begin(self) -> None:
        """Bob leaves, with some mail."""
        async with open_app(settings.load(None, self.variables)) as app:
            for _ in range(8):
                await app.store.write(partial(_fill, address=BOB, number=100))
            into = await app.store.read(lambda tx: _mailbox(tx, CY))
            await app.store.write(lambda tx: offboard.start(tx, SYSTEM, members.get(tx, "bob"), Wish(into=into)))

    async def fill_and_purge(self) -> None:
        """Ann's mailbox, a new one but for the first time, has mail that is also Cy's, and is to be purged."""
        async with open_app(settings.load(None, self.variables)) as app:
            await app.store.write(_renew)
            for _ in range(_MAILS // 100):
                await app.store.write(partial(_fill, address=ANN, number=100))
            await app.store.write(_share_and_purge)


def _mailbox(tx: Tx, address: str) -> MailboxId:
    return access.by_address(tx, addresses.parse(address)).id


def _fill(tx: Tx, *, address: str, number: int) -> None:
    into = make.folder(tx, _mailbox(tx, address)).id
    for _ in range(number):
        content_id = contents.add(tx, Small(_OCTETS), _SUMMARY, size=len(_OCTETS), refs=1)
        append.append(tx, content_id, into=into, size=len(_OCTETS), internal_date=tx.now)


def _renew(tx: Tx) -> None:
    """Who takes the address finds nothing."""
    address = addresses.parse(ANN)
    if addresses.resolve(tx, address) is None:
        mailbox_id = create.personal(tx, SYSTEM, members.get(tx, "ann"), address)
        assert make.folder(tx, mailbox_id).mails == 0
        folders.create(tx, mailbox_id, "Work/2026")


def _share_and_purge(tx: Tx) -> None:
    ann, cy = _mailbox(tx, ANN), _mailbox(tx, CY)
    change.copy(tx, make.folder(tx, ann).id, ((1, 50),), into=make.folder(tx, cy).id)
    change.copy(tx, make.folder(tx, ann).id, EVERY, into=make.folder(tx, ann, FolderRole.SENT).id)
    recycle.enter(tx, SYSTEM, ann, Source.UNBOUND)
    purge.start(tx, SYSTEM, ann)


@pytest_asyncio.fixture
async def siege(tmp_path: Path) -> AsyncIterator[Farewells]:
    """A town besieged."""
    async with Farewells.of(tmp_path) as begun:
        yield begun


async def test_purges_and_farewells_outlive_their_servers_on_sqlite(siege: Farewells, kills: int) -> None:
    database = siege.data / "mailroom.db"
    await _besiege(siege, kills, dead=lambda: copy_of(database), alive=lambda: live(database))
    with copy_of(database) as query:
        assert check_file(query) == []


async def test_purges_and_farewells_outlive_their_servers_on_postgresql(
    siege: Farewells, postgres_url: str, kills: int
) -> None:
    siege = replace(siege, variables={**siege.variables, "MAILROOM_DATABASE": postgres_url})
    await _besiege(siege, max(1, kills // 4), dead=lambda: reader(postgres_url), alive=lambda: reader(postgres_url))


async def _besiege(siege: Farewells, kills: int, *, dead: Reader, alive: Reader) -> None:
    await furnish(siege.variables, push_url="")
    await siege.begin()
    await siege.fill_and_purge()
    purges = 1
    for _ in range(kills):
        await siege.kill_one(lives_most=_LIVES_MOST)
        with dead() as query:
            assert _complaints(query) == []
            is_purged = not query("SELECT id FROM jobs WHERE kind = 'purge' AND state <> 'done'")
        if is_purged:
            await siege.fill_and_purge()
            purges += 1
    await siege.drain(alive)
    with dead() as query:
        assert _complaints(query) == []
        assert set(query("SELECT state FROM jobs")) == {("done",)}
        assert query(f"SELECT 1 FROM addresses WHERE address = '{ANN}'") == []  # noqa: S608 # ours
        assert query("SELECT state FROM recycled WHERE address LIKE 'ann%'") == [("expired",)] * purges
        assert query("SELECT state, source FROM recycled WHERE address LIKE 'bob%'") == [("waiting", "deleted_member")]
        assert query("SELECT status FROM members WHERE userid = 'bob'") == [("removed",)]
        copied = "SELECT folders.mails FROM folders WHERE folders.name LIKE 'bob@%/INBOX'"
        assert query(copied) == [(800,)]
    assert '"error"' not in siege.log.read_text()
    print(f"{kills} kills, {purges} purges")


def _complaints(query: Query) -> list[str]:
    complaints = [f"{what}: {row}" for what, statement in CONTRADICTIONS.items() for row in query(statement)]
    without = """SELECT id FROM mailboxes WHERE status = 'recycled' AND id NOT IN
        (SELECT mailbox_id FROM recycled WHERE state IN ('waiting', 'purging'))"""
    complaints += [f"in the bin without an entry: {row}" for row in query(without)]
    halves = """SELECT id FROM mailboxes WHERE id NOT IN
        (SELECT mailbox_id FROM addresses WHERE role = 'primary' AND mailbox_id IS NOT NULL)"""
    return complaints + [f"half purged: {row}" for row in query(halves)]

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""On PostgreSQL, whatever changes mails locks in one order: mailboxes, folders, contents."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select

from mailroom.core.errors import NameTaken, NoPermission, NotFound
from mailroom.core.ids import FolderId, MailboxId, Modseq
from mailroom.core.secrets import Secret
from mailroom.delivery.posting import Addressee, Envelope
from mailroom.directory import clients, members, policies, rights
from mailroom.directory.model import SYSTEM, Principal, Service
from mailroom.mailboxes import change, folders, read
from mailroom.mailboxes.change import How
from mailroom.mailboxes.model import Flag, FolderRole, Marks
from mailroom.mailboxes.uids import EVERY, ranges
from mailroom.storage import schema
from mailroom.storage.engines import open_store
from mailroom.storage.ports import Tx
from tests import make

UIDS = ((1, 8),)
_REFS = select(schema.contents.c.id, schema.contents.c.refs)
WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND query_start < clock_timestamp() - interval '100 ms' AND datname = %s
"""

Verb = Callable[[Tx, FolderId, FolderId], object]


def copy(tx: Tx, source: FolderId, target: FolderId) -> object:
    return change.copy(tx, source, UIDS, into=target)


def move(tx: Tx, source: FolderId, target: FolderId) -> object:
    return change.move(tx, source, UIDS, into=target)


def expunge(tx: Tx, source: FolderId, _target: FolderId) -> object:
    return change.expunge(tx, source)


def remove(tx: Tx, _source: FolderId, _target: FolderId) -> object:
    folders.remove(tx, folders.create(tx, MailboxId(1), "new"))
    return True


def rename_inbox(tx: Tx, _source: FolderId, _target: FolderId) -> object:
    folders.rename(tx, MailboxId(1), "INBOX", "new")
    return True


@pytest.mark.parametrize(
    ("verb", "held"),
    [(copy, "bob"), (move, "amy"), (move, "bob"), (expunge, "amy"), (remove, "amy"), (rename_inbox, "amy")],
)
async def test_who_waits_for_a_mailbox_holds_no_folder(postgres_url: str, verb: Verb, held: str) -> None:
    store = open_store(postgres_url)
    made = (await make.organisation(store)).mailboxes
    source, target = await store.read(lambda tx: [make.folder(tx, made[userid]).id for userid in ("amy", "bob")])
    await store.write(lambda tx: make.appended(tx, source, flags=Flag.DELETED))

    with psycopg.connect(postgres_url, autocommit=True) as watcher, psycopg.connect(postgres_url) as holder:
        holder.execute("SELECT 1 FROM mailboxes WHERE id = %s FOR NO KEY UPDATE", [made[held]])
        changed = asyncio.ensure_future(store.write(lambda tx: verb(tx, source, target)))
        async with asyncio.timeout(4):
            while watcher.execute(WAITING, [holder.info.dbname]).fetchone() != (1,):  # noqa: ASYNC110  # another process's state
                await asyncio.sleep(0.01)
        assert len(watcher.execute("SELECT 1 FROM folders FOR UPDATE NOWAIT").fetchall()) > 2
    assert await changed
    await store.close()


async def test_copies_to_and_fro_among_deliveries_all_come_through(postgres_url: str, tmp_path: Path) -> None:
    store, other = open_store(postgres_url), open_store(postgres_url)
    made = (await make.organisation(store)).mailboxes
    inboxes = await store.read(lambda tx: [make.folder(tx, made[userid]).id for userid in ("amy", "bob")])
    acceptance = make.acceptance(store, tmp_path)
    for _ in range(4):
        await make.delivered(acceptance, make.mail(), "amy@corp.example", "bob@corp.example")

    async def transfer(number: int) -> None:
        source, target = inboxes if number % 2 else inboxes[::-1]
        node = store if number % 4 < 2 else other
        uids = ranges([1 + number % 4, 1 + (number + 1) % 4])
        verb = change.move if number % 5 == 0 else change.copy
        await node.write(lambda tx: verb(tx, source, uids, into=target))

    async def expunge_some(number: int) -> None:
        folder_id = inboxes[number % 2]
        await other.write(
            lambda tx: change.mark(tx, folder_id, ((5 + number, 5 + number),), How.ADD, Marks(Flag.DELETED))
        )
        await other.write(lambda tx: change.expunge(tx, folder_id))

    async with asyncio.timeout(60):
        await asyncio.gather(
            *(transfer(number) for number in range(60)),
            *(make.delivered(acceptance, make.mail(), "bob@corp.example", "amy@corp.example") for _ in range(60)),
            *(expunge_some(number) for number in range(20)),
        )

    def look(tx: Tx) -> None:
        for userid in ("amy", "bob"):
            folder = make.folder(tx, made[userid])
            mails = [headline.mail for headline in read.headlines(tx, folder.id, limit=1000)]
            assert folder.mails == len(mails)
            assert read.mailbox(tx, made[userid]).used == sum(mail.size for mail in mails)

    await store.read(look)
    await store.close()
    await other.close()


async def test_folders_come_and_go_while_mails_are_put_into_them(postgres_url: str) -> None:
    store, other = open_store(postgres_url), open_store(postgres_url)
    amy = (await make.organisation(store)).mailboxes["amy"]
    trash = (await store.read(lambda tx: make.folder(tx, amy, FolderRole.TRASH))).id
    refused = 0

    async def attempt(number: int) -> None:
        nonlocal refused
        try:
            await (store if number % 2 else other).write(lambda tx: turn(tx, number))
        except (NotFound, NameTaken):
            refused += 1

    def turn(tx: Tx, number: int) -> None:
        name = f"a/{number % 3}"
        if number % 7 == 0:
            folders.create(tx, amy, name)
            return
        folder = folders.by_name(tx, amy, name)
        if folder is None:
            raise NotFound(what="folder", name=name)
        verb = number % 7
        if verb == 1:
            folders.remove(tx, folder.id)
        elif verb == 2:
            folders.rename(tx, amy, name, f"a/{(number + 1) % 3}")
        elif verb == 3:
            change.copy(tx, folder.id, EVERY, into=trash)
        elif verb == 4:
            change.mark(tx, folder.id, EVERY, How.ADD, Marks(Flag.DELETED, frozenset({"Work"})))
        else:
            make.appended(tx, folder.id, keywords=["Home"])

    async with asyncio.timeout(60):
        await asyncio.gather(*(attempt(number * 5 % 211) for number in range(211)))

    def look(tx: Tx) -> None:
        every = read.folders(tx, amy)
        shown: Counter[int] = Counter()
        for folder in every:
            mails = read.changes(tx, folder.id, since=Modseq(0)).changed
            assert (folder.mails, folder.size) == (len(mails), sum(mail.size for mail in mails))
            shown.update(mail.content_id for mail in mails)
        assert read.mailbox(tx, amy).used == sum(folder.size for folder in every)
        assert {row[0]: row[1] for row in tx.all(_REFS)} == shown

    await store.read(look)
    assert refused < 200
    await store.close()
    await other.close()


async def test_who_write_to_each_other_at_once_do_not_wait_for_each_other(postgres_url: str, tmp_path: Path) -> None:
    store = open_store(postgres_url)
    made = await make.organisation(store)
    await store.write(lambda tx: policies.change(tx, SYSTEM, "submit.sent_copy", policies.YES))
    submission = make.submission(store, tmp_path)

    async def send(name: str, other: str) -> None:
        principal = Principal(made.mailboxes[name], f"{name}@corp.example", made.members[name])
        with submission.spool() as spool:
            spool.write(make.mail(sender=principal.address))
            await submission.submit(
                principal, Envelope(principal.address, (Addressee(f"{other}@corp.example"),)), spool
            )

    with psycopg.connect(postgres_url, autocommit=True) as watcher, psycopg.connect(postgres_url) as holder:
        # Amy's mailbox comes first: who writes to Bob, and keeps a copy with Amy, waits for hers and holds none.
        holder.execute("SELECT 1 FROM mailboxes WHERE id = %s FOR NO KEY UPDATE", [made.mailboxes["amy"]])
        sent = asyncio.ensure_future(send("amy", "bob"))
        async with asyncio.timeout(4):
            while watcher.execute(WAITING, [holder.info.dbname]).fetchone() != (1,):  # noqa: ASYNC110  # another process's state
                await asyncio.sleep(0.01)
        free = watcher.execute("SELECT 1 FROM mailboxes WHERE id = %s FOR UPDATE NOWAIT", [made.mailboxes["bob"]])
        assert free.fetchone() == (1,)
    await sent
    await store.close()


async def test_a_client_password_waits_for_who_gives_the_mailbox_away(postgres_url: str) -> None:
    """Or the former owner would have it in what is another's by now."""
    store = open_store(postgres_url)
    made = await make.organisation(store)
    bob, amy = made.mailboxes["bob"], made.members["amy"]
    by = await store.read(lambda tx: rights.of(tx, members.get(tx, "bob")))
    drawn = clients.Drawn(Secret("abcd"), "kept")

    def add(tx: Tx) -> None:
        clients.add(tx, by, bob, remark="phone", services=tuple(Service), drawn=drawn)

    with psycopg.connect(postgres_url, autocommit=True) as watcher, psycopg.connect(postgres_url) as holder:
        holder.execute("SELECT 1 FROM mailboxes WHERE id = %s FOR NO KEY UPDATE", [bob])
        adding = asyncio.ensure_future(store.write(add))
        async with asyncio.timeout(4):
            while watcher.execute(WAITING, [watcher.info.dbname]).fetchone() == (0,):  # noqa: ASYNC110  # another process's state
                await asyncio.sleep(0.01)
        holder.execute("UPDATE mailboxes SET owner_id = NULL WHERE id = %s", [made.mailboxes["amy"]])
        holder.execute("UPDATE mailboxes SET owner_id = %s WHERE id = %s", [amy.id, bob])
        holder.commit()
        with pytest.raises(NoPermission):
            await adding
    assert await store.read(lambda tx: clients.of(tx, bob)) == []
    await store.close()

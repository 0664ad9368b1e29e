# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The audit log is one chain, however many write to it; and whoever changes it is found out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.sql.expression import Executable

from mailroom.core.errors import AuditBroken, AuditCut, Refusal
from mailroom.core.ids import MailboxId
from mailroom.directory import audit
from mailroom.directory.audit import Checked, Entry
from mailroom.directory.model import SYSTEM, Actor, ActorKind
from mailroom.mailboxes import reassign
from mailroom.storage import schema
from mailroom.storage.engines import open_store
from mailroom.storage.ports import Store, Tx
from tests import make
from tests.stores import Watch

ROOT = Actor(ActorKind.OPERATOR, "root", governs_all=True)
_audit = schema.audit
_COUNT = select(func.count()).select_from(_audit)
_SET = {
    name: update(_audit).where(_audit.c.id == bindparam("which")).values({name: bindparam("to")})
    for name in ("at", "actor", "action", "subject", "mailbox_id", "before", "after", "hash")
}
_DROP = delete(_audit).where(_audit.c.id == bindparam("which"))
_DROP_ALL = delete(_audit)
_FORGE = insert(_audit).from_select(
    ["at", "actor", "action", "subject", "mailbox_id", "before", "after", "hash"],
    select(_audit.c.at, _audit.c.actor, _audit.c.action, _audit.c.subject, _audit.c.mailbox_id, _audit.c.before)
    .add_columns(_audit.c.after, _audit.c.hash)
    .where(_audit.c.id == bindparam("which")),
)


async def write(store: Store, *numbers: int) -> None:
    def work(tx: Tx) -> None:
        for number in numbers:
            audit.record(
                tx,
                ROOT,
                "thing.do",
                f"第 {number}",
                before={"n": number - 1},
                after={"n": number},
                mailbox_id=MailboxId(7),
            )

    await store.write(work)


async def verify(store: Store) -> Checked:
    checked = Checked()
    while not checked.is_whole:
        checked = await store.read(lambda tx, so_far=checked: audit.verify(tx, so_far))  # type: ignore[misc]  # a lambda's default
    return checked


async def tamper(store: Store, statement: Executable, **values: Any) -> None:
    await store.write(lambda tx: tx.run(statement, **values))


async def caught(store: Store) -> Refusal:
    with pytest.raises(Refusal) as found:
        await verify(store)
    return found.value


async def page(store: Store, **choice: Any) -> Sequence[Entry]:
    asked = {"before": 1 << 60, "limit": 9, **choice}
    return await store.read(lambda tx: audit.entries(tx, **asked))


async def test_what_was_done_is_told_newest_first(store: Store, watch: Watch) -> None:
    await write(store, 1)
    watch.now += 5
    await write(store, 2)
    await store.write(lambda tx: audit.record(tx, SYSTEM, "other.do", "x"))
    last, second, first = await page(store)
    assert (last.actor, last.action, last.before, last.after, last.mailbox_id) == (
        "system",
        "other.do",
        None,
        None,
        None,
    )
    assert (second.actor, second.subject, second.before, second.after) == ("operator:root", "第 2", {"n": 1}, {"n": 2})
    assert (second.at - first.at, second.mailbox_id) == (5, 7)
    assert [entry.id for entry in await page(store, limit=1, before=last.id)] == [second.id]
    assert [entry.id for entry in await page(store, action="other.do")] == [last.id]
    assert [entry.id for entry in await page(store, mailbox_id=7)] == [second.id, first.id]
    assert await page(store, mailbox_id=7, action="other.do") == []
    checked = await verify(store)
    assert (checked.count, checked.last, checked.hash) == (3, last.id, last.hash)


async def test_a_log_of_nothing_is_whole(store: Store) -> None:
    assert await verify(store) == Checked(is_whole=True)


@pytest.mark.parametrize("entries", [499, 500, 501, 1000])
async def test_a_log_is_whole_whatever_its_length(store: Store, entries: int) -> None:
    await write(store, *range(entries))
    assert (await verify(store)).count == entries


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("at", 1),
        ("actor", "member:amy"),
        ("action", "thing.undo"),
        ("subject", "第 33"),
        ("mailbox_id", None),
        ("before", "null"),
        ("after", '{"n":4}'),
        ("hash", "0" * 64),
    ],
)
async def test_the_first_entry_that_was_changed_is_named(store: Store, column: str, value: object) -> None:
    await write(store, 1, 2, 3, 4, 5)
    for which in (5, 3):
        await tamper(store, _SET[column], which=which, to=value)
        wrong = await caught(store)
        assert (type(wrong), wrong.about) == (AuditBroken, {"entry": which})


async def test_entries_that_were_taken_out_or_put_in_are_missed(store: Store) -> None:
    await write(store, *range(1, 8))
    await tamper(store, _FORGE, which=2)  # a copy at the end
    assert (await caught(store)).about == {"entry": 8}
    await tamper(store, _DROP, which=8)
    assert (await verify(store)).count == 7
    await tamper(store, _DROP, which=7)
    cut = await caught(store)
    assert (type(cut), cut.about) == (AuditCut, {"entry": 6})
    await tamper(store, _DROP, which=4)
    broken = await caught(store)
    assert (type(broken), broken.about) == (AuditBroken, {"entry": 5})
    await tamper(store, _DROP, which=1)
    assert (await caught(store)).about == {"entry": 2}
    await tamper(store, _DROP_ALL)
    cut = await caught(store)
    assert (type(cut), cut.about) == (AuditCut, {"entry": 0})


async def test_what_is_not_done_is_not_told(store: Store) -> None:
    await write(store, 1)

    def fails(tx: Tx) -> None:
        audit.record(tx, ROOT, "thing.do", "2")
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        await store.write(fails)
    await write(store, 3)
    assert [entry.subject for entry in await page(store)] == ["第 3", "第 1"]
    assert (await verify(store)).count == 2


async def test_many_writers_make_one_chain(store: Store, store_url: str) -> None:
    """Of three nodes, eight at a time, some of whose transactions fail."""
    others = [open_store(store_url), open_store(store_url)]
    nodes = [store, *others]

    def work(tx: Tx, number: int) -> None:
        audit.record(tx, ROOT, "thing.do", str(number))
        if number % 7 == 0:
            raise RuntimeError("a bug")
        audit.record(tx, ROOT, "thing.done", str(number))

    async def writer(first: int) -> int:
        written = 0
        for number in range(first, 400, 8):
            node = nodes[number % 3]
            try:
                await node.write(lambda tx, number=number: work(tx, number))  # type: ignore[misc]  # a lambda's default
            except RuntimeError:
                continue
            written += 2
        return written

    async with asyncio.timeout(100):
        written = sum(await asyncio.gather(*(writer(first) for first in range(8))))
    assert (await verify(store)).count == written
    [(rows,)] = await store.read(lambda tx: tx.all(_COUNT))
    assert rows == written == 2 * (400 - 58)
    for node in others:
        await node.close()


async def test_the_log_may_be_looked_at_while_it_grows(store: Store) -> None:
    await write(store, *range(1200))

    async def grow() -> None:
        for number in range(40):
            await write(store, number)

    growing = asyncio.create_task(grow())
    while not growing.done():
        assert (await verify(store)).count >= 1200
    assert (await verify(store)).count == 1240


async def test_an_owner_sees_what_was_done_since_the_mailbox_is_his(store: Store, watch: Watch) -> None:
    made = await make.organisation(store, people=("amy", "bob", "carol"))

    async def seen(userid: str) -> list[str]:
        entries = await store.read(lambda tx: audit.of_own(tx, made.members[userid], before=1 << 60, limit=3))
        return [entry.subject for entry in entries if entry.action == "mailbox.backup"]

    async def copy(userid: str, subject: str) -> None:
        watch.now += 1
        mailbox_id = made.mailboxes[userid]
        await store.write(lambda tx: audit.record(tx, ROOT, "mailbox.backup", subject, mailbox_id=mailbox_id))

    await copy("amy", "of amy's")
    await copy("bob", "of bob's")
    assert [await seen("amy"), await seen("bob"), await seen("carol")] == [["of amy's"], ["of bob's"], []]
    watch.now += 1
    await store.write(lambda tx: reassign.reassign(tx, ROOT, made.mailboxes["amy"], made.members["carol"]))
    await copy("amy", "of carol's")
    assert [await seen("amy"), await seen("carol")] == [[], ["of carol's"]]

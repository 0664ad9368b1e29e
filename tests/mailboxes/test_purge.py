# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mailboxes that are removed for good: all of it goes, nothing else does, and who takes the address finds nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from sqlalchemy import func, select

from mailroom.core import ids
from mailroom.core.clock import DAY, HOUR, MINUTE
from mailroom.core.errors import InUse, MailboxDisabled, NoPermission, NotFound, NotInBin
from mailroom.core.ids import JobId, MailboxId
from mailroom.delivery import outgoing, rules
from mailroom.delivery.posting import Addressee
from mailroom.delivery.rules import Forwarding
from mailroom.directory import access, addresses, audit, groups, rights
from mailroom.directory.model import SYSTEM, Allow
from mailroom.events import jobs
from mailroom.events.jobs import Held, JobState
from mailroom.mailboxes import backup, change, contents, create, folders, purge, queries, read, reassign, recycle
from mailroom.mailboxes.change import How
from mailroom.mailboxes.model import EntryState, Flag, FolderRole, MailboxStatus, Marks, Source
from mailroom.mailboxes.purge import Purge
from mailroom.mailboxes.uids import EVERY
from mailroom.notify.alarms import Alarms
from mailroom.runtime.workers import Bin, Work
from mailroom.storage import schema
from mailroom.storage.ports import Store, Tx
from tests import make
from tests.cut import Cut, ShortStore, everything
from tests.stores import Watch

NOTHING: frozenset[ids.EntryId] = frozenset()
_OF_MAILBOX = {
    table.name: select(func.count()).select_from(table).where(table.c.mailbox_id == 1)
    for table in schema.metadata.sorted_tables
    if "mailbox_id" in table.c and table.name not in {"audit", "recycled", "reassignments"}
}
_REFS = select(func.count(), func.coalesce(func.sum(schema.contents.c.refs), 0)).select_from(schema.contents)
_WARNED = select(schema.recycled.c.warned)


def work(store: Store) -> Work:
    return Work(store, {purge.KIND: Purge(store)}, ids.new)


async def finish(store: Store) -> None:
    """Do all jobs that are due."""
    while await work(store).once():
        pass


async def binned(store: Store, *, mails: int = 3) -> make.Organisation:
    """An organisation, and Amy's mailbox, with something of everything in it, in the bin."""

    def furnish(tx: Tx) -> make.Organisation:
        made = make.organise(tx)
        amy = made.mailboxes["amy"]
        own = folders.create(tx, amy, "Projects/One")
        for folder_id in (own, make.folder(tx, amy).id):
            for number in range(mails):
                make.appended(tx, folder_id, make.mail(message_id=f"<{folder_id}.{number}@x>"), keywords=["work"])
        inbox = make.folder(tx, amy).id
        change.copy(tx, inbox, EVERY, into=make.folder(tx, amy, FolderRole.SENT).id)
        change.copy(tx, inbox, EVERY, into=make.folder(tx, made.mailboxes["bob"]).id)
        change.mark(tx, inbox, ((1, 1),), How.ADD, Marks(Flag.DELETED | Flag.SEEN))
        change.expunge(tx, inbox)
        create.alias(tx, SYSTEM, amy, addresses.parse_new("a@corp.example"))
        club, team = (
            addresses.parse_new("club@corp.example"),
            ["amy@corp.example", "a@corp.example", "bob@corp.example"],
        )
        groups.create(tx, SYSTEM, made.id, club, name="Club", members=team, allow=Allow.ANYONE)
        rules.put(tx, amy, "main", "keep;")
        rules.forward(tx, amy, Forwarding(("x@out.example",)))
        rules.may_reply_again(tx, amy, handle="", to="x@out.example", period=DAY)
        recycle.enter(tx, SYSTEM, amy, Source.UNBOUND)
        return made

    return await store.write(furnish)


def left(tx: Tx) -> Mapping[str, int]:
    """The rows that Amy's mailbox has."""
    return {name: tx.all(statement)[0][0] for name, statement in _OF_MAILBOX.items() if tx.all(statement)[0][0]}


def counted(tx: Tx, mailbox_id: MailboxId) -> None:
    """Its counters are right."""
    held = read.folders(tx, mailbox_id)
    rows = {folder.id: queries.recycled.some_mails(tx, folder.id, limit=9_999) for folder in held}
    assert {folder.id: (folder.mails, folder.size) for folder in held} == {
        folder_id: (len(mails), sum(mail[2] for mail in mails)) for folder_id, mails in rows.items()
    }
    assert read.mailbox(tx, mailbox_id).used == sum(folder.size for folder in held)


async def test_by_hand_everything_of_it_goes_and_nothing_else(store: Store, watch: Watch) -> None:
    made = await binned(store)
    amy, bob = made.mailboxes["amy"], made.mailboxes["bob"]
    assert set(await store.read(left)) >= {"addresses", "folders", "mailbox_rules", "replies_sent", "scripts"}
    job = await store.write(lambda tx: purge.start(tx, SYSTEM, amy))
    assert (job.subject, job.total) == ("amy@corp.example", 8)
    # From here on nothing brings it back.
    with pytest.raises(NotInBin):
        await store.write(lambda tx: reassign.restore(tx, SYSTEM, amy, made.members["amy"]))
    with pytest.raises(NotInBin):
        await store.write(lambda tx: purge.start(tx, SYSTEM, amy))
    await finish(store)
    club = await store.read(lambda tx: groups.get(tx, addresses.parse("club@corp.example")))
    assert await store.read(lambda tx: groups.members(tx, club.id)) == ["bob@corp.example"]
    done = await store.read(lambda tx: jobs.get(tx, job.id))
    assert (done.state, done.finished) == (JobState.DONE, 8)
    assert await store.read(left) == {}
    with pytest.raises(NotFound):
        await store.read(lambda tx: read.mailbox(tx, amy))
    [entry] = await store.read(lambda tx: recycle.entries(tx, before=1 << 60, limit=9))
    assert (entry.state, entry.ended_at, entry.address) == (EntryState.EXPIRED, watch.now, "amy@corp.example")
    # Bob's copies are whole: their contents count them alone.
    assert await store.read(lambda tx: tx.all(_REFS)) == [(3, 3)]
    await store.read(lambda tx: counted(tx, bob))
    told = await store.read(lambda tx: audit.entries(tx, before=1 << 60, limit=1, action="bin.purge"))
    assert told[0].subject == "amy@corp.example"


async def test_who_may_and_what(store: Store) -> None:
    made = await binned(store)
    bob = await store.read(lambda tx: rights.of(tx, made.members["bob"]))
    with pytest.raises(NoPermission):
        await store.write(lambda tx: purge.start(tx, bob, made.mailboxes["amy"]))
    with pytest.raises(NotInBin):
        await store.write(lambda tx: purge.start(tx, SYSTEM, made.mailboxes["bob"]))


async def test_who_takes_the_address_next_finds_nothing_old(store: Store, tmp_path: Path) -> None:
    made = await binned(store)
    acceptance = make.acceptance(store, tmp_path)
    with pytest.raises(MailboxDisabled):
        await make.delivered(acceptance, make.mail(), "amy@corp.example")
    await store.write(lambda tx: purge.start(tx, SYSTEM, made.mailboxes["amy"]))
    await finish(store)
    with pytest.raises(NotFound):
        await make.delivered(acceptance, make.mail(), "amy@corp.example")
    own = addresses.parse_new("amy@corp.example")
    new = await store.write(lambda tx: create.personal(tx, SYSTEM, made.members["amy"], own))
    assert new not in made.mailboxes.values()
    await make.delivered(acceptance, make.mail(message_id="<new@x>"), "amy@corp.example")
    assert [folder.mails for folder in await store.read(lambda tx: read.folders(tx, new))] == [1, 0, 0, 0, 0]
    assert (await store.read(lambda tx: rules.get(tx, new))) == rules.NONE
    with pytest.raises(NotFound):
        await make.delivered(acceptance, make.mail(), "a@corp.example")


async def test_what_was_on_its_way_out_comes_back_to_nobody(store: Store) -> None:
    made = await binned(store)

    def send(tx: Tx) -> None:
        content_id = tx.all(select(schema.contents.c.id))[0][0]
        contents.share(tx, content_id, by=1)
        to = [Addressee("x@out.example")]
        outgoing.post(
            tx, content_id, size=1, sender="Amy@corp.example", addressees=to, trace="", utf8=False, eight_bit=False
        )

    await store.write(send)
    await store.write(lambda tx: purge.start(tx, SYSTEM, made.mailboxes["amy"]))
    await finish(store)
    assert await store.read(lambda tx: tx.all(select(schema.outgoing.c.envelope_from))) == [("",)]


def loop(store: Store) -> Bin:
    return Bin(store, Alarms("mx.corp.example"))


async def test_what_is_due_is_purged_at_the_second_look(store: Store, watch: Watch) -> None:
    made = await binned(store)
    look = loop(store).once
    assert await look(NOTHING) == NOTHING
    watch.now += 30 * DAY
    due = await look(NOTHING)
    assert len(due) == 1
    assert await store.read(lambda tx: jobs.pending(tx, purge.KIND)) == []
    watch.now += HOUR
    assert await look(due) == due
    assert await look(due) == NOTHING
    assert len(await store.read(lambda tx: jobs.pending(tx, purge.KIND))) == 1
    await finish(store)
    with pytest.raises(NotFound):
        await store.read(lambda tx: read.mailbox(tx, made.mailboxes["amy"]))
    # The row stays half a year for the log.
    watch.now += 179 * DAY
    await look(NOTHING)
    assert len(await store.read(lambda tx: recycle.entries(tx, before=1 << 60, limit=9))) == 1
    watch.now += 2 * DAY
    await look(NOTHING)
    assert await store.read(lambda tx: recycle.entries(tx, before=1 << 60, limit=9)) == []


async def test_a_clock_that_jumps_ahead_for_a_while_purges_nothing(store: Store, watch: Watch) -> None:
    made = await binned(store)
    look = loop(store).once
    watch.now += 365 * DAY
    due = await look(NOTHING)
    watch.now -= 365 * DAY - HOUR
    due = await look(due)
    assert due == NOTHING
    assert await look(due) == NOTHING
    assert await store.read(lambda tx: jobs.pending(tx, purge.KIND)) == []
    await store.write(lambda tx: reassign.restore(tx, SYSTEM, made.mailboxes["amy"], made.members["amy"]))


async def test_what_was_restored_between_two_looks_stays(store: Store, watch: Watch) -> None:
    made = await binned(store)
    look = loop(store).once
    watch.now += 31 * DAY
    due = await look(NOTHING)
    watch.now -= 2 * DAY
    await store.write(lambda tx: reassign.restore(tx, SYSTEM, made.mailboxes["amy"], made.members["amy"]))
    watch.now += 2 * DAY
    await look(due)
    await finish(store)
    assert (await store.read(lambda tx: read.mailbox(tx, made.mailboxes["amy"]))).status is MailboxStatus.ACTIVE


async def test_a_purge_whose_job_was_cancelled_goes_on(store: Store) -> None:
    made = await binned(store)
    job = await store.write(lambda tx: purge.start(tx, SYSTEM, made.mailboxes["amy"]))
    await store.write(lambda tx: jobs.cancel(tx, job.id))
    await finish(store)
    assert (await store.read(lambda tx: read.mailbox(tx, made.mailboxes["amy"]))).status is MailboxStatus.RECYCLED
    await loop(store).once(NOTHING)
    await loop(store).once(NOTHING)
    assert len(await store.read(lambda tx: jobs.pending(tx, purge.KIND))) == 1
    await finish(store)
    assert await store.read(left) == {}


async def test_what_is_being_copied_waits(store: Store, watch: Watch) -> None:
    made = await binned(store)
    amy, bob = made.mailboxes["amy"], made.mailboxes["bob"]
    watch.now += 30 * DAY - MINUTE
    copying = await store.write(lambda tx: backup.start(tx, SYSTEM, amy, bob))
    with pytest.raises(InUse):
        await store.write(lambda tx: purge.start(tx, SYSTEM, amy))
    watch.now += HOUR
    look = loop(store).once
    due = await look(await look(NOTHING))
    assert len(due) == 1
    assert await store.read(lambda tx: jobs.pending(tx, purge.KIND)) == []
    both = Work(store, {purge.KIND: Purge(store), backup.KIND: backup.Backups(store)}, ids.new)
    while await both.once():
        pass
    assert (await store.read(lambda tx: jobs.get(tx, copying.id))).state is JobState.DONE
    await look(due)
    while await both.once():
        pass
    assert await store.read(left) == {}


async def test_administrators_are_told_seven_three_and_one_day_before_once_each(store: Store, watch: Watch) -> None:
    made = await make.organisation(store)
    amy, bob, carol = (made.mailboxes[each] for each in ("amy", "bob", "carol"))
    await store.write(lambda tx: [recycle.enter(tx, SYSTEM, each, Source.UNBOUND) for each in (bob, carol)])
    begun = watch.now
    told: list[tuple[int, str]] = []
    for hours in range(0, 30 * 24, 6):
        watch.now = begun + hours * HOUR
        before = (await store.read(lambda tx: make.folder(tx, amy))).mails
        await loop(store).once(NOTHING)
        inbox = await store.read(lambda tx: make.folder(tx, amy))
        if inbox.mails > before:
            [mail] = await store.read(lambda tx, at=inbox.id: read.headlines(tx, at, limit=1))  # type: ignore[misc]  # a lambda's default
            told.append((hours // 24, mail.subject.partition(" / ")[0]))
        if hours == 24 * 25:
            await store.write(lambda tx: reassign.restore(tx, SYSTEM, carol, made.members["carol"]))
    said = "Mailboxes in the recycle bin will soon be deleted for good ({})"
    assert told == [(23, said.format(2)), (27, said.format(1)), (29, said.format(1))]


async def test_after_a_jump_of_the_clock_they_are_told_again(store: Store, watch: Watch) -> None:
    made = await make.organisation(store)
    await store.write(lambda tx: recycle.enter(tx, SYSTEM, made.mailboxes["bob"], Source.UNBOUND))
    begun = watch.now
    mails = []
    for days in (29, 29, 0, 23, 27, 29):
        watch.now = begun + days * DAY
        await loop(store).once(NOTHING)
        mails.append((await store.read(lambda tx: make.folder(tx, made.mailboxes["amy"]))).mails)
    assert mails == [1, 1, 1, 2, 3, 4]


async def hold(store: Store) -> Held:
    held = await store.write(lambda tx: jobs.claim(tx, [purge.KIND], lease=ids.new()))
    assert held is not None
    return held


async def test_a_piece_cut_off_at_any_statement_has_not_been(store: Store) -> None:
    made = await binned(store)
    amy = made.mailboxes["amy"]
    await store.write(lambda tx: purge.start(tx, SYSTEM, amy))
    statements, pieces = 0, 0
    held: Held | None = await hold(store)
    while held is not None:
        before = await everything(store)
        try:
            held = await Purge(ShortStore(store, statements), at_once=4).advance(held)
        except Cut:
            assert await everything(store) == before
            statements += 1
            continue
        statements, pieces = 0, pieces + 1
        if held is not None:
            await store.read(lambda tx: counted(tx, amy))
    assert pieces > 3
    assert await store.read(left) == {}
    assert await store.read(lambda tx: tx.all(_REFS)) == [(3, 3)]


async def test_another_worker_goes_on_where_one_has_died(store: Store, watch: Watch) -> None:
    made = await binned(store)
    job = await store.write(lambda tx: purge.start(tx, SYSTEM, made.mailboxes["amy"]))
    dead = await Purge(store, at_once=3).advance(await hold(store))
    assert dead is not None
    watch.now += jobs.LEASE + 1
    await asyncio.gather(finish(store), finish(store))
    with pytest.raises(jobs.JobLost):
        await Purge(store).advance(dead)
    done = await store.read(lambda tx: jobs.get(tx, JobId(job.id)))
    assert (done.state, done.finished) == (JobState.DONE, 8)
    assert await store.read(left) == {}
    assert await store.read(lambda tx: access.own_mailbox(tx, made.members["amy"].id)) is None

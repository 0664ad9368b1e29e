# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A backup copies a mailbox into another: all of it, once, as it was; whatever happens to both meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path

import pytest

from mailroom.core import ids
from mailroom.core.clock import DAY, MINUTE
from mailroom.core.errors import (
    MailboxDisabled,
    NoPermission,
    NotFound,
    NotInBin,
    Refusal,
    TargetIsSource,
    TargetTooSmall,
)
from mailroom.core.ids import FolderId, MailboxId
from mailroom.directory import audit, rights, tasks
from mailroom.directory.model import SYSTEM, Actor, ActorKind
from mailroom.events import jobs, outbox
from mailroom.events.facts import BackupBegan
from mailroom.events.jobs import LEASE, Job, JobLost, JobState
from mailroom.mailboxes import append, backup, change, contents, folders, purge, quota, read, recycle
from mailroom.mailboxes.backup import Backups
from mailroom.mailboxes.change import How
from mailroom.mailboxes.model import Flag, MailboxStatus, Marks, Source
from mailroom.mailboxes.uids import EVERY
from mailroom.runtime.workers import Work
from mailroom.storage.ports import Store, Tx
from tests import make
from tests.cut import at_every_statement
from tests.mailboxes.copying import Desk, Died, Dying, contents_of, desk, furnished, senders
from tests.stores import Watch

ROOT = "amy@corp.example 2025-06-15"
FOLDERS = ["Drafts", "Empty", "INBOX", "INBOX/Club", "Sent", "项目", "项目/2026", "项目/2026/Q1"]


async def test_all_is_copied_as_it_was_but_trash_and_junk(store: Store, watch: Watch) -> None:
    found = await furnished(store)
    source = await found.tree(found.amy)
    watch.now += MINUTE  # internal dates are the originals'
    job = await found.run()
    assert (job.state, job.finished, job.total) == (JobState.DONE, 14, 14)
    assert job.result == {"folder": ROOT, "copied": 14, "there": 0}
    copied = await found.copies(ROOT)
    assert sorted(copied) == FOLDERS
    assert copied == await found.originals()
    assert await found.tree(found.amy) == source
    assert await found.is_sound()
    subscribed = await store.read(lambda tx: folders.subscriptions(tx, found.bob))
    assert {ROOT, *(f"{ROOT}/{name}" for name in FOLDERS if name != "项目")} <= subscribed


async def test_trash_and_junk_are_left_out_under_any_name(store: Store) -> None:
    found = await furnished(store)
    await store.write(lambda tx: folders.rename(tx, found.amy, "Trash", "Papierkorb"))
    await found.put("Trash", "just a folder now")
    await found.run()
    copied = await found.copies(ROOT)
    assert sorted(copied) == sorted([*FOLDERS, "Trash"])
    assert len(copied["Trash"]) == 1


async def test_who_sent_it_stays_with_it_and_keywords_keep_their_spelling(store: Store) -> None:
    found = await desk(store)
    sales, carol = found.made.mailboxes["sales"], found.made.members["carol"]

    def work(tx: Tx) -> FolderId:
        sent = next(each.id for each in read.folders(tx, sales) if each.name == "Sent")
        placed = make.appended(tx, sent, keywords=["$MDNSent"])
        content_id = next(iter(mail.content_id for mail in read.changes(tx, sent, since=0).changed))  # type: ignore[arg-type]  # the first
        contents.share(tx, content_id, by=1)
        append.append(
            tx, content_id, into=sent, size=1, internal_date=7, envelope_from="sales@corp.example", sent_by=carol.id
        )
        return placed.folder_id

    sent = await store.write(work)
    await found.run(await found.start(sales))
    copy = await found.folder("sales@corp.example 2025-06-15/Sent", found.bob)
    assert await store.read(lambda tx: senders(tx, copy)) == await store.read(lambda tx: senders(tx, sent))
    assert (carol.id, "sales@corp.example") in await store.read(lambda tx: senders(tx, copy))
    assert await store.read(lambda tx: folders.keywords(tx, copy)) == {"$mdnsent": "$MDNSent"}


async def test_copies_are_no_arrivals_and_share_what_they_say(store: Store) -> None:
    found = await furnished(store)
    before = await store.read(outbox.backlog)
    job = await found.run()
    facts = await store.write(lambda tx: outbox.claim(tx, lease="x", until=tx.now + 1, limit=99))
    assert (before, [fact.kind for fact in facts]) == ((0, 0), ["BackupBegan", "BackupDone"])
    [began, _] = [fact.fact for fact in facts]
    assert isinstance(began, BackupBegan)
    assert began.folder == job.result["folder"]
    shown = contents_of(await found.tree(found.amy)) + contents_of(await found.tree())
    assert set(contents_of(await found.tree())) < set(contents_of(await found.tree(found.amy)))
    assert await found.is_sound()
    assert sum(shown.values()) == 17 + 14


async def test_a_second_backup_copies_what_is_new(store: Store, watch: Watch) -> None:
    found = await furnished(store)
    await found.run()
    assert (await found.run()).result == {"folder": ROOT, "copied": 0, "there": 0}
    watch.now += 40 * DAY
    await found.put("INBOX", "new 1", "new 2")
    await found.put("Empty", "no more")
    await found.put("Fresh/Folder", "fresh")
    job = await found.start()
    assert job.total == 4
    job = await found.run(job)
    assert job.result == {"folder": ROOT, "copied": 4, "there": 0}
    assert await found.copies(ROOT) == await found.originals()
    assert await found.is_sound()


async def test_asked_for_twice_it_is_done_once(store: Store) -> None:
    found = await furnished(store)
    first, second = await found.start(), await found.start()
    assert first.id == second.id
    await found.run(first)
    assert (await found.start()).id != first.id


async def test_flags_that_change_later_are_each_ones_own(store: Store) -> None:
    found = await furnished(store)
    await found.run()
    inbox = await found.folder("INBOX")
    await store.write(lambda tx: change.mark(tx, inbox, EVERY, How.ADD, Marks(Flag.SEEN)))
    assert {one[1] & Flag.SEEN for one in (await found.copies(ROOT))["INBOX"]} == {Flag(0), Flag.SEEN}


@pytest.mark.parametrize("moment", range(8))
async def test_what_is_moved_or_expunged_in_the_source_meanwhile_is_neither_lost_nor_doubled(
    store: Store, moment: int
) -> None:
    found = await furnished(store)
    inbox, sent = await found.folder("INBOX"), await found.folder("Sent")
    drafts, trash = await found.folder("Drafts"), await found.folder("Trash")

    async def stir() -> None:
        await store.write(lambda tx: change.move(tx, inbox, ((1, 1), (7, 8)), into=drafts))  # done with, or to come
        await store.write(lambda tx: change.move(tx, sent, EVERY, into=inbox))
        await store.write(lambda tx: change.move(tx, inbox, ((2, 2),), into=trash))
        await store.write(lambda tx: change.copy(tx, drafts, EVERY, into=trash))
        await store.write(lambda tx: change.move(tx, trash, ((2, 2),), into=sent))
        await found.expunge(inbox, 3)

    job = await interrupted(found, moment, stir)
    assert job.state is JobState.DONE
    copied, source = contents_of(await found.copies(ROOT)), contents_of(await found.originals())
    assert set(source) <= set(copied)
    assert set(copied.values()) == {1}
    assert job.finished == job.total
    assert (await found.run()).result["copied"] == 0
    assert await found.is_sound()


async def interrupted(found: Desk, moment: int, meanwhile: Callable[[], Awaitable[object]]) -> Job:
    """A backup, with something happening right before that piece."""
    job = await found.start()
    held = await found.store.write(lambda tx: jobs.claim(tx, {backup.KIND}, lease="x"))
    pieces = 0
    while held is not None:
        if pieces == moment:
            await meanwhile()
        pieces += 1
        held = await Backups(found.store, 3).advance(held)
    assert pieces >= 8
    return await found.job(job.id)


@pytest.mark.parametrize("moment", range(1, 8))
async def test_the_target_may_rename_and_move_what_it_has_been_given(store: Store, moment: int) -> None:
    found = await furnished(store)

    async def tidy() -> None:
        def work(tx: Tx) -> None:
            folders.rename(tx, found.bob, ROOT, "Old/Amy")
            if folders.by_name(tx, found.bob, "Old/Amy/INBOX"):
                folders.rename(tx, found.bob, "Old/Amy/INBOX", "Letters")

        await store.write(work)

    await interrupted(found, moment, tidy)
    tree = await found.tree()
    names = [name for name in tree if name.startswith(("Old/Amy", "Letters"))]
    assert contents_of({name: tree[name] for name in names}) == contents_of(await found.originals())
    assert not [name for name in tree if name.startswith(ROOT)]
    assert (await found.run()).result["copied"] == 0


@pytest.mark.parametrize("moment", range(1, 8))
async def test_what_the_target_removes_meanwhile_is_copied_anew(store: Store, moment: int) -> None:
    found = await furnished(store)

    async def remove() -> None:
        def work(tx: Tx) -> None:
            for folder in read.folders(tx, found.bob):
                if folder.name == f"{ROOT}/INBOX":
                    folders.remove(tx, folder.id)

        await store.write(work)

    job = await interrupted(found, moment, remove)
    assert job.state is JobState.DONE
    assert await found.copies(ROOT) == await found.originals()
    assert await found.is_sound()


@pytest.mark.parametrize("moment", range(1, 8))
async def test_when_the_root_goes_all_begins_anew_in_another(store: Store, moment: int) -> None:
    found = await furnished(store)

    async def remove() -> None:
        root = await found.folder(ROOT, found.bob)
        await store.write(lambda tx: folders.remove(tx, root))  # what is below it stays, as in IMAP

    job = await interrupted(found, moment, remove)
    root = job.result["folder"]
    assert root in {ROOT, f"{ROOT} (2)"}
    assert await found.copies(root) == await found.originals()
    assert await found.is_sound()


async def test_a_backup_begins_afresh_when_its_root_was_removed_before(store: Store, watch: Watch) -> None:
    found = await furnished(store)
    await found.run()
    for name in (ROOT, *(f"{ROOT}/{each}" for each in FOLDERS)):
        folder_id = await found.folder(name, found.bob)
        await store.write(lambda tx, folder_id=folder_id: folders.remove(tx, folder_id))  # type: ignore[misc]  # a lambda's default
    watch.now += DAY
    job = await found.start()
    assert job.total == 14
    job = await found.run(job)
    assert job.result == {"folder": "amy@corp.example 2025-06-16", "copied": 14, "there": 0}
    assert await found.copies("amy@corp.example 2025-06-16") == await found.originals()


async def test_what_the_target_has_thrown_away_does_not_come_back(store: Store) -> None:
    found = await furnished(store)
    await found.run()
    await found.expunge(await found.folder(f"{ROOT}/INBOX", found.bob), 1, 2)
    assert (await found.run()).result["copied"] == 0


async def test_a_target_that_is_too_small_is_refused_with_both_numbers(store: Store) -> None:
    found = await furnished(store)
    size = sum(one[3] for each in (await found.originals()).values() for one in each)
    await store.write(lambda tx: quota.change(tx, SYSTEM, found.bob, size - 1))
    with pytest.raises(TargetTooSmall) as refused:
        await found.start()
    assert refused.value.about == {"address": "bob@corp.example", "room": size - 1, "needed": size}
    await store.write(lambda tx: quota.change(tx, SYSTEM, found.bob, size))
    job = await found.run()
    assert (job.state, (await store.read(lambda tx: read.mailbox(tx, found.bob))).used) == (JobState.DONE, size)


async def test_a_target_that_fills_up_keeps_what_it_has_and_gets_the_rest_later(store: Store) -> None:
    found = await furnished(store)
    job = await found.start()
    size = sum(one[3] for each in (await found.originals()).values() for one in each)
    await store.write(lambda tx: quota.change(tx, SYSTEM, found.bob, size // 2))
    job = await found.run(job)
    used = (await store.read(lambda tx: read.mailbox(tx, found.bob))).used
    assert job.state is JobState.FAILED
    assert 0 < job.finished < 14
    assert job.reason == (
        f"target_too_small: bob@corp.example has room for {size // 2 - used} octets; {size - used} are needed."
    )
    assert await found.is_sound()
    with pytest.raises(TargetTooSmall) as refused:
        await found.start()
    assert refused.value.about["needed"] == size - used
    await store.write(lambda tx: quota.change(tx, SYSTEM, found.bob, 0))
    again = await found.start()
    assert again.total == 14 - job.finished
    again = await found.run(again)
    assert (again.state, again.finished) == (JobState.DONE, 14 - job.finished)
    assert await found.copies(ROOT) == await found.originals()
    assert await found.is_sound()


async def test_who_may_and_what_may_be_copied_where(store: Store, watch: Watch) -> None:
    found = await furnished(store)
    made = found.made
    sales, carol = made.mailboxes["sales"], made.mailboxes["carol"]

    async def refused(why: type[Refusal], by: Actor, source: MailboxId, target: MailboxId) -> None:
        with pytest.raises(why):
            await store.write(lambda tx: backup.start(tx, by, source, target))

    bob = await store.read(lambda tx: rights.of(tx, made.members["bob"]))
    await refused(NoPermission, bob, found.bob, sales)
    one_domain = Actor(ActorKind.KEY, "one", domains=frozenset({1}))  # type: ignore[arg-type]  # a domain's id
    await refused(NoPermission, one_domain, found.amy, found.bob)
    await refused(TargetIsSource, SYSTEM, found.amy, found.amy)
    await refused(NotFound, SYSTEM, MailboxId(99), found.bob)
    await refused(NotFound, SYSTEM, found.amy, MailboxId(99))
    await store.write(lambda tx: quota.change_status(tx, SYSTEM, carol, MailboxStatus.DISABLED))
    await refused(MailboxDisabled, SYSTEM, found.amy, carol)
    await store.write(lambda tx: recycle.enter(tx, SYSTEM, carol, Source.UNBOUND))
    await refused(MailboxDisabled, SYSTEM, found.amy, carol)
    amy = await store.read(lambda tx: rights.of(tx, made.members["amy"]))  # the administrator
    job = await store.write(lambda tx: backup.start(tx, amy, carol, sales))  # from the bin, into a public one
    assert (job.actor, job.subject) == ("member:amy", "carol@corp.example -> sales@corp.example")
    await found.run(job)
    watch.now += 31 * DAY
    await refused(NotInBin, SYSTEM, carol, found.bob)


async def test_a_disabled_or_recycled_source_is_copied(store: Store) -> None:
    found = await furnished(store)
    await store.write(lambda tx: quota.change_status(tx, SYSTEM, found.amy, MailboxStatus.DISABLED))
    assert (await found.run()).state is JobState.DONE
    await store.write(lambda tx: recycle.enter(tx, SYSTEM, found.amy, Source.UNBOUND))
    job = await found.run(await found.start(target=found.made.mailboxes["carol"]))
    assert job.result["copied"] == 14


async def test_the_purge_waits_for_a_backup_that_has_begun_in_time(store: Store, watch: Watch) -> None:
    found = await furnished(store)
    await store.write(lambda tx: recycle.enter(tx, SYSTEM, found.amy, Source.UNBOUND))
    watch.now += 30 * DAY - 1

    async def overdue() -> None:
        watch.now += 1
        with pytest.raises(Refusal):
            await store.write(lambda tx: purge.start(tx, SYSTEM, found.amy))
        due = await store.write(lambda tx: purge.look(tx, ()))
        assert due == await store.write(lambda tx: purge.look(tx, due))
        assert await store.read(lambda tx: jobs.pending(tx, purge.KIND)) == []

    job = await interrupted(found, 4, overdue)
    assert (job.state, job.finished) == (JobState.DONE, 14)
    due = await store.write(lambda tx: purge.look(tx, ()))
    await store.write(lambda tx: purge.look(tx, due))
    assert len(await store.read(lambda tx: jobs.pending(tx, purge.KIND))) == 1


@pytest.mark.parametrize("status", ["disabled", "recycled"])
async def test_a_target_that_is_closed_meanwhile_takes_no_more(store: Store, status: str) -> None:
    found = await furnished(store)

    async def close() -> None:
        if status == "disabled":
            await store.write(lambda tx: quota.change_status(tx, SYSTEM, found.bob, MailboxStatus.DISABLED))
        else:
            await store.write(lambda tx: recycle.enter(tx, SYSTEM, found.bob, Source.UNBOUND))

    with pytest.raises(MailboxDisabled):
        await interrupted(found, 3, close)
    assert await found.is_sound()


async def test_names_that_are_too_long_or_taken_are_made_to_fit(store: Store) -> None:
    found = await desk(store)
    await found.put("L" * 120 + "/" + "m" * 130, "deep")
    long = await found.put("N" * 250, "long")
    await found.put("A", "first")
    await found.run()
    await store.write(lambda tx: folders.rename(tx, found.amy, "A", "B"))
    new = await found.put("A", "second")
    job = await found.run()
    assert (job.state, job.result["copied"]) == (JobState.DONE, 1)
    copied = await found.copies(ROOT)
    assert contents_of(copied) == contents_of(await found.originals())
    assert {f"{'N' * 30} ({long})", "A", f"A ({new})"} <= set(copied)


async def test_a_folder_that_only_stood_above_others_takes_its_own_mails_later(store: Store) -> None:
    found = await desk(store)
    above = await found.put("a/b", "below")
    await store.write(lambda tx: folders.remove(tx, folders.by_name(tx, found.amy, "a").id))  # type: ignore[union-attr]  # it is there
    await found.run()
    await found.put("a", "above")
    assert above
    await found.run()
    assert await found.copies(ROOT) == await found.originals()


async def test_two_mailboxes_backed_up_into_each_other_come_to_an_end(store: Store) -> None:
    found = await furnished(store)
    await found.put("INBOX", "bob's", into=found.bob)
    there, back = await found.start(), await found.start(found.bob, found.amy)
    work = found.work(at_once=4)
    async with asyncio.timeout(60):
        await asyncio.gather(work.once(), work.once())
    assert [(await found.job(each.id)).state for each in (there, back)] == [JobState.DONE] * 2
    assert set(contents_of(await found.originals())) <= set(contents_of(await found.tree()))
    assert await found.is_sound()


async def test_a_worker_that_was_overtaken_copies_nothing_twice(store: Store, watch: Watch) -> None:
    found = await furnished(store)
    await found.start()
    slow = await store.write(lambda tx: jobs.claim(tx, {backup.KIND}, lease="slow"))
    assert slow is not None
    slow = await Backups(store, 3).advance(slow)
    assert slow is not None
    watch.now += LEASE
    heir = await store.write(lambda tx: jobs.claim(tx, {backup.KIND}, lease="heir"))
    assert heir is not None
    said = await asyncio.gather(
        *(Backups(store, 3).advance(each) for each in (heir, slow, heir, slow)), return_exceptions=True
    )
    assert [type(each) for each in said][1::2] == [JobLost, JobLost]
    watch.now += LEASE
    await found.run()
    assert await found.copies(ROOT) == await found.originals()
    assert await found.is_sound()


async def test_what_was_cancelled_stays_as_far_as_it_came(store: Store) -> None:
    found = await furnished(store)

    async def cancel() -> None:
        by = await store.read(lambda tx: rights.of(tx, found.made.members["amy"]))
        [job] = await store.read(lambda tx: jobs.pending(tx, backup.KIND))
        await store.write(lambda tx: tasks.cancel(tx, by, job.id))

    with pytest.raises(JobLost):
        await interrupted(found, 4, cancel)
    part = contents_of(await found.tree())
    assert 0 < part.total() < 14
    job = await found.run()
    assert job.result["copied"] == 14 - part.total()
    assert await found.copies(ROOT) == await found.originals()
    [entry] = await store.read(lambda tx: audit.entries(tx, before=1 << 60, limit=9, action="job.cancel"))
    assert (entry.actor, entry.subject) == ("member:amy", "amy@corp.example -> bob@corp.example")


async def test_only_who_administers_all_cancels(store: Store) -> None:
    found = await furnished(store)
    job = await found.start()
    bob = await store.read(lambda tx: rights.of(tx, found.made.members["bob"]))
    with pytest.raises(NoPermission):
        await store.write(lambda tx: tasks.cancel(tx, bob, job.id))
    assert (await found.job(job.id)).state is JobState.QUEUED


async def test_the_process_may_die_at_any_statement(store: Store, watch: Watch) -> None:
    found = await furnished(store)
    await found.start()
    for lives in count(1):
        dying = Dying(store, left=20 + 2 * lives)  # each comes a little further than the one before
        try:
            while await Work(dying, {backup.KIND: Backups(dying, 3)}, ids.new).once():
                pass
        except Died:
            watch.now += LEASE
            assert await found.is_sound()
        else:
            break
    assert lives > 10
    assert await found.copies(ROOT) == await found.originals()
    facts = await store.write(lambda tx: outbox.claim(tx, lease="x", until=tx.now + 1, limit=99))
    assert [fact.kind for fact in facts] == ["BackupBegan", "BackupDone"]  # each once


async def test_a_piece_that_is_cut_off_at_any_statement_changes_nothing(store: Store) -> None:
    found = await furnished(store)
    await found.start()
    held = await store.write(lambda tx: jobs.claim(tx, {backup.KIND}, lease="x"))
    statements = await at_every_statement(store, lambda tx: backup._piece(tx, held=held, most=30))  # type: ignore[arg-type]  # it is there
    assert statements > 30


async def test_deliveries_moves_and_two_workers_at_once_lose_nothing(store: Store, tmp_path: Path) -> None:
    found = await furnished(store)
    acceptance = make.acceptance(store, tmp_path)
    inbox, sent = await found.folder("INBOX"), await found.folder("Sent")
    await found.put("INBOX", *map(str, range(60)))
    there, other = await found.start(), await found.start(target=found.made.mailboxes["sales"])
    work = found.work(at_once=12)

    async def stir() -> None:
        for number in range(20):
            await store.write(lambda tx, n=number: change.move(tx, inbox, ((3 * n, 3 * n + 1),), into=sent))  # type: ignore[misc]  # a lambda's default
            await make.delivered(
                acceptance, make.mail(message_id=f"<{number}@x>"), "amy@corp.example", "bob@corp.example"
            )

    async with asyncio.timeout(100):
        await asyncio.gather(work.once(), work.once(), stir())
    assert [(await found.job(each.id)).state for each in (there, other)] == [JobState.DONE] * 2
    await found.run()
    source, copied = contents_of(await found.originals()), contents_of(await found.copies(ROOT))
    assert copied == source
    assert await found.is_sound()


async def test_the_log_tells_the_owner_and_him_alone(store: Store) -> None:
    found = await furnished(store)
    admin = await store.read(lambda tx: rights.of(tx, found.made.members["amy"]))
    await store.write(lambda tx: backup.start(tx, admin, found.bob, found.amy))
    bob, carol = found.made.members["bob"], found.made.members["carol"]
    entries = await store.read(lambda tx: audit.of_own(tx, bob, before=1 << 60, limit=9))
    last = entries[0]
    assert (last.actor, last.action, last.subject) == ("member:amy", "mailbox.backup", "bob@corp.example")
    assert last.after["into"] == "amy@corp.example"
    told = await store.read(lambda tx: audit.of_own(tx, carol, before=1 << 60, limit=9))
    assert "mailbox.backup" not in {entry.action for entry in told}

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A member leaves: one job, which goes on wherever it was stopped, and a rehearsal that keeps nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailroom.core import ids
from mailroom.core.clock import DAY, SECOND
from mailroom.core.errors import (
    CannotDisable,
    InUse,
    InvalidValue,
    MailboxDisabled,
    NoPermission,
    NotFound,
    Refusal,
    TargetIsSource,
)
from mailroom.core.ids import JobId
from mailroom.directory import access, members, rights
from mailroom.directory.model import SYSTEM, MemberStatus
from mailroom.events import jobs
from mailroom.events.jobs import Held, Job, JobState
from mailroom.mailboxes import backup, offboard, quota, read, reassign, recycle
from mailroom.mailboxes.backup import Backups
from mailroom.mailboxes.model import EntryState, MailboxStatus, Source
from mailroom.mailboxes.offboard import DryRun, Offboard, Wish
from mailroom.runtime.workers import Work
from mailroom.storage.ports import Store, Tx
from tests import make
from tests.cut import Cut, ShortStore, everything
from tests.stores import Watch


async def finish(store: Store, watch: Watch, *, only: str = "") -> None:
    """Do all jobs that are due now or soon."""
    workers: dict[str, jobs.Worker] = {offboard.KIND: Offboard(store), backup.KIND: Backups(store)}
    work = Work(store, {kind: worker for kind, worker in workers.items() if only in {"", kind}}, ids.new)
    for _ in range(4):
        while await work.once():
            pass
        watch.now += 3 * SECOND


async def begin(store: Store, made: make.Organisation, wish: Wish = Wish()) -> Job:  # noqa: B008 # frozen
    return await store.write(lambda tx: offboard.start(tx, SYSTEM, made.members["bob"], wish))


async def job(store: Store, begun: Job) -> Job:
    return await store.read(lambda tx: jobs.get(tx, begun.id))


async def town(store: Store, folder: Path) -> make.Organisation:
    """Bob, who leaves, has two mails and uses a public mailbox."""
    made = await make.organisation(store, public={"sales": ["amy", "bob"]})
    acceptance = make.acceptance(store, folder)
    for number in range(2):
        await make.delivered(acceptance, make.mail(message_id=f"<{number}@x>"), "bob@corp.example")
    return made


def gone(tx: Tx, made: make.Organisation) -> bool:
    bob = members.by_id(tx, made.members["bob"].id)
    return bob.status is MemberStatus.REMOVED and access.mailboxes_of(tx, bob.id) == []


async def test_his_mail_is_copied_and_his_mailbox_waits_in_the_bin(store: Store, tmp_path: Path, watch: Watch) -> None:
    made = await town(store, tmp_path)
    sales, his = made.mailboxes["sales"], made.mailboxes["bob"]
    begun = await begin(store, made, Wish(into=sales))
    await finish(store, watch)
    assert ((await job(store, begun)).state, (await job(store, begun)).finished) == (JobState.DONE, 3)
    assert await store.read(lambda tx: gone(tx, made))
    copies = [folder.mails for folder in await store.read(lambda tx: read.folders(tx, sales)) if "bob@" in folder.name]
    assert sum(copies) == 2
    [entry] = await store.read(lambda tx: recycle.entries(tx, before=1 << 60, limit=9))
    assert (entry.mailbox_id, entry.source, entry.state) == (his, Source.DELETED_MEMBER, EntryState.WAITING)
    with pytest.raises(MailboxDisabled):
        await make.delivered(make.acceptance(store, tmp_path), make.mail(), "bob@corp.example")


async def test_his_mailbox_goes_to_a_colleague_and_takes_mail_all_the_time(store: Store, tmp_path: Path) -> None:
    made = await town(store, tmp_path)
    his, acceptance = made.mailboxes["bob"], make.acceptance(store, tmp_path)
    await begin(store, made, Wish(to=made.members["carol"]))
    held: Held | None = await store.write(lambda tx: jobs.claim(tx, [offboard.KIND], lease=ids.new()))
    while held is not None:
        await make.delivered(acceptance, make.mail(message_id=f"<{held.job.finished}@y>"), "bob@corp.example")
        held = await Offboard(store).advance(held)
    assert await store.read(lambda tx: gone(tx, made))
    assert await store.read(lambda tx: access.own_mailbox(tx, made.members["carol"].id)) == his
    assert (await store.read(lambda tx: make.folder(tx, his))).mails == 6
    [entry] = await store.read(lambda tx: recycle.entries(tx, before=1 << 60, limit=9))
    assert (entry.address, entry.source) == ("carol@corp.example", Source.UNBOUND)


async def test_without_a_wish_it_waits_in_the_bin(store: Store, tmp_path: Path, watch: Watch) -> None:
    made = await town(store, tmp_path)
    await begin(store, made)
    await finish(store, watch)
    assert await store.read(lambda tx: gone(tx, made))
    assert len(await store.read(lambda tx: recycle.entries(tx, before=1 << 60, limit=9))) == 1


async def test_one_without_a_mailbox_can_leave_too(store: Store, tmp_path: Path, watch: Watch) -> None:
    made = await town(store, tmp_path)
    await store.write(lambda tx: recycle.remove(tx, SYSTEM, made.mailboxes["bob"]))
    with pytest.raises(NotFound):
        await begin(store, made, Wish(to=made.members["carol"]))
    await begin(store, made)
    await finish(store, watch)
    assert await store.read(lambda tx: gone(tx, made))


async def test_what_cannot_be_done_is_refused_at_once(store: Store, tmp_path: Path) -> None:
    made = await town(store, tmp_path)
    amy, bob, carol = (made.members[each] for each in ("amy", "bob", "carol"))
    actor = await store.read(lambda tx: rights.of(tx, bob))
    herself = await store.read(lambda tx: rights.of(tx, amy))
    for by, who, wish, kind in (
        (actor, carol, Wish(), NoPermission),
        (herself, amy, Wish(), CannotDisable),
        (SYSTEM, bob, Wish(made.mailboxes["amy"], carol), InvalidValue),
    ):
        with pytest.raises(kind):
            await store.write(lambda tx, a=by, m=who, w=wish: offboard.start(tx, a, m, w))  # type: ignore[misc]  # a lambda's default
    await begin(store, made)
    with pytest.raises(InUse):
        await begin(store, made)


@pytest.mark.parametrize("wish", ["into", "to", ""])
async def test_a_dry_run_says_what_would_be_and_keeps_nothing(
    store: Store, tmp_path: Path, watch: Watch, wish: str
) -> None:
    made = await town(store, tmp_path)
    before = await everything(store)
    wished = {"into": Wish(into=made.mailboxes["amy"]), "to": Wish(to=made.members["carol"]), "": Wish()}[wish]
    with pytest.raises(DryRun) as run:
        await store.write(lambda tx: offboard.rehearse(tx, SYSTEM, made.members["bob"], wished))
    loses = {"step": "disable", "userid": "bob", "loses": ["bob@corp.example", "sales@corp.example"]}
    until = watch.now + 30 * DAY
    between: dict[str, dict[str, object]] = {
        "into": {"step": "backup", "mailbox": "bob@corp.example", "into": "amy@corp.example", "mails": 2},
        "to": {
            "step": "reassign",
            "mailbox": "bob@corp.example",
            "to": "carol",
            "to_bin": "carol@corp.example",
            "purged_after": until,
        },
    }
    last: dict[str, object] = {"step": "remove", "userid": "bob"}
    if wish != "to":
        last |= {"to_bin": "bob@corp.example", "purged_after": until}
    assert run.value.plan == [loses, *([between[wish] | {"userid": "bob"}] if wish else []), last]
    assert await everything(store) == before


async def test_a_dry_run_says_what_would_be_refused(store: Store, tmp_path: Path) -> None:
    made = await town(store, tmp_path)
    await store.write(lambda tx: quota.change(tx, SYSTEM, made.mailboxes["amy"], 10))
    for wish, code in (
        (Wish(into=made.mailboxes["amy"]), "target_too_small"),
        (Wish(into=made.mailboxes["bob"]), TargetIsSource.code),
        (Wish(to=made.members["bob"]), TargetIsSource.code),
    ):
        with pytest.raises(Refusal) as said:
            await store.write(lambda tx, w=wish: offboard.rehearse(tx, SYSTEM, made.members["bob"], w))  # type: ignore[misc]  # a lambda's default
        assert said.value.code == code


async def test_when_the_copying_fails_he_stays_shut_out_and_it_can_be_asked_for_again(
    store: Store, tmp_path: Path, watch: Watch
) -> None:
    made = await town(store, tmp_path)
    amy = made.mailboxes["amy"]
    begun = await begin(store, made, Wish(into=amy))
    await finish(store, watch, only=offboard.KIND)
    await store.write(lambda tx: quota.change(tx, SYSTEM, amy, 10))
    await finish(store, watch)
    failed = await job(store, begun)
    assert (failed.state, failed.finished, failed.reason.partition(":")[0]) == (JobState.FAILED, 1, "not_running")
    bob = await store.read(lambda tx: members.get(tx, "bob"))
    assert bob.status is MemberStatus.DISABLED
    assert (await store.read(lambda tx: read.mailbox(tx, made.mailboxes["bob"]))).status is MailboxStatus.DISABLED
    await store.write(lambda tx: quota.change(tx, SYSTEM, amy, 0))
    await begin(store, made, Wish(into=amy))
    await finish(store, watch)
    assert await store.read(lambda tx: gone(tx, made))


async def test_another_has_given_his_mailbox_away_meanwhile(store: Store, tmp_path: Path, watch: Watch) -> None:
    made = await town(store, tmp_path)
    begun = await begin(store, made, Wish(to=made.members["carol"]))
    await store.write(lambda tx: reassign.reassign(tx, SYSTEM, made.mailboxes["bob"], made.members["amy"]))
    await finish(store, watch)
    assert (await job(store, begun)).state is JobState.FAILED
    assert await store.read(lambda tx: access.own_mailbox(tx, made.members["amy"].id)) == made.mailboxes["bob"]


@pytest.mark.parametrize("wish", ["into", "to"])
async def test_cut_off_anywhere_it_goes_on(store: Store, tmp_path: Path, watch: Watch, wish: str) -> None:
    made = await town(store, tmp_path)
    wished = Wish(into=made.mailboxes["amy"]) if wish == "into" else Wish(to=made.members["carol"])
    begun = await begin(store, made, wished)
    held: Held | None = await store.write(lambda tx: jobs.claim(tx, [offboard.KIND], lease=ids.new()))
    assert held is not None
    statements = 0
    while not (now := await store.read(lambda tx: jobs.get(tx, JobId(begun.id)))).state.has_ended:
        before = await everything(store)
        try:
            further = await Offboard(ShortStore(store, statements)).advance(held)
        except Cut:
            assert await everything(store) == before
            statements += 1
            continue
        statements = 0
        if further is None and now.finished < now.total:  # it waits for the copying
            await finish(store, watch)
            break
        held = further or held
    assert await store.read(lambda tx: gone(tx, made))

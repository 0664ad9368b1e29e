# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""An export holds the whole mailbox, or does not exist."""

from __future__ import annotations

import asyncio
import contextlib
import mailbox as mailbox_
import os
import zipfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from mailroom.core import ids
from mailroom.core.clock import DAY, SECOND
from mailroom.core.errors import InvalidValue, NoPermission, NoSpace, NotFound, NotInBin, Unavailable
from mailroom.directory import audit, rights
from mailroom.directory.model import SYSTEM
from mailroom.events import jobs, outbox
from mailroom.events.jobs import LEASE, Job, JobState
from mailroom.mailboxes import export, folders, recycle
from mailroom.mailboxes.contents import Bodies
from mailroom.mailboxes.export import Exports, Form, Plan, Written
from mailroom.mailboxes.model import Source
from mailroom.runtime.workers import Collect, Work
from mailroom.storage.engines import open_blobs
from mailroom.storage.ports import Store
from tests import make
from tests.mailboxes.copying import Desk, furnished
from tests.stores import Watch

LARGE = 300_000


async def nobody(_finished: int) -> None:
    """Hears nothing."""


@dataclass(frozen=True, slots=True)
class Office:
    """Amy's mailbox with a large mail, and a place for files."""

    desk: Desk
    exports: Exports
    place: Path

    async def plan(self, folder: str = "") -> Plan:
        return await self.desk.store.write(lambda tx: export.begin(tx, SYSTEM, self.desk.amy, folder=folder))

    async def write(self, name: str, *, folder: str = "", told: export.Told = nobody) -> Written:
        to = self.place / name
        return await self.exports.write(await self.plan(folder), to, Form(to.suffix[1:]), told)

    async def start(self, form: Form = Form.ZIP) -> Job:
        return await self.desk.store.write(lambda tx: export.start(tx, SYSTEM, self.desk.amy, form))

    def work(self) -> Work:
        return Work(self.desk.store, {export.KIND: self.exports}, ids.new)

    def left(self) -> list[str]:
        return sorted(each.name for folder in (self.place, self.exports.folder) for each in folder.iterdir())


@pytest.fixture
async def office(store: Store, tmp_path: Path) -> Office:
    desk = await furnished(store)
    acceptance = make.acceptance(store, tmp_path)
    await make.delivered(acceptance, make.mail(subject="large", size=LARGE), "amy@corp.example")
    for folder in ("exports", "place"):
        (tmp_path / folder).mkdir()
    bodies = Bodies(store, open_blobs(f"file://{tmp_path}/blobs"))
    return Office(desk, Exports(store, bodies, tmp_path / "exports", 0, often=0), tmp_path / "place")


async def test_a_zip_holds_every_mail_in_its_folder(office: Office) -> None:
    heard: list[int] = []

    async def told(finished: int) -> None:
        heard.append(finished)

    written = await office.write("amy.zip", told=told)
    assert (written.mails, written.gone, heard[-1]) == (18, 0, 18)
    file = office.place / "amy.zip"
    assert (file.stat().st_size, file.stat().st_mode & 0o777) == (written.octets, 0o600)
    with zipfile.ZipFile(file) as read:
        names = read.namelist()
        assert read.testzip() is None
        assert "项目/2026/Q1/000001 2025-06-15 plan 计划.eml" in names
        assert "Trash/Old/000001 2025-06-15 long ago.eml" in names
        assert len(read.read("INBOX/000010 2025-06-15 large.eml")) >= LARGE
        assert read.read("Sent/000001 2025-06-15 sent.eml") == make.mail(subject="sent")
    assert office.left() == ["amy.zip"]


async def test_an_mbox_holds_every_mail(office: Office) -> None:
    written = await office.write("amy.mbox")
    assert written.mails == 18
    assert subjects(office.place / "amy.mbox")[:2] == ["club", "draft"]


def subjects(file: Path) -> list[str]:
    """Of all mails in an mbox."""
    with contextlib.closing(mailbox_.mbox(file)) as read:
        return sorted(str(message["Subject"]) for message in read)


async def test_of_a_folder_with_those_below_it(office: Office) -> None:
    assert (await office.write("inbox.zip", folder="inbox")).mails == 11
    with zipfile.ZipFile(office.place / "inbox.zip") as read:
        assert {Path(name).parent.as_posix() for name in read.namelist()} == {"INBOX", "INBOX/Club"}
    with pytest.raises(NotFound):
        await office.write("none.zip", folder="none")
    assert office.left() == ["inbox.zip"]


async def test_folders_that_look_the_same_elsewhere_are_kept_apart(office: Office) -> None:
    for name in ("a:b", "a?b", "A_B"):
        await office.desk.put(name, "same")
    await office.write("amy.zip")
    with zipfile.ZipFile(office.place / "amy.zip") as read:
        names = [name.casefold() for name in read.namelist() if "same" in name]
    assert len(set(names)) == 3


async def test_what_goes_meanwhile_is_counted_and_what_comes_is_left_out(office: Office) -> None:
    plan = await office.plan()
    inbox = await office.desk.put("INBOX", "later")
    await office.desk.expunge(inbox, 1, 10)  # a small one, and the large one
    gone = asyncio.Event()

    async def told(_finished: int) -> None:
        if not gone.is_set():
            gone.set()
            await office.desk.expunge(await office.desk.folder("Sent"), 1)

    written = await office.exports.write(plan, office.place / "amy.zip", Form.ZIP, told)
    assert (written.mails, written.gone) == (15, 3)
    with zipfile.ZipFile(office.place / "amy.zip") as read:
        assert not [name for name in read.namelist() if "later" in name]


async def test_a_large_mail_that_goes_between_two_looks_is_counted(office: Office, store: Store) -> None:
    inbox = await office.desk.folder("INBOX")

    class Slow(Bodies):
        async def read(self, content_id, start=0, end=None):  # type: ignore[no-untyped-def] # as its parent's
            await office.desk.expunge(inbox, 10)
            async for chunk in super().read(content_id, start, end):
                yield chunk

    bodies = Slow(store, office.exports.bodies.blobs)
    plan = await office.plan()
    exports = Exports(store, bodies, office.exports.folder, 0, often=0)
    written = await exports.write(plan, office.place / "amy.zip", Form.ZIP, nobody)
    assert (written.mails, written.gone) == (17, 1)


async def test_nothing_is_left_of_one_that_fails(office: Office, tmp_path: Path) -> None:
    async def full(_finished: int) -> None:
        raise NoSpace

    with pytest.raises(NoSpace):
        await office.write("amy.zip", told=full)
    with pytest.raises(InvalidValue):
        await office.write("nowhere/amy.zip")
    for blob in (tmp_path / "blobs").rglob("?" * 64):
        blob.unlink()
    with pytest.raises(Unavailable):
        await office.write("amy.mbox")
    assert office.left() == []


async def test_one_that_is_stopped_leaves_nothing(office: Office) -> None:
    reached = asyncio.Event()

    async def told(_finished: int) -> None:
        reached.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(office.write("amy.zip", told=told))
    await asyncio.wait_for(reached.wait(), 10)
    task.cancel()
    await asyncio.wait([task])
    assert office.left() == []


async def test_as_a_job_the_file_lies_with_us_for_a_day(office: Office, store: Store, watch: Watch) -> None:
    job = await office.start()
    with pytest.raises(NotFound):
        office.exports.file(job)
    assert await office.work().once()
    job = await office.desk.job(job.id)
    file = office.exports.file(job)
    assert job.state is JobState.DONE
    assert job.result == {"file": f"{job.id}.zip", "mails": 18, "gone": 0, "octets": file.stat().st_size}
    assert (job.finished, job.total, job.subject) == (18, 18, "amy@corp.example")
    os.utime(file, times=(watch.now / SECOND,) * 2)
    collect = Collect(store, office.exports.bodies, [office.exports.folder], watch)
    watch.now += DAY
    collect._sweep()
    assert file.exists()
    watch.now += 1
    collect._sweep()
    with pytest.raises(NotFound):
        office.exports.file(job)


async def test_a_job_that_was_interrupted_begins_anew(office: Office, store: Store, watch: Watch) -> None:
    job = await office.start(Form.MBOX)
    held = await store.write(lambda tx: jobs.claim(tx, {export.KIND}, lease="slow"))
    assert held is not None
    await store.write(partial(jobs.progress, held=held, finished=7))
    watch.now += LEASE
    (office.exports.folder / f".{job.id}.mbox.x.part").write_bytes(b"half")
    assert await office.work().once()
    assert (await office.desk.job(job.id)).result["mails"] == 18
    assert len(subjects(office.exports.file(await office.desk.job(job.id)))) == 18


async def test_a_job_that_is_cancelled_leaves_no_file(office: Office, store: Store) -> None:
    job = await office.start()

    class Cancelled(Bodies):
        async def read(self, content_id, start=0, end=None):  # type: ignore[no-untyped-def] # as its parent's
            await store.write(lambda tx: jobs.cancel(tx, job.id))
            async for chunk in super().read(content_id, start, end):
                yield chunk

    exports = Exports(store, Cancelled(store, office.exports.bodies.blobs), office.exports.folder, 0, often=0)
    assert await Work(store, {export.KIND: exports}, ids.new).once()
    assert (await office.desk.job(job.id)).state is JobState.CANCELLED
    assert office.left() == []


async def test_a_job_keeps_the_reserve_of_the_disk(office: Office, store: Store, watch: Watch) -> None:
    job = await office.start()
    exports = Exports(store, office.exports.bodies, office.exports.folder, 1 << 62)
    assert await Work(store, {export.KIND: exports}, ids.new).once()
    late = await office.desk.job(job.id)
    assert (late.state, late.reason) == (JobState.QUEUED, "no_space: The server has no space left.")
    assert office.left() == []
    watch.now += 10 * SECOND
    assert await office.work().once()
    assert (await office.desk.job(job.id)).state is JobState.DONE


async def test_who_may_and_who_is_told(office: Office, store: Store, watch: Watch) -> None:
    found = office.desk
    bob = await store.read(lambda tx: rights.of(tx, found.made.members["bob"]))
    with pytest.raises(NoPermission):
        await store.write(lambda tx: export.begin(tx, bob, found.bob))
    await store.write(lambda tx: outbox.claim(tx, lease="arrivals", until=tx.now + DAY, limit=99))
    amy = await store.read(lambda tx: rights.of(tx, found.made.members["amy"]))
    await store.write(lambda tx: export.begin(tx, amy, found.bob))
    facts = await store.write(lambda tx: outbox.claim(tx, lease="x", until=tx.now + 1, limit=99))
    assert [fact.kind for fact in facts] == ["MailboxExported"]
    [entry, *_] = await store.read(lambda tx: audit.of_own(tx, found.made.members["bob"], before=1 << 60, limit=9))
    assert (entry.actor, entry.action, entry.subject) == ("member:amy", "mailbox.export", "bob@corp.example")
    await store.write(lambda tx: recycle.enter(tx, SYSTEM, found.bob, Source.UNBOUND))
    await store.write(lambda tx: export.begin(tx, amy, found.bob))
    watch.now += 31 * DAY
    with pytest.raises(NotInBin):
        await store.write(lambda tx: export.begin(tx, amy, found.bob))


async def test_a_mailbox_with_empty_folders_is_an_empty_archive(office: Office) -> None:
    await office.desk.store.write(lambda tx: folders.create(tx, office.desk.bob, "Empty"))
    plan = await office.desk.store.write(lambda tx: export.begin(tx, SYSTEM, office.desk.bob))
    written = await office.exports.write(plan, office.place / "bob.zip", Form.ZIP, nobody)
    assert written.mails == 0
    with zipfile.ZipFile(office.place / "bob.zip") as read:
        assert read.namelist() == []

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Writing the mails of a mailbox to a file: a ZIP of EML with the tree of its folders, or one mbox.

The file has its name only when it is complete, and durable. A few mails at a time are in memory, or a chunk of a large
one. What arrives meanwhile is not in it. What was removed before its turn came is counted as gone.

As a job the file comes to lie in a folder of ours, for a day. A job that was interrupted begins anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import errno
import itertools
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from mailroom.core.clock import iso
from mailroom.core.errors import InvalidValue, NoSpace, NotFound
from mailroom.core.ids import ContentId, FolderId, MailboxId
from mailroom.directory import addresses, audit, rights
from mailroom.directory.model import Actor
from mailroom.events import jobs, outbox
from mailroom.events.facts import MailboxExported
from mailroom.events.jobs import Held, Job, JobState
from mailroom.mailboxes import archives, backup, fetch, folders, queries, recycle
from mailroom.mailboxes.archives import Archive, Entry, Mbox, Zip
from mailroom.mailboxes.contents import Bodies
from mailroom.storage.ports import Row, Store, Tx

KIND: Final = "export"
_AT_ONCE: Final = 100  # mails
_OFTEN: Final = 4 << 20  # octets after which it is told how far the work is
_NO_SPACE: Final = {errno.ENOSPC, errno.EDQUOT}


class Form(enum.StrEnum):
    """What the file is; also the end of its name."""

    ZIP = "zip"
    MBOX = "mbox"


_ARCHIVES: Final[Mapping[Form, Callable[[BinaryIO], Archive]]] = {Form.ZIP: Zip, Form.MBOX: Mbox}


@dataclass(frozen=True, slots=True)
class Stretch:
    """The mails of a folder up to a UID (that one not included), and where they come to lie in the file."""

    folder_id: FolderId
    path: str
    below: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written."""

    address: str
    stretches: Sequence[Stretch]
    mails: int


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: how many mails, how many had gone, and the size of the file."""

    mails: int
    gone: int
    octets: int


Told = Callable[[int], Awaitable[None]]
"""Hears how many mails are done."""


def begin(tx: Tx, by: Actor, mailbox_id: MailboxId, *, folder: str = "") -> Plan:
    """What `Exports.write` is to write: the whole mailbox, or a folder with those below it. Its users are told. Raises
    `NoPermission`, `NotFound`, `NotInBin`.
    """
    rights.over_all(by)
    backup.ask_source(tx, recycle.hold(tx, mailbox_id))
    plan = _plan(tx, mailbox_id, folder)
    after = {"folder": folder, "mails": plan.mails}
    audit.record(tx, by, "mailbox.export", plan.address, after=after, mailbox_id=mailbox_id)
    outbox.emit(tx, MailboxExported(mailbox_id=mailbox_id, address=plan.address, actor=str(by)))
    return plan


def start(tx: Tx, by: Actor, mailbox_id: MailboxId, form: Form, *, folder: str = "") -> Job:
    """Have it written by a job; `Exports.file` is the file, when the job is done. Raises as `begin` does."""
    plan = begin(tx, by, mailbox_id, folder=folder)
    task = {"source": mailbox_id, "form": form.value, "folder": folder}
    return jobs.start(tx, KIND, task, by=str(by), subject=plan.address, total=plan.mails)


def _plan(tx: Tx, mailbox_id: MailboxId, folder: str) -> Plan:
    address = addresses.primary(tx, mailbox_id)
    found = sorted(queries.folders.folders(tx, mailbox_id), key=lambda each: each.name)
    if folder:
        name = folders.canonical(folder)
        found = [each for each in found if each.name == name or each.name.startswith(f"{name}/")]
        if not found:
            raise NotFound(what="folder", name=folder)
    taken: set[str] = set()
    stretches = []
    for each in found:
        path = archives.folder(each.name)
        if path.casefold() in taken:  # it differed in signs that not every system takes, or in case only
            path = f"{path} ({each.id})"
        taken.add(path.casefold())
        stretches.append(Stretch(each.id, path, each.uidnext))
    return Plan(address, stretches, sum(each.mails for each in found))


@dataclass(frozen=True, slots=True)
class Exports:
    """Writes the files, and is a `jobs.Worker`: then the file lies in `folder`, whose disk keeps `reserve` octets free.
    The job's result: the `file`, how many `mails` are in it, how many had `gone`, its size in `octets`.
    """

    store: Store
    bodies: Bodies
    folder: Path
    reserve: int
    often: int = _OFTEN

    async def advance(self, held: Held) -> Held | None:
        """See `jobs.Worker`. Raises `NotFound`, `NoSpace`, `Unavailable`."""
        task = held.job.task
        plan = await self.store.read(lambda tx: _plan(tx, MailboxId(task["source"]), task["folder"]))
        to = self._path(held.job)

        async def told(finished: int) -> None:
            nonlocal held
            disk = os.statvfs(self.folder)
            if disk.f_bavail * disk.f_frsize < self.reserve:
                raise NoSpace
            held = await self.store.write(partial(jobs.progress, held=held, finished=finished, total=plan.mails))

        await told(0)
        written = await self.write(plan, to, Form(task["form"]), told)
        result = {"file": to.name, "mails": written.mails, "gone": written.gone, "octets": written.octets}
        await self.store.write(partial(jobs.finish, held=held, result=result))
        return None

    def file(self, job: Job) -> Path:
        """The file that a job has written. Raises `NotFound`: it is not there yet, or not any more."""
        if job.kind != KIND or job.state is not JobState.DONE or not (path := self._path(job)).exists():
            raise NotFound(what="file", name=str(job.id))
        return path

    def _path(self, job: Job) -> Path:
        return self.folder / f"{job.id}.{job.task['form']}"

    async def write(self, plan: Plan, to: Path, form: Form, told: Told) -> Written:
        """Write the file; durable on return. One that was there is replaced. Raises `InvalidValue`, `NoSpace`,
        `Unavailable`, and what `told` raises: then there is no file.
        """
        with _meanings(), _beside(to) as file, contextlib.closing(_ARCHIVES[form](file)) as archive:
            mails, gone = await self._write_all(plan, archive, told)
            await asyncio.to_thread(_complete, archive, file)
            return Written(mails, gone, file.tell())

    async def _write_all(self, plan: Plan, archive: Archive, told: Told) -> tuple[int, int]:
        """How many mails were written, and how many had gone."""
        written = seen = octets = 0
        for stretch in plan.stretches:
            above = 0
            while page := await self.store.read(partial(_page, stretch=stretch, above=above)):
                for is_small, mails in _runs(page):
                    write = (
                        asyncio.to_thread(_put, archive, mails) if is_small else self._write_large(mails[0], archive)
                    )
                    written += await write
                    seen += len(mails)
                    octets += sum(mail.size for mail in mails)
                    if octets > self.often:
                        await told(seen)
                        octets = 0
                above = page[-1].uid
        await told(seen)
        return written, plan.mails - written

    async def _write_large(self, mail: _Mail, archive: Archive) -> int:
        """1 when it was still there, else 0."""
        chunks = self.bodies.read(mail.content_id)
        try:
            first = await anext(chunks)
        except NotFound:
            return 0
        await asyncio.to_thread(archive.begin, mail.entry)
        await asyncio.to_thread(archive.write, first)
        async for chunk in chunks:
            await asyncio.to_thread(archive.write, chunk)
        await asyncio.to_thread(archive.end)
        return 1


@dataclass(frozen=True, slots=True)
class _Mail:
    """A mail that is to be written."""

    uid: int
    content_id: ContentId
    size: int
    entry: Entry
    octets: bytes | None  # none: it is large


def _page(tx: Tx, *, stretch: Stretch, above: int) -> Sequence[_Mail]:
    rows = queries.copies.page(tx, stretch.folder_id, above=above, below=stretch.below, most=_AT_ONCE)
    small = fetch.bodies(tx, [ContentId(row[1]) for row in rows if not row[6]])
    return [_Mail(row[0], ContentId(row[1]), row[2], _entry(stretch, row), small.get(row[1])) for row in rows]


def _entry(stretch: Stretch, row: Row) -> Entry:
    uid, _, _, arrived_at, sender, subject, _ = row
    name = f"{uid:06} {iso(arrived_at)[:10]} {archives.part(subject)}".rstrip(" .")
    return Entry(f"{stretch.path}/{name}.eml", arrived_at, sender)


def _runs(page: Sequence[_Mail]) -> Iterator[tuple[bool, Sequence[_Mail]]]:
    """Small mails that follow each other, and each large one by itself."""
    for is_small, run in itertools.groupby(page, key=lambda mail: mail.octets is not None):
        if is_small:
            yield True, list(run)
        else:
            yield from ((False, [mail]) for mail in run)


def _put(archive: Archive, mails: Sequence[_Mail]) -> int:
    """Write small mails; how many."""
    for mail in mails:
        archive.begin(mail.entry)
        archive.write(mail.octets or b"")
        archive.end()
    return len(mails)


def _complete(archive: Archive, file: BinaryIO) -> None:
    archive.finish()
    file.flush()
    os.fsync(file.fileno())


@contextlib.contextmanager
def _beside(to: Path) -> Iterator[BinaryIO]:
    """A file, for our eyes only, that gets its name when all went well."""
    handle, name = tempfile.mkstemp(prefix=f".{to.name}.", suffix=".part", dir=to.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
        part.replace(to)
        folder = os.open(to.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _meanings() -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        if fault.errno in _NO_SPACE:
            raise NoSpace from fault
        raise InvalidValue(name="to", reason=fault.strerror or str(fault)) from fault

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Copying the mails of one mailbox into another, as a job: below a folder of the target that is named after the source
and the day lies the source's tree, without Trash and Junk.

It copies and never moves, shares what the mails say with their originals, and is no arrival: no notice, no filter, no
answer. Folder by folder it remembers the last UID that was copied, so a crash loses and doubles nothing, and a second
backup copies only what is new. What was moved within the source is not new: of each content there come to be as many
copies as the source has.

It goes by what was there when it began, then looks again for what has come, or was moved into a folder that it had done
with, and ends when one transaction finds nothing left.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from mailroom.core import clock
from mailroom.core.errors import (
    InvalidValue,
    MailboxDisabled,
    OverQuota,
    TargetIsSource,
    TargetTooSmall,
    TooMany,
)
from mailroom.core.ids import ContentId, FolderId, MailboxId, Uid
from mailroom.directory import addresses, audit, rights
from mailroom.directory.model import Actor
from mailroom.events import jobs, outbox
from mailroom.events.facts import BackupBegan, BackupDone
from mailroom.events.jobs import Held, Job
from mailroom.mailboxes import change, folders, queries, recycle
from mailroom.mailboxes.model import Folder, FolderRole, Mailbox, MailboxStatus
from mailroom.mailboxes.queries.copies import Mark, Root
from mailroom.mailboxes.uids import ranges
from mailroom.storage.ports import Store, Tx

KIND: Final = "backup"
_AT_ONCE: Final = 500  # mails in a piece
_A_FOLDER: Final = 10  # mails that a folder counts for in a piece
_LOOKS: Final = 10  # for what has come meanwhile: two mailboxes may be backed up into each other
_LEFT_OUT: Final = (FolderRole.TRASH, FolderRole.JUNK)
_ADDRESS_MOST: Final = 160  # characters of it in the name of a folder

Left = Sequence[tuple[FolderId, int]]
"""Folders that are still to be copied, each up to a UID (that one not included)."""


def start(tx: Tx, by: Actor, source_id: MailboxId, target_id: MailboxId) -> Job:
    """Have the mails of the source copied into the target; if they are just being copied, the job that does it. The
    source may be disabled, or in the recycle bin. Raises `NoPermission`, `NotFound`, `NotInBin`, `TargetIsSource`,
    `MailboxDisabled`, `TargetTooSmall`.
    """
    rights.over_all(by)
    source, target = _hold(tx, source_id, target_id)
    address, into = addresses.primary(tx, source.id), addresses.primary(tx, target.id)
    if source_id == target_id:
        raise TargetIsSource(address=address)
    ask_source(tx, source)
    _ask_target(target, into)
    task = {"source": source_id, "target": target_id}
    for job in jobs.pending(tx, KIND):
        if job.task == task:
            return job
    mails, octets = _Tree(tx, source_id, target_id).rest()
    if target.quota and target.used + octets > target.quota:
        raise TargetTooSmall(address=into, room=_room(target), needed=octets)
    job = jobs.start(tx, KIND, task, by=str(by), subject=f"{address} -> {into}", total=mails)
    after = {"into": into, "mails": mails, "job": job.id}
    audit.record(tx, by, "mailbox.backup", address, after=after, mailbox_id=source_id)
    return job


def ask_source(tx: Tx, source: Mailbox) -> None:
    """Whether one may begin to copy the mailbox: not when its time in the recycle bin is over. Who has begun may go on,
    since the purge waits for him. Raises `NotInBin`.
    """
    if source.status is MailboxStatus.RECYCLED:
        recycle.waiting(tx, source.id)


@dataclass(frozen=True, slots=True)
class Backups:
    """A `jobs.Worker`. Its result: the `folder` in the target, how many mails were `copied`, and how many were `there`
    already since they had only been moved.
    """

    store: Store
    at_once: int = _AT_ONCE

    async def advance(self, held: Held) -> Held | None:
        """See `jobs.Worker`. Raises as `start` does, and `TooMany` (folders, or keywords, of the target)."""
        return await self.store.write(partial(_piece, held=held, most=self.at_once))


def _hold(tx: Tx, source_id: MailboxId, target_id: MailboxId) -> tuple[Mailbox, Mailbox]:
    """Both mailboxes, locked in the order that `queries.folders.lock` lays down. Raises `NotFound`."""
    held = {mailbox_id: recycle.hold(tx, mailbox_id) for mailbox_id in sorted({source_id, target_id})}
    return held[source_id], held[target_id]


def _ask_target(target: Mailbox, address: str) -> None:
    if target.status is not MailboxStatus.ACTIVE:
        raise MailboxDisabled(address=address)


def _room(target: Mailbox) -> int:
    return max(target.quota - target.used, 0)


class _Tree:
    """What of the source is copied where, as it is in this transaction."""

    def __init__(self, tx: Tx, source_id: MailboxId, target_id: MailboxId) -> None:
        self._tx = tx
        self._source_id = source_id
        self._target_id = target_id
        self.root: Root | None = queries.copies.root(tx, source_id, target_id)
        self._marks: dict[FolderId, Mark] = queries.copies.marks(tx, source_id, target_id) if self.root else {}
        self._folders = {folder.id: folder for folder in _copied_folders(tx, source_id)}

    def _mark(self, folder_id: FolderId) -> int:
        return self._marks[folder_id].uid if folder_id in self._marks else 0

    def left(self) -> Left:
        """The folders of which something is not copied yet, those above first; also those that are not made yet."""
        return [
            (folder.id, folder.uidnext)
            for folder in self._folders.values()
            if folder.id not in self._marks or self._mark(folder.id) < folder.uidnext - 1
        ]

    def rest(self) -> tuple[int, int]:
        """How many mails are not copied yet, and how many octets they have."""
        counts = [
            queries.copies.beyond(self._tx, folder_id, above=self._mark(folder_id))
            if self._mark(folder_id)
            else (self._folders[folder_id].mails, self._folders[folder_id].size)
            for folder_id, _ in self.left()
        ]
        return sum(mails for mails, _ in counts), sum(octets for _, octets in counts)

    def begin(self, address: str) -> Root:
        """Make the root; whatever was copied before counts no more."""
        taken = {folder.name for folder in queries.folders.folders(self._tx, self._target_id)}
        named = f"{address[:_ADDRESS_MOST]} {clock.iso(self._tx.now)[:10]}"
        name, number = named, 1
        while any(each == name or each.startswith(f"{name}/") for each in taken):
            number += 1
            name = f"{named} ({number})"
        self.root = Root(self._make(name), name)
        queries.copies.begin(self._tx, self._source_id, self._target_id, self.root.id)
        self._marks = {}
        return self.root

    def copy(self, folder_id: FolderId, *, below: int, most: int, fresh: bool) -> _Copied:
        """Copy the next mails of one folder. With `fresh` none of them can be there already. Raises `OverQuota`."""
        if folder_id not in self._folders:  # removed meanwhile, or thrown away
            return _Copied(is_over=True)
        mark = self._marks.get(folder_id) or Mark(self._place(self._folders[folder_id]), 0)
        mails = queries.copies.next_mails(self._tx, folder_id, above=mark.uid, below=below, most=most)
        is_over = len(mails) < most
        wanted = [Uid(uid) for uid, _ in mails] if fresh else self._missing(mails)
        if wanted:
            change.copy(self._tx, folder_id, ranges(wanted), into=mark.into)
        last = max(mark.uid, below - 1) if is_over else mails[-1][0]
        self._marks[folder_id] = Mark(mark.into, last)
        queries.copies.mark(self._tx, folder_id, self._marks[folder_id])
        return _Copied(len(wanted), len(mails) - len(wanted), is_over)

    def _missing(self, mails: Sequence[tuple[Any, ...]]) -> Sequence[Uid]:
        """Those of which the copies do not show the content as often as the source does."""
        copies = {mark.into for mark in self._marks.values()}
        content_ids = [ContentId(content_id) for _, content_id in mails]
        wanted: Counter[ContentId] = Counter()
        for content_id, folder_id in queries.copies.shown(self._tx, content_ids, self._source_id, self._target_id):
            if folder_id in self._folders:
                wanted[content_id] += 1
            elif folder_id in copies:
                wanted[content_id] -= 1
        missing = []
        for uid, content_id in mails:
            if wanted[content_id] > 0:
                wanted[content_id] -= 1
                missing.append(Uid(uid))
        return missing

    def _place(self, folder: Folder) -> FolderId:
        """The folder that takes the copies of this one; made, unless it was made as one that stands above another."""
        assert self.root is not None
        name = f"{self.root.name}/{folder.name}"
        there = folders.by_name(self._tx, self._target_id, name)
        if there is not None and there.id not in {mark.into for mark in self._marks.values()}:
            return there.id
        if there is None:
            with contextlib.suppress(InvalidValue):  # too long, below the root
                return self._make(name)
        short = f"{folder.name.rpartition('/')[2][:30]} ({folder.id})".strip()
        return self._make(f"{self.root.name}/{short}")

    def _make(self, name: str) -> FolderId:
        folder_id = folders.create(self._tx, self._target_id, name)
        with contextlib.suppress(TooMany):  # then it is found by who looks for it
            folders.subscribe(self._tx, self._target_id, name)
        return folder_id


def _copied_folders(tx: Tx, source_id: MailboxId) -> Sequence[Folder]:
    """Those that are copied, each after those above it."""
    found = queries.folders.folders(tx, source_id)
    left_out = [folder.name for folder in found if folder.role in _LEFT_OUT]
    return [
        folder
        for folder in sorted(found, key=lambda each: each.name)
        if folder.role not in _LEFT_OUT and not any(folder.name.startswith(f"{name}/") for name in left_out)
    ]


@dataclass(frozen=True, slots=True)
class _Copied:
    """What became of some mails of a folder."""

    copied: int = 0
    there: int = 0
    is_over: bool = False


@dataclass(slots=True)
class _Stand:
    """Where the work stands."""

    left: list[tuple[FolderId, int]]
    looks: int  # at the whole source so far
    fresh: bool  # nothing that is left can be there already
    copied: int
    there: int

    @classmethod
    def of(cls, notes: Mapping[str, Any]) -> _Stand:
        left = [(FolderId(folder_id), below) for folder_id, below in notes["left"]]
        return cls(left, notes["looks"], notes["fresh"], notes["copied"], notes["there"])

    def notes(self) -> Mapping[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def _piece(tx: Tx, *, held: Held, most: int) -> Held | None:
    """Copy some mails, and note it. All of it in one transaction, or none."""
    source_id, target_id = MailboxId(held.job.task["source"]), MailboxId(held.job.task["target"])
    _, target = _hold(tx, source_id, target_id)
    address, into = addresses.primary(tx, source_id), addresses.primary(tx, target_id)
    _ask_target(target, into)
    tree = _Tree(tx, source_id, target_id)
    stand = _begin(tx, tree, held.job, address=address)
    try:
        _copy_some(tree, stand, most)
    except OverQuota as full:
        _, octets = tree.rest()
        raise TargetTooSmall(address=into, room=_room(target), needed=octets) from full
    total = held.job.total
    if not stand.left and stand.looks < _LOOKS:
        stand.left, stand.looks, stand.fresh = list(tree.left()), stand.looks + 1, False
        total = stand.copied + stand.there + tree.rest()[0]
    finished = stand.copied + stand.there
    held = jobs.progress(tx, held, finished=finished, total=max(total, finished), notes=stand.notes())
    if stand.left:
        return held
    assert tree.root is not None
    outbox.emit(tx, BackupDone(source_id=source_id, source=address, target=into, actor=held.job.actor))
    jobs.finish(tx, held, {"folder": tree.root.name, "copied": stand.copied, "there": stand.there})
    return None


def _begin(tx: Tx, tree: _Tree, job: Job, *, address: str) -> _Stand:
    """Where the work stands; at the beginning, or when the root has been removed, nowhere yet."""
    begun = _Stand.of(job.notes) if job.notes else None
    is_new = tree.root is None
    root = tree.begin(address) if tree.root is None else tree.root
    if begun is None:
        outbox.emit(
            tx,
            BackupBegan(target_id=MailboxId(job.task["target"]), source=address, folder=root.name, actor=job.actor),
        )
        return _Stand(list(tree.left()), 1, is_new, 0, 0)
    if is_new:
        return _Stand(list(tree.left()), begun.looks, fresh=True, copied=begun.copied, there=begun.there)
    return begun


def _copy_some(tree: _Tree, stand: _Stand, most: int) -> None:
    """Copy up to `most` mails of the folders that are left. Raises `OverQuota` when nothing more fits."""
    room = most
    while stand.left and room > 0:
        folder_id, below = stand.left[0]
        try:
            done = tree.copy(folder_id, below=below, most=room, fresh=stand.fresh)
        except OverQuota:
            if room == most:
                raise
            return  # what did fit counts
        stand.copied += done.copied
        stand.there += done.there
        room -= done.copied + done.there + _A_FOLDER
        if done.is_over:
            stand.left.pop(0)

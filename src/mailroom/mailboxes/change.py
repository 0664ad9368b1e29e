# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Changing mails where they lie: flags, copy, move, expunge. Every change raises the folder's modseq once and gives
the new number to all it concerns, so that views catch up with one query. Locks come first, in the order that
`queries.folders.lock` lays down: on PostgreSQL two changes of one mail would else overwrite each other.

However many mails there are, they are changed by a few statements.
"""

from __future__ import annotations

import enum
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mailroom.core.ids import ContentId, FolderId, Modseq, Uid
from mailroom.mailboxes import append, contents, queries
from mailroom.mailboxes.model import Flag, Marks, topic
from mailroom.mailboxes.uids import EVERY, Ranges, ranges
from mailroom.storage.ports import Row, Tx

AT_ONCE = 250  # mails that go in one transaction, where there may be very many: nobody else writes meanwhile
_ALL_FLAGS = (1 << len(Flag)) - 1


class How(enum.Enum):
    """What to do with the named flags (RFC 9051 §6.4.6)."""

    ADD = "+"
    REMOVE = "-"
    REPLACE = "="


@dataclass(frozen=True, slots=True)
class Marked:
    """What a change of marks has done."""

    modseq: Modseq  # of the mails that really changed; 0: of none
    failed: array[int]  # UIDs that others have changed since, ascending


@dataclass(frozen=True, slots=True)
class Copied:
    """Which mails were copied or moved, ascending, and where to: the nth of them has become `first` + n."""

    uids: array[int]
    first: Uid


def mark(
    tx: Tx, folder_id: FolderId, uids: Ranges, how: How, marks: Marks, *, unchanged_since: Modseq | None = None
) -> Marked:
    """Change the flags of the mails that are there, but not of those that were changed after `unchanged_since`
    (RFC 7162 §3.1.3). What they are then, `fetch.flags` says in the same transaction. Raises `NotFound`, `TooMany`
    (keywords).
    """
    folder = queries.folders.lock_folder(tx, folder_id)
    marking = queries.mails.Marking(folder_id, uids, Modseq(folder.modseq + 1))
    failed = array("I")
    if unchanged_since is not None:
        failed = queries.mails.touched(tx, folder_id, uids, unchanged_since)
        marking = queries.mails.Marking(folder_id, uids, marking.modseq, unchanged_since)
    unseen, changed = _set_flags(tx, marking, how, marks.flags)
    changed += _set_keywords(tx, marking, how, marks.keywords)
    if not changed:
        return Marked(Modseq(0), failed)
    queries.folders.touch(tx, folder_id, unseen=unseen)
    tx.hint(topic(folder.mailbox_id))
    return Marked(marking.modseq, failed)


def _set_flags(tx: Tx, marking: queries.mails.Marking, how: How, flags: Flag) -> tuple[int, int]:
    """How many more are unseen now, and how many have changed."""
    more, keep = _masks(how, int(flags))
    if not more and keep == _ALL_FLAGS:
        return 0, 0
    unseen = 0
    if more & Flag.SEEN:
        unseen = -queries.mails.count_unseen(tx, marking)[1]
    elif not keep & Flag.SEEN:
        mails, before = queries.mails.count_unseen(tx, marking)
        unseen = mails - before
    return unseen, queries.mails.set_flags(tx, marking, more=more, keep=keep)


def _masks(how: How, flags: int) -> tuple[int, int]:
    """The flags to add, and those to keep then."""
    match how:
        case How.ADD:
            return flags, _ALL_FLAGS
        case How.REMOVE:
            return 0, _ALL_FLAGS & ~flags
        case How.REPLACE:
            return flags, flags


def _set_keywords(tx: Tx, marking: queries.mails.Marking, how: How, keywords: frozenset[str]) -> int:
    """How many have changed."""
    named = frozenset(keyword.lower() for keyword in keywords)
    if how is not How.REMOVE:
        append.note(tx, marking.folder_id, keywords)
    if how is How.REPLACE:
        is_possible = named or queries.folders.keywords(tx, marking.folder_id)
        return queries.mails.set_keywords(tx, marking, named) if is_possible else 0
    if not named:
        return 0
    # One statement for all that have the same, not one for each keyword: both may be hundreds.
    having: dict[str, list[int]] = {}
    for words, uid in queries.mails.keywords_of(tx, marking):
        having.setdefault(words, []).append(uid)
    changed = 0
    for words, uids in having.items():
        before = frozenset(words.split())
        after = before | named if how is How.ADD else before - named
        if after != before:
            changed += queries.mails.set_keywords(tx, replace(marking, uids=ranges(uids)), after)
    return changed


def copy(tx: Tx, folder_id: FolderId, uids: Ranges, *, into: FolderId) -> Copied:
    """Copy the mails that are there. Contents are shared. Raises `OverQuota`, `MailboxDisabled`, `NotFound`, `TooMany`
    (keywords of the target); then nothing is copied.
    """
    _, target = queries.folders.lock(tx, folder_id, into)
    mails = queries.mails.pick(tx, folder_id, uids)
    if not mails:
        return Copied(array("I"), Uid(0))
    append.charge(tx, target.mailbox_id, _size(mails))
    contents.share_all(tx, _contents(mails), by=1)
    copied = _transfer(tx, folder_id, mails, into)
    tx.hint(topic(target.mailbox_id))
    return copied


def move(tx: Tx, folder_id: FolderId, uids: Ranges, *, into: FolderId) -> Copied:
    """Move the mails that are there (RFC 6851). Within one mailbox the quota is not asked. Raises as `copy` does."""
    source, target = queries.folders.lock(tx, folder_id, into)
    mails = queries.mails.pick(tx, folder_id, uids)
    if not mails:
        return Copied(array("I"), Uid(0))
    if source.mailbox_id != target.mailbox_id:
        append.charge(tx, target.mailbox_id, _size(mails))
        queries.mailboxes.discharge(tx, source.mailbox_id, _size(mails))
    copied = _transfer(tx, folder_id, mails, into)
    _remove(tx, folder_id, mails)
    tx.hint(topic(source.mailbox_id))
    tx.hint(topic(target.mailbox_id))
    return copied


def expunge(tx: Tx, folder_id: FolderId, uids: Ranges = EVERY, *, most: int = queries.mails.ALL) -> array[int]:
    """Remove for good the mails marked as deleted (only those among `uids`, if given: RFC 4315), or the first so many
    of them; their UIDs, ascending. What shows a content last takes it along. Raises `NotFound`.
    """
    [folder] = queries.folders.lock(tx, folder_id)
    mails = queries.mails.pick_deleted(tx, folder_id, uids, most)
    if mails:
        _remove(tx, folder_id, mails)
        contents.share_all(tx, _contents(mails), by=-1)
        queries.mailboxes.discharge(tx, folder.mailbox_id, _size(mails))
        tx.hint(topic(folder.mailbox_id))
    return _uids(mails)


def clear(tx: Tx, folder_id: FolderId, *, most: int = queries.mails.ALL) -> None:
    """Take all mails, or the first so many, out of a folder that is about to go itself. Raises `NotFound`."""
    [folder] = queries.folders.lock(tx, folder_id)
    mails = queries.mails.pick(tx, folder_id, EVERY, most)
    _remove(tx, folder_id, mails)
    contents.share_all(tx, _contents(mails), by=-1)
    queries.mailboxes.discharge(tx, folder.mailbox_id, _size(mails))


def _transfer(tx: Tx, folder_id: FolderId, mails: Sequence[Row], into: FolderId) -> Copied:
    last = queries.folders.next_uids(tx, into, len(mails), unseen=_unseen(mails), octets=_size(mails))
    first = Uid(last.uid - len(mails) + 1)
    used = {keyword for keywords in {mail[4] for mail in mails} for keyword in keywords.split()}
    if used:
        spelt = queries.folders.keywords(tx, folder_id)
        append.note(tx, into, [spelt[keyword] for keyword in used])
    copied = _uids(mails)
    queries.mails.copy(tx, folder_id, ranges(copied), into=into, first=first, modseq=last.modseq)
    return Copied(copied, first)


def _remove(tx: Tx, folder_id: FolderId, mails: Sequence[Row]) -> None:
    modseq = queries.folders.touch(tx, folder_id, mails=-len(mails), unseen=-_unseen(mails), octets=-_size(mails))
    queries.mails.remove(tx, folder_id, ranges(_uids(mails)), modseq)


# Of rows as `queries.mails.pick` gives them: UID, content, size, flags, keywords.


def _uids(mails: Sequence[Row]) -> array[int]:
    return array("I", [mail[0] for mail in mails])


def _contents(mails: Sequence[Row]) -> Sequence[ContentId]:
    return [mail[1] for mail in mails]


def _size(mails: Sequence[Row]) -> int:
    return sum(mail[2] for mail in mails)


def _unseen(mails: Sequence[Row]) -> int:
    return sum(1 for mail in mails if not mail[3] & 1)

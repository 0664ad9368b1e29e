# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a session must know of a folder: which UIDs there are, and what has changed since.

A view is a folder as it was when its modseq was `at` and its next UID was `below`. With the two numbers it can be had
again at any time, so a session that idles need not hold it.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from mailroom.core.errors import NotFound
from mailroom.core.ids import FolderId, Modseq, Uid
from mailroom.mailboxes import queries
from mailroom.mailboxes.fetch import FlagRow
from mailroom.mailboxes.model import Folder
from mailroom.storage.ports import Tx


@dataclass(frozen=True, slots=True)
class News:
    """What a view must learn to be up to date at `modseq`."""

    modseq: Modseq
    uidnext: Uid
    vanished: array[int]  # ascending; also such as the view never had: they came and went meanwhile
    arrived: array[int]  # ascending, all above what the view has
    changed: Sequence[FlagRow]  # of those that the view has, ascending by UID, at most `limit`


NEWS_MOST = 10_000


def uids(tx: Tx, folder_id: FolderId) -> array[int]:
    """The UIDs in the folder now, ascending. Raises `NotFound`."""
    folder = _folder(tx, folder_id)
    return uids_at(tx, folder_id, at=folder.modseq, below=folder.uidnext)


def uids_at(tx: Tx, folder_id: FolderId, *, at: Modseq, below: Uid) -> array[int]:
    """The UIDs of a view, ascending: what was there at the modseq `at`, as far as below the UID `below`. Raises
    `NotFound`.
    """
    folder = _folder(tx, folder_id)
    # Every UID that was given out is a mail's or in the expunge log: read the shorter list.
    if folder.uidnext - 1 - folder.mails < folder.mails:
        return _without(queries.mails.gone(tx, folder_id, below=below, until=at), below)
    there = queries.mails.uids(tx, folder_id, below=below)
    since = [uid for uid in queries.mails.vanished(tx, folder_id, at) if uid < below]
    return array("I", sorted([*there, *since])) if since else there


def _without(gone: array[int], below: int) -> array[int]:
    """All numbers from 1 up to `below` but those."""
    there = array("I")
    first = 1
    for uid in (*gone, below):
        if first < uid:
            there.extend(range(first, uid))
        first = uid + 1
    return there


def modseq(tx: Tx, folder_id: FolderId) -> Modseq:
    """The folder's modseq now: where a view has it, nothing has happened. Raises `NotFound`."""
    found = queries.folders.modseq(tx, folder_id)
    if found is None:
        raise NotFound(what="folder", name=str(folder_id))
    return found


def news(tx: Tx, folder_id: FolderId, *, since: Modseq, below: Uid, limit: int = NEWS_MOST) -> News:
    """What has happened to a view since (RFC 7162); one cheap look if nothing has. When `changed` is as long as the
    limit, there may be more: the function `changed` gives the rest. Raises `NotFound`: the folder has been removed.
    """
    folder = _folder(tx, folder_id)
    if folder.modseq <= since:
        return News(folder.modseq, folder.uidnext, array("I"), array("I"), ())
    return News(
        folder.modseq,
        folder.uidnext,
        queries.mails.vanished(tx, folder_id, since),
        queries.mails.uids_from(tx, folder_id, below) if folder.uidnext > below else array("I"),
        changed(tx, folder_id, since=since, above=Uid(0), below=below, limit=limit),
    )


def changed(
    tx: Tx, folder_id: FolderId, *, since: Modseq, above: Uid, below: Uid, limit: int = NEWS_MOST
) -> Sequence[FlagRow]:
    """The mails between the two UIDs (both excluded) that were marked after `since`, ascending, at most `limit`. Asked
    for piece by piece, all that had changed at the first piece comes; what changes meanwhile may come now or, with the
    next news, again.
    """
    return queries.mails.changed(tx, folder_id, since=since, above=above, below=below, limit=limit)


def changed_uids(tx: Tx, folder_id: FolderId, *, since: Modseq, below: Uid) -> array[int]:
    """The UIDs of all those mails, ascending."""
    return queries.mails.changed_uids(tx, folder_id, since=since, below=below)


def vanished(tx: Tx, folder_id: FolderId, *, since: Modseq) -> array[int]:
    """The UIDs that have gone after `since`, ascending (RFC 7162 §3.2.10)."""
    return queries.mails.vanished(tx, folder_id, since)


def _folder(tx: Tx, folder_id: FolderId) -> Folder:
    folder = queries.folders.folder(tx, folder_id)
    if folder is None:
        raise NotFound(what="folder", name=str(folder_id))
    return folder

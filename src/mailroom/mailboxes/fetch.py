# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mails as rows for FETCH: plain tuples, as many at once as are asked for, no object per mail.

A caller asks for some thousands at a time, so that neither a transaction nor a list grows with the folder.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from backports import zstd

from mailroom.core.errors import NotFound
from mailroom.core.ids import ContentId, FolderId, MailboxId
from mailroom.mailboxes import queries
from mailroom.mailboxes.model import FolderRole
from mailroom.mailboxes.uids import Ranges
from mailroom.storage.ports import Row, Tx

FlagRow = tuple[int, int, str, int]
"""UID, flags (the bits of `model.Flag`), keywords, modseq. Keywords are "" or lower case with a space before, between
and after: " $forwarded work "; `folders.keywords` knows how they are spelt.
"""


class Item(enum.IntFlag):
    """What `rows` adds to a row, in this order."""

    ENVELOPE = 1  # octets, as IMAP's
    STRUCTURE = 2  # octets, as IMAP's BODYSTRUCTURE
    PREVIEW = 4  # text
    PARTS = 8  # text, see `mime.structure.from_json`; then the size of the header block, an int


NO_ITEMS = Item(0)
_COLUMNS = {
    Item.ENVELOPE: ("envelope",),
    Item.STRUCTURE: ("bodystructure",),
    Item.PREVIEW: ("preview",),
    Item.PARTS: ("parts", "header_size"),
}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """INBOX as a POP3 session sees it from its beginning to its end."""

    folder_id: FolderId
    uidvalidity: int
    mails: Sequence[tuple[int, int, int]]  # UID, size, content id; ascending


def flags(tx: Tx, folder_id: FolderId, uids: Ranges) -> Sequence[FlagRow]:
    """The flags of the mails that are there, ascending by UID."""
    return queries.mails.flags(tx, folder_id, uids)


def rows(tx: Tx, folder_id: FolderId, uids: Ranges, items: Item = NO_ITEMS) -> Sequence[Row]:
    """The mails that are there, ascending by UID: UID, flags, keywords, modseq (as in `FlagRow`), size, internal date,
    content id; then the `items` asked for.
    """
    names = tuple(name for item, columns in _COLUMNS.items() if item in items for name in columns)
    return queries.mails.rows(tx, folder_id, uids, names)


def bodies(tx: Tx, content_ids: Sequence[ContentId]) -> Mapping[ContentId, bytes]:
    """The octets of small mails, whole; large ones are missing (`Bodies.read` has them)."""
    return {content_id: unpack() for content_id, unpack in packed(tx, content_ids).items()}


def packed(tx: Tx, content_ids: Sequence[ContentId]) -> Mapping[ContentId, Callable[[], bytes]]:
    """`bodies`, each unpacked when it is called: what cannot be read then holds up no other."""
    return {row[0]: partial(zstd.decompress, row[1]) for row in queries.contents.bodies(tx, content_ids) if not row[2]}


def headers(tx: Tx, content_ids: Sequence[ContentId]) -> Mapping[ContentId, bytes]:
    """The header blocks of mails, with the empty line that ends them; of one over 256 KiB its beginning."""
    return {row[0]: zstd.decompress(row[1])[: row[3]] for row in queries.contents.bodies(tx, content_ids)}


def snapshot(tx: Tx, mailbox_id: MailboxId) -> Snapshot:
    """INBOX for POP3. Raises `NotFound`."""
    inbox = queries.folders.by_role(tx, mailbox_id, FolderRole.INBOX)
    if inbox is None:
        raise NotFound(what="folder", name=FolderRole.INBOX.value)
    return Snapshot(inbox.id, inbox.uidvalidity, queries.mails.snapshot(tx, inbox.id))

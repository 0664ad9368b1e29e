# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Looking into mailboxes. Nothing here changes a row; rights are asked at `access`."""

from __future__ import annotations

from collections.abc import Sequence

from mailroom.core.errors import NotFound
from mailroom.core.ids import ContentId, FolderId, MailboxId, Modseq, Uid
from mailroom.mailboxes import queries
from mailroom.mailboxes.model import Changes, Content, Folder, FolderRole, Headline, Mail, Mailbox
from mailroom.storage.ports import Tx

_ORDER = tuple(FolderRole)


def mailbox(tx: Tx, mailbox_id: MailboxId) -> Mailbox:
    """One mailbox. Raises `NotFound`."""
    found = queries.mailboxes.mailbox(tx, mailbox_id)
    if found is None:
        raise NotFound(what="mailbox", name=str(mailbox_id))
    return found


def mailboxes(tx: Tx) -> Sequence[Mailbox]:
    """All mailboxes, the oldest first: for administrators."""
    return queries.mailboxes.mailboxes(tx)


def folders(tx: Tx, mailbox_id: MailboxId) -> Sequence[Folder]:
    """The mailbox's folders: those with a role first, then its own by name."""
    return sorted(queries.folders.folders(tx, mailbox_id), key=lambda folder: (_ORDER.index(folder.role), folder.name))


def headlines(tx: Tx, folder_id: FolderId, *, before: Uid | None = None, limit: int) -> Sequence[Headline]:
    """One page of a folder, newest first, beginning below the UID `before`."""
    return queries.mails.headlines(tx, folder_id, before=before, limit=limit)


def mail(tx: Tx, folder_id: FolderId, uid: Uid) -> tuple[Mail, Content]:
    """One mail and what it says. Raises `NotFound`."""
    found = queries.mails.mail(tx, folder_id, uid)
    if found is None:
        raise NotFound(what="mail", name=str(uid))
    return found, content(tx, found.content_id)


def content(tx: Tx, content_id: ContentId) -> Content:
    """What a mail says. Raises `NotFound`."""
    found = queries.contents.content(tx, content_id)
    if found is None:
        raise NotFound(what="mail", name=str(content_id))
    return found


def changes(tx: Tx, folder_id: FolderId, *, since: Modseq) -> Changes:
    """All that has happened in the folder after `since` (RFC 7162), as values. A session that may have to learn of
    100,000 mails asks `views.news`.
    """
    folder = queries.folders.folder(tx, folder_id)
    if folder is None:
        raise NotFound(what="folder", name=str(folder_id))
    if folder.modseq <= since:
        return Changes(folder.modseq, (), ())
    return Changes(
        folder.modseq,
        tuple(queries.mails.changed_mails(tx, folder_id, since)),
        tuple(Uid(uid) for uid in queries.mails.vanished(tx, folder_id, since)),
    )

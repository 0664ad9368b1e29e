# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The values of the mail store."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from mailroom.core.ids import ContentId, EntryId, FolderId, MailboxId, MemberId, Modseq, OrganisationId, Uid


class MailboxKind(enum.StrEnum):
    """Who uses a mailbox."""

    PERSONAL = "personal"  # one member, its owner
    PUBLIC = "public"  # several members


class MailboxStatus(enum.StrEnum):
    """Whether a mailbox takes mail."""

    ACTIVE = "active"
    DISABLED = "disabled"  # no mail, no login; everything is kept
    DEPARTMENT_DISABLED = "department_disabled"  # the same, with a department that its owner is in
    RECYCLED = "recycled"  # in the recycle bin: the same, nobody's, and purged in time


class Source(enum.StrEnum):
    """Why a mailbox came into the recycle bin."""

    DELETED_MEMBER = "deleted_member"
    UNBOUND = "unbound"  # its owner was given another, or stays without
    RECYCLED_PUBLIC = "recycled_public"


class EntryState(enum.StrEnum):
    """Where a mailbox in the recycle bin stands."""

    WAITING = "waiting"
    RESTORED = "restored"  # taken out again
    PURGING = "purging"  # being removed for good
    EXPIRED = "expired"  # its time is over: removed, or about to be


class FolderRole(enum.StrEnum):
    """What a folder is for (RFC 6154). A mailbox has at most one folder of each role but the last."""

    INBOX = "inbox"
    DRAFTS = "drafts"
    SENT = "sent"
    JUNK = "junk"
    TRASH = "trash"
    ARCHIVE = "archive"
    OWN = ""


# The folders that every mailbox begins with.
FIRST_FOLDERS = {
    FolderRole.INBOX: "INBOX",
    FolderRole.DRAFTS: "Drafts",
    FolderRole.SENT: "Sent",
    FolderRole.JUNK: "Junk",
    FolderRole.TRASH: "Trash",
}


class Flag(enum.IntFlag):
    """System flags (RFC 9051 §2.3.2), as the bits that a row holds."""

    SEEN = 1
    ANSWERED = 2
    FLAGGED = 4
    DELETED = 8
    DRAFT = 16


NO_FLAGS = Flag(0)


@dataclass(frozen=True, slots=True)
class Marks:
    """Flags and keywords together. A keyword is the same in any case of letters."""

    flags: Flag = NO_FLAGS
    keywords: frozenset[str] = frozenset()


NO_MARKS = Marks()


@dataclass(frozen=True, slots=True)
class Mailbox:
    """The thing with addresses, folders and a quota. Sizes in octets; a quota of 0 is none."""

    id: MailboxId
    organisation_id: OrganisationId
    kind: MailboxKind
    name: str
    owner_id: MemberId | None
    status: MailboxStatus
    quota: int
    used: int
    has_rules: bool  # forwarding, an automatic reply, or a filter


@dataclass(frozen=True, slots=True)
class Entry:
    """A mailbox in the recycle bin, or that was there. Times in milliseconds."""

    id: EntryId
    mailbox_id: MailboxId
    address: str  # its own one when it came in
    name: str
    source: Source
    userid: str  # whose it was; "": it was public
    entered_at: int
    purge_at: int
    state: EntryState
    ended_at: int | None


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder and its counters."""

    id: FolderId
    mailbox_id: MailboxId
    name: str  # the whole path, parts joined by "/"
    role: FolderRole
    uidvalidity: int
    uidnext: Uid
    modseq: Modseq
    mails: int
    unseen: int
    size: int  # octets of all its mails


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail in one folder, without its content."""

    folder_id: FolderId
    uid: Uid
    content_id: ContentId
    modseq: Modseq
    flags: Flag
    keywords: frozenset[str]  # lower case
    size: int
    internal_date: int


@dataclass(frozen=True, slots=True)
class Headline:
    """A mail as a list shows it."""

    mail: Mail
    sender: str
    subject: str
    preview: str
    attachments: tuple[str, ...]
    sent_at: int | None


@dataclass(frozen=True, slots=True)
class Sent:
    """A mail that left a public mailbox, and who sent it."""

    folder_id: FolderId
    uid: Uid
    at: int  # in milliseconds
    userid: str  # "": by a client password of the mailbox's own, or put there by a mail program
    recipients: str
    subject: str


@dataclass(frozen=True, slots=True)
class Content:
    """What a mail says, as computed once at delivery."""

    id: ContentId
    size: int
    message_id: str
    subject: str
    sender: str
    recipients: str
    preview: str
    attachments: tuple[str, ...]
    sent_at: int | None
    parts: str  # see `mime.structure.from_json`


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a mail has come to lie."""

    folder_id: FolderId
    uid: Uid
    modseq: Modseq


@dataclass(frozen=True, slots=True)
class Changes:
    """What a folder's view must learn to be up to date at `modseq`."""

    modseq: Modseq
    changed: tuple[Mail, ...]  # new ones, and old ones with other flags
    vanished: tuple[Uid, ...]


def topic(mailbox_id: MailboxId) -> str:
    """The hint that something changed in a mailbox."""
    return f"mailbox:{mailbox_id}"

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
r"""Folders by name: making, renaming, removing, and which of them a mail program shows.

A name is the whole path, its parts joined by "/". A name that is nobody's may still stand above others ("a" above
"a/b" when "a" was removed): it is no folder, and a list shows it as the parent that it is (RFC 9051 §6.3.9.4,
\NonExistent).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mailroom.core.errors import InUse, InvalidValue, NameTaken, NotFound, TooMany
from mailroom.core.ids import FolderId, MailboxId, Uid
from mailroom.mailboxes import change, queries
from mailroom.mailboxes.model import FIRST_FOLDERS, Folder, FolderRole, topic
from mailroom.mailboxes.uids import EVERY
from mailroom.storage.ports import Conflict, Tx

INBOX = FIRST_FOLDERS[FolderRole.INBOX]
SHARED = "Shared"  # below it mail programs are shown other mailboxes: a folder of this name would be hidden by them
FOLDERS_MOST = 5_000  # in a mailbox
SUBSCRIPTIONS_MOST = 10_000
_NAME_MOST = 255
_WILDCARDS = re.compile("[*%]")  # a LIST of a name that has one would mean others too
_SUBSCRIBED_MOST = 1_000


def create(tx: Tx, mailbox_id: MailboxId, name: str, *, role: FolderRole = FolderRole.OWN) -> FolderId:
    """Make a folder, and those above it that are missing (RFC 9051 §6.3.4). A role that the mailbox has a folder for
    already is refused. Raises `NotFound`, `InvalidValue`, `NameTaken`, `TooMany`.
    """
    name = _proper(name)
    taken = _lock(tx, mailbox_id)
    if name in taken:
        raise NameTaken(what="folder", name=name)
    _add_above(tx, mailbox_id, name, taken)
    try:
        folder_id = queries.folders.add(tx, mailbox_id, name, role)
    except Conflict as conflict:
        raise NameTaken(what="folder", name=role.value) from conflict
    tx.hint(topic(mailbox_id))
    return folder_id


def by_name(tx: Tx, mailbox_id: MailboxId, name: str) -> Folder | None:
    """The folder of that name; INBOX in any case of letters."""
    return queries.folders.by_name(tx, mailbox_id, canonical(name))


def canonical(name: str) -> str:
    """The name with INBOX, alone or as its first part, in capitals (RFC 9051 §5.1)."""
    first, slash, rest = name.partition("/")
    return INBOX + slash + rest if first.upper() == INBOX else name


def rename(tx: Tx, mailbox_id: MailboxId, name: str, to: str) -> None:
    """Give a folder and all below it another name; what is missing above the new one is made. UIDs, UIDVALIDITY and
    roles stay. Renaming INBOX moves its mails into the new folder and leaves what is below it (RFC 9051 §6.3.6). Raises
    `NotFound`, `NameTaken`, `InvalidValue`, `TooMany`.
    """
    name, to = canonical(name), _proper(to)
    if name == INBOX:
        _empty_inbox(tx, mailbox_id, to)
        return
    names = _lock(tx, mailbox_id)
    below = f"{name}/"
    # Those above come first: their new names may be what those below had.
    moving = {old: to + old[len(name) :] for old in sorted(names) if old == name or old.startswith(below)}
    if not moving:
        raise NotFound(what="folder", name=name)
    if to.startswith(below):
        raise InvalidValue(name="folder", reason="a folder cannot come below itself")
    staying = names.keys() - moving.keys()
    for new in moving.values():
        _proper(new)
        if new in staying:
            raise NameTaken(what="folder", name=new)
    if to in names:
        raise NameTaken(what="folder", name=to)
    queries.folders.rename(tx, [(names[old], new) for old, new in moving.items()])
    _add_above(tx, mailbox_id, to, {*staying, *moving.values()})
    tx.hint(topic(mailbox_id))


def remove(tx: Tx, folder_id: FolderId) -> None:
    """Remove a folder with its mails; those below it stay. One that every mailbox has stays too. Raises `NotFound`,
    `InUse`.
    """
    folder = _removable(tx, folder_id)
    change.clear(tx, folder_id)
    queries.folders.remove(tx, folder_id)
    tx.hint(topic(folder.mailbox_id))


def thin(tx: Tx, folder_id: FolderId) -> bool:
    """Take mails out of a folder that is to be removed, so that to `remove` it keeps nobody from writing for long;
    whether to do it once more. Raises as `remove`.
    """
    folder = _removable(tx, folder_id)
    if folder.mails <= change.AT_ONCE:
        return False
    change.clear(tx, folder_id, most=change.AT_ONCE)
    tx.hint(topic(folder.mailbox_id))
    return True


def subscribe(tx: Tx, mailbox_id: MailboxId, name: str) -> None:
    """Have the name shown to who signs in to this mailbox. It is the name as IMAP has it, of any namespace, and need
    not be a folder's. Doing it again is harmless. Raises `InvalidValue`, `TooMany`.
    """
    if not 0 < len(name) <= _SUBSCRIBED_MOST or not name.isprintable():
        raise InvalidValue(name="folder", reason=f"1 to {_SUBSCRIBED_MOST} printable characters")
    if queries.folders.count_subscriptions(tx, mailbox_id) >= SUBSCRIPTIONS_MOST:
        raise TooMany(what="subscriptions", limit=SUBSCRIPTIONS_MOST)
    queries.folders.subscribe(tx, mailbox_id, canonical(name))


def unsubscribe(tx: Tx, mailbox_id: MailboxId, name: str) -> None:
    """Have the name shown no more. Doing it again is harmless."""
    queries.folders.unsubscribe(tx, mailbox_id, canonical(name))


def subscriptions(tx: Tx, mailbox_id: MailboxId) -> frozenset[str]:
    """The names that are shown to who signs in to this mailbox."""
    return queries.folders.subscriptions(tx, mailbox_id)


def deleted(tx: Tx, folder_id: FolderId) -> int:
    """How many mails are marked as deleted; the other counts that STATUS asks for are in `Folder`."""
    return queries.mails.count_deleted(tx, folder_id)[0]


def deleted_size(tx: Tx, folder_id: FolderId) -> int:
    """How many octets the mails marked as deleted have (RFC 9208 §4.1.4)."""
    return queries.mails.count_deleted(tx, folder_id)[1]


def first_unseen(tx: Tx, folder_id: FolderId) -> Uid | None:
    """The first mail that nobody has seen."""
    return queries.mails.first_unseen(tx, folder_id)


def keywords(tx: Tx, folder_id: FolderId) -> dict[str, str]:
    """The keywords that have been used in the folder: as rows hold them (lower case) and as they were first spelt."""
    return queries.folders.keywords(tx, folder_id)


def _removable(tx: Tx, folder_id: FolderId) -> Folder:
    folder = queries.folders.folder(tx, folder_id)
    if folder is None:
        raise NotFound(what="folder", name=str(folder_id))
    if folder.role in FIRST_FOLDERS:
        raise InUse(what="folder", name=folder.name, by=folder.role.value)
    return folder


def _proper(name: str) -> str:
    parts = name.split("/")
    if len(name) > _NAME_MOST or not name.isprintable() or not all(map(_is_proper, parts)):
        raise InvalidValue(name="folder", reason=f"1 to {_NAME_MOST} printable characters, no part empty, . or ..")
    if _WILDCARDS.search(name):
        raise InvalidValue(name="folder", reason="without * and %")
    if parts[0] == SHARED:
        raise InvalidValue(name="folder", reason=f"{SHARED} stands above what is shared")
    return canonical(name)


def _is_proper(part: str) -> bool:
    return part.strip() == part and part not in {"", ".", ".."}


def _lock(tx: Tx, mailbox_id: MailboxId) -> dict[str, FolderId]:
    """The names in the mailbox, which nobody else changes until the commit."""
    if not queries.mailboxes.lock(tx, mailbox_id):
        raise NotFound(what="mailbox", name=str(mailbox_id))
    return {folder.name: folder.id for folder in queries.folders.folders(tx, mailbox_id)}


def _add_above(tx: Tx, mailbox_id: MailboxId, name: str, taken: Iterable[str]) -> None:
    known = set(taken)
    parts = name.split("/")
    above = ["/".join(parts[:count]) for count in range(1, len(parts))]
    missing = [each for each in above if each not in known]
    if len(known) + len(missing) >= FOLDERS_MOST:
        raise TooMany(what="folders", limit=FOLDERS_MOST)
    for each in missing:
        queries.folders.add(tx, mailbox_id, each, FolderRole.OWN)


def _empty_inbox(tx: Tx, mailbox_id: MailboxId, to: str) -> None:
    new = create(tx, mailbox_id, to)
    inbox = queries.folders.by_role(tx, mailbox_id, FolderRole.INBOX)
    if inbox is None:
        raise NotFound(what="folder", name=INBOX)
    change.move(tx, inbox.id, EVERY, into=new)

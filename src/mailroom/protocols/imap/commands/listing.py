# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
r"""Which folders there are: LIST with its options, LSUB, XLIST, NAMESPACE, STATUS (RFC 9051 §6.3.9 to §6.3.11; RFC
5258, 5819, 6154).

A name that is no folder, but stands above one, is listed as \NonExistent, or \Noselect to clients that ask for nothing
newer. Special uses are told of one's own folders alone: a client that saw two \Sent would choose by chance.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mailroom.core.ids import FolderId
from mailroom.mailboxes import folders, read
from mailroom.mailboxes.model import Folder, FolderRole
from mailroom.protocols.imap import replies
from mailroom.protocols.imap.commands import names
from mailroom.protocols.imap.commands.tree import mailbox_id
from mailroom.protocols.imap.grammar.values import (
    Choose,
    List,
    Lsub,
    Namespace,
    Status,
    StatusItem,
    Tell,
    XList,
)
from mailroom.protocols.imap.session import Enabled, Session
from mailroom.storage.ports import Tx

_USES: Final = {
    FolderRole.DRAFTS: b"\\Drafts",
    FolderRole.SENT: b"\\Sent",
    FolderRole.JUNK: b"\\Junk",
    FolderRole.TRASH: b"\\Trash",
    FolderRole.ARCHIVE: b"\\Archive",
}
_OLD_USES: Final = {**_USES, FolderRole.INBOX: b"\\Inbox", FolderRole.JUNK: b"\\Spam", FolderRole.ARCHIVE: b"\\AllMail"}
_COUNTED: Final = {StatusItem.DELETED, StatusItem.DELETED_STORAGE}  # which no counter of the folder tells
_NONE: Final = (0, 0)
_AT_ONCE: Final = 200  # names matched before others have their turn

Deleted = tuple[int, int]
"""How many mails are marked as deleted, and how many octets they have."""


@dataclass(frozen=True, slots=True)
class _Tree:
    """All names that the client can see. `folders` has none for a name that only stands above others."""

    folders: Mapping[str, Folder | None]
    subscribed: frozenset[str]
    parents: frozenset[str]  # with a folder below them
    above: frozenset[str]  # with a subscribed name below them


def _look(tx: Tx, session: Session) -> _Tree:
    member = session.member
    found: dict[str, Folder | None] = {folder.name: folder for folder in read.folders(tx, member.mailbox_id)}
    shared: dict[str, Folder] = {}
    for shared_id, address in names.shared_with(tx, member):
        shared |= {names.prefix(address) + folder.name: folder for folder in read.folders(tx, shared_id)}
    found |= shared
    parents = frozenset(_above(found))
    subscribed = names.subscribed(tx, member, shared)
    missing = dict.fromkeys(sorted(parents - found.keys()))
    return _Tree({**found, **missing}, subscribed, parents, frozenset(_above(subscribed)))


def _above(found: Mapping[str, object] | frozenset[str]) -> Iterator[str]:
    for name in found:
        end = name.find("/")
        while end > 0:
            yield name[:end]
            end = name.find("/", end + 1)


async def listing(session: Session, command: List) -> bytes:
    """LIST."""
    if not command.extended and command.patterns == ("",):
        session.wire.say(b'* LIST (\\Noselect) "/" ""\r\n')
        return b"OK the delimiter"
    tree = await session.read(lambda tx: _look(tx, session))
    found = tree.folders
    if Choose.SUBSCRIBED in command.choose:
        chosen = tree.subscribed | (tree.above if Choose.RECURSIVEMATCH in command.choose else frozenset())
        gone = dict.fromkeys(sorted(tree.subscribed - found.keys()))
        found = {name: folder for name, folder in {**found, **gone}.items() if name in chosen}
    if Choose.SPECIAL_USE in command.choose:
        found = {name: folder for name, folder in found.items() if _use(session, folder)}
    matches = names.matcher(command.reference + pattern for pattern in command.patterns)
    matched = [one async for one in _matching(session, found, matches)]
    deleted: Mapping[FolderId, Deleted] = {}
    if _COUNTED & set(command.status):
        ids = [folder.id for _, folder in matched if folder is not None]
        deleted = await session.read(lambda tx: {each: _deleted(tx, each) for each in ids})
    for name, folder in matched:
        _say(session, tree, command, name, folder)
        if command.status and folder is not None:
            _say_counts(session, name, folder, command.status, deleted.get(folder.id, _NONE))
        await session.wire.flow()
    return b"OK that is all"


def _deleted(tx: Tx, folder_id: FolderId) -> Deleted:
    return folders.deleted(tx, folder_id), folders.deleted_size(tx, folder_id)


async def _matching(
    session: Session, found: Mapping[str, Folder | None], matches: Callable[[str], bool]
) -> AsyncIterator[tuple[str, Folder | None]]:
    for count, (name, folder) in enumerate(found.items(), start=1):
        if matches(name):
            yield name, folder
        if count % _AT_ONCE == 0:
            await session.wire.flow()


def _say(session: Session, tree: _Tree, command: List, name: str, folder: Folder | None) -> None:
    is_new = command.extended or Enabled.REV2 in session.enabled
    words = [] if folder else [b"\\NonExistent" if is_new else b"\\Noselect"]
    if not command.extended or Tell.CHILDREN in command.tell or Enabled.REV2 in session.enabled:
        words.append(_children(tree, name))
    if name in tree.subscribed and (Tell.SUBSCRIBED in command.tell or Choose.SUBSCRIBED in command.choose):
        words.append(b"\\Subscribed")
    if not command.extended or Tell.SPECIAL_USE in command.tell or Choose.SPECIAL_USE in command.choose:
        words += _use(session, folder)
    more = b""
    if Choose.RECURSIVEMATCH in command.choose and name in tree.above:
        more = b' ("CHILDINFO" ("SUBSCRIBED"))'
    session.wire.say(b'* LIST (%b) "/" %b%b\r\n' % (b" ".join(words), _name(session, name), more))


def _children(tree: _Tree, name: str) -> bytes:
    return b"\\HasChildren" if name in tree.parents else b"\\HasNoChildren"


def _use(session: Session, folder: Folder | None) -> list[bytes]:
    if folder is None or folder.role not in _USES or folder.mailbox_id != session.member.mailbox_id:
        return []
    return [_USES[folder.role]]


def _name(session: Session, name: str) -> bytes:
    return replies.mailbox(name, utf8=session.speaks_utf8)


async def lsub(session: Session, command: Lsub) -> bytes:
    """LSUB: also the names above those that are subscribed to, where a `%` stops (RFC 3501 §6.3.9)."""
    tree = await session.read(lambda tx: _look(tx, session))
    matches = names.matcher([command.reference + command.pattern])
    found = dict.fromkeys(sorted(tree.subscribed | (tree.above if "%" in command.pattern else frozenset())))
    async for name, _ in _matching(session, found, matches):
        words = b"" if name in tree.subscribed else b"\\Noselect"
        session.wire.say(b'* LSUB (%b) "/" %b\r\n' % (words, _name(session, name)))
    return b"OK that is all"


async def xlist(session: Session, command: XList) -> bytes:
    """XLIST, as Gmail invented it and Outlook for Mac and Foxmail still ask for."""
    tree = await session.read(lambda tx: _look(tx, session))
    async for name, folder in _matching(session, tree.folders, names.matcher([command.reference + command.pattern])):
        words = [_children(tree, name)] if folder else [b"\\Noselect", _children(tree, name)]
        if folder and folder.mailbox_id == session.member.mailbox_id and folder.role in _OLD_USES:
            words.append(_OLD_USES[folder.role])
        session.wire.say(b'* XLIST (%b) "/" %b\r\n' % (b" ".join(words), _name(session, name)))
    return b"OK that is all"


async def namespace(session: Session, _: Namespace) -> bytes:
    """NAMESPACE."""
    shared = b'(("%b/" "/"))' % names.SHARED.encode() if session.member.member is not None else b"NIL"
    session.wire.say(b'* NAMESPACE (("" "/")) NIL %b\r\n' % shared)
    return b"OK that is all"


async def status(session: Session, command: Status) -> bytes:
    """STATUS."""

    def work(tx: Tx) -> tuple[Folder, Deleted]:
        folder = names.find(tx, session.member, command.mailbox)
        return folder, _deleted(tx, folder.id) if _COUNTED & set(command.items) else _NONE

    look = session.read if _COUNTED & set(command.items) else session.glance
    folder, deleted = await look(work)
    _say_counts(session, command.mailbox, folder, command.items, deleted)
    return b"OK that is all"


def _say_counts(session: Session, name: str, folder: Folder, items: Sequence[StatusItem], deleted: Deleted) -> None:
    if StatusItem.HIGHESTMODSEQ in items:
        session.enabled |= Enabled.CONDSTORE  # RFC 7162 §3.1
    known = {
        StatusItem.MESSAGES: b"%d" % folder.mails,
        StatusItem.UIDNEXT: b"%d" % folder.uidnext,
        StatusItem.UIDVALIDITY: b"%d" % folder.uidvalidity,
        StatusItem.UNSEEN: b"%d" % folder.unseen,
        StatusItem.DELETED: b"%d" % deleted[0],
        StatusItem.DELETED_STORAGE: b"%d" % deleted[1],
        StatusItem.SIZE: b"%d" % folder.size,
        StatusItem.RECENT: b"0",
        StatusItem.HIGHESTMODSEQ: b"%d" % folder.modseq,
        StatusItem.APPENDLIMIT: b"%d" % session.tools.terms.mail_size,
        StatusItem.MAILBOXID: b"(%b)" % mailbox_id(folder.id),
    }
    told = b" ".join([b"%b %b" % (item.value, known[item]) for item in items])
    session.wire.say(b"* STATUS %b (%b)\r\n" % (_name(session, name), told))

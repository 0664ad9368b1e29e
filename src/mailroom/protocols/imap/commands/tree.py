# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Changing which folders there are: CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 9051 §6.3.4 to §6.3.8)."""

from __future__ import annotations

from typing import Final

from mailroom.core.errors import NotFound
from mailroom.core.ids import FolderId
from mailroom.mailboxes import folders, read
from mailroom.mailboxes.model import FolderRole
from mailroom.protocols.imap.commands import names
from mailroom.protocols.imap.grammar.lexer import Malformed
from mailroom.protocols.imap.grammar.values import Create, Delete, Rename, Subscribe, Unsubscribe
from mailroom.protocols.imap.session import Session
from mailroom.storage.ports import Tx

_ROLES: Final = {f"\\{role.value}": role for role in FolderRole if role not in {FolderRole.INBOX, FolderRole.OWN}}
_NO_SUCH_USE: Final = b"NO [USEATTR] no folder can be used so, or there is one already"


async def create(session: Session, command: Create) -> bytes:
    """CREATE, with a special use perhaps (RFC 6154)."""
    uses = [_ROLES.get(use.lower()) for use in command.uses]
    if len(uses) > 1 or None in uses:
        return _NO_SUCH_USE
    role = (uses[0] if uses else None) or FolderRole.OWN

    def work(tx: Tx) -> FolderId:
        where = names.new_place(tx, session.member, command.mailbox.removesuffix("/"))
        if role is not FolderRole.OWN and any(each.role is role for each in read.folders(tx, where.mailbox_id)):
            raise Malformed(_NO_SUCH_USE)
        return folders.create(tx, where.mailbox_id, where.name, role=role)

    folder_id = await session.write(work)
    return b"OK [MAILBOXID (%b)] created" % mailbox_id(folder_id)


def mailbox_id(folder_id: FolderId) -> bytes:
    """The folder's MAILBOXID (RFC 8474)."""
    return b"F%d" % folder_id


async def delete(session: Session, command: Delete) -> bytes:
    """DELETE. The folder that is open may be the one. Of very many mails the first go before the folder does."""
    folder_id = await session.glance(lambda tx: names.find(tx, session.member, command.mailbox).id)

    def work(tx: Tx) -> bool:
        if names.find(tx, session.member, command.mailbox).id != folder_id:
            raise NotFound(what="folder", name=command.mailbox)
        if folders.thin(tx, folder_id):
            return False
        folders.remove(tx, folder_id)
        return True

    while not await session.write(work):
        await session.wire.flow()
    if session.view is not None and session.view.folder_id == folder_id:
        session.close()
    return b"OK deleted"


async def rename(session: Session, command: Rename) -> bytes:
    """RENAME, within one mailbox."""

    def work(tx: Tx) -> None:
        source = names.place(tx, session.member, command.mailbox)
        target = names.new_place(tx, session.member, command.to.removesuffix("/"))
        if source.mailbox_id != target.mailbox_id:
            raise Malformed(b"NO [CANNOT] not from one mailbox into another")
        folders.rename(tx, source.mailbox_id, source.name, target.name)

    await session.write(work)
    return b"OK renamed"


async def subscribe(session: Session, command: Subscribe) -> bytes:
    """SUBSCRIBE. What is shared is subscribed to by each user for himself."""
    name = command.mailbox.removesuffix("/")

    await session.write(lambda tx: names.subscribe(tx, session.member, name))
    return b"OK subscribed"


async def unsubscribe(session: Session, command: Unsubscribe) -> bytes:
    """UNSUBSCRIBE, from what is gone too."""
    name = command.mailbox.removesuffix("/")
    await session.write(lambda tx: names.unsubscribe(tx, session.member, name))
    return b"OK unsubscribed"

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""ACL (RFC 4314), to be looked at: who may use a mailbox may do everything with its mail, and an administrator decides
who that is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mailroom.directory import access
from mailroom.protocols.imap import replies
from mailroom.protocols.imap.commands import names
from mailroom.protocols.imap.grammar.values import DeleteAcl, GetAcl, ListRights, MyRights, SetAcl
from mailroom.protocols.imap.session import Session
from mailroom.storage.ports import Tx

_RIGHTS: Final = b"lrswipkxtecd"  # all but a: to administer
_NO: Final = b"NO [NOPERM] an administrator decides who uses a mailbox"


async def my_rights(session: Session, command: MyRights) -> bytes:
    """MYRIGHTS."""
    await session.read(lambda tx: names.find(tx, session.member, command.mailbox))
    session.wire.say(b"* MYRIGHTS %b %b\r\n" % (_name(session, command.mailbox), _RIGHTS))
    return b"OK that is all"


async def get_acl(session: Session, command: GetAcl) -> bytes:
    """GETACL."""
    member = session.member

    def work(tx: Tx) -> Sequence[str]:
        mailbox_id = names.find(tx, member, command.mailbox).mailbox_id
        if member.member is not None and mailbox_id == member.mailbox_id:
            return [member.member.userid]
        return access.users(tx, mailbox_id)

    users = await session.read(work)
    rights = b"".join(b" %b %b" % (replies.astring(user.encode(), utf8=session.speaks_utf8), _RIGHTS) for user in users)
    session.wire.say(b"* ACL %b%b\r\n" % (_name(session, command.mailbox), rights))
    return b"OK that is all"


async def list_rights(session: Session, command: ListRights) -> bytes:
    """LISTRIGHTS: all or nothing."""
    await session.read(lambda tx: names.find(tx, session.member, command.mailbox))
    who = replies.astring(command.identifier.encode(errors="replace"), utf8=session.speaks_utf8)
    session.wire.say(b'* LISTRIGHTS %b %b "" %b\r\n' % (_name(session, command.mailbox), who, _RIGHTS))
    return b"OK that is all"


async def set_acl(session: Session, command: SetAcl) -> bytes:
    """SETACL."""
    await session.read(lambda tx: names.find(tx, session.member, command.mailbox))
    return _NO


async def delete_acl(session: Session, command: DeleteAcl) -> bytes:
    """DELETEACL."""
    await session.read(lambda tx: names.find(tx, session.member, command.mailbox))
    return _NO


def _name(session: Session, name: str) -> bytes:
    return replies.mailbox(name, utf8=session.speaks_utf8)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""QUOTA (RFC 9208): each mailbox is a root, named by its address; only STORAGE is limited, in KiB."""

from __future__ import annotations

from mailroom.core.errors import NotFound
from mailroom.core.ids import MailboxId
from mailroom.directory import addresses
from mailroom.mailboxes import read
from mailroom.mailboxes.model import Mailbox
from mailroom.protocols.imap import replies
from mailroom.protocols.imap.commands import names
from mailroom.protocols.imap.grammar.values import GetQuota, GetQuotaRoot, SetQuota
from mailroom.protocols.imap.session import Session
from mailroom.storage.ports import Tx


async def get_quota(session: Session, command: GetQuota) -> bytes:
    """GETQUOTA."""
    member = session.member

    def work(tx: Tx) -> Mailbox:
        roots = {member.address: member.mailbox_id} | {root: each for each, root in names.shared_with(tx, member)}
        if command.root not in roots:
            raise NotFound(what="quota", name=command.root)
        return read.mailbox(tx, roots[command.root])

    _say(session, command.root, await session.read(work))
    return b"OK that is all"


async def get_quota_root(session: Session, command: GetQuotaRoot) -> bytes:
    """GETQUOTAROOT."""

    def work(tx: Tx) -> tuple[str, Mailbox]:
        mailbox_id: MailboxId = names.find(tx, session.member, command.mailbox).mailbox_id
        return addresses.primary(tx, mailbox_id), read.mailbox(tx, mailbox_id)

    root, mailbox = await session.read(work)
    name = replies.mailbox(command.mailbox, utf8=session.speaks_utf8)
    session.wire.say(b"* QUOTAROOT %b %b\r\n" % (name, replies.string(root.encode())))
    _say(session, root, mailbox)
    return b"OK that is all"


def _say(session: Session, root: str, mailbox: Mailbox) -> None:
    used, most = -(-mailbox.used // 1024), mailbox.quota // 1024
    limits = b"STORAGE %d %d" % (used, most) if mailbox.quota else b""
    session.wire.say(b"* QUOTA %b (%b)\r\n" % (replies.string(root.encode()), limits))


async def set_quota(_: Session, __: SetQuota) -> bytes:
    """SETQUOTA: administrators do that elsewhere."""
    return b"NO [NOPERM] an administrator sets quotas"

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mails that go elsewhere, or for good: COPY, MOVE, EXPUNGE (RFC 9051 §6.4.3, §6.4.7, §6.4.8, §6.4.9; RFC 4315)."""

from __future__ import annotations

from mailroom.core.errors import NotFound
from mailroom.mailboxes import change
from mailroom.mailboxes.change import Copied
from mailroom.mailboxes.model import Folder
from mailroom.mailboxes.uids import Ranges
from mailroom.protocols.imap import replies, updates
from mailroom.protocols.imap.commands import names, span
from mailroom.protocols.imap.grammar.lexer import Malformed
from mailroom.protocols.imap.grammar.values import Copy, Expunge, Move
from mailroom.protocols.imap.session import Enabled, Session
from mailroom.storage.ports import Tx


async def copy(session: Session, command: Copy) -> bytes:
    """COPY and UID COPY: all of them or none."""
    target, copied, wanted = await session.write(lambda tx: _transfer(tx, session, command))
    if not copied.uids:
        return span.ISSUED if wanted else b"OK nothing to copy"
    return b"OK %b copied" % _code(target, copied)


async def move(session: Session, command: Move) -> bytes:
    """MOVE and UID MOVE: all of them or none."""
    if session.folder.read_only:
        return span.READ_ONLY
    target, copied, wanted = await session.write(lambda tx: _transfer(tx, session, command))
    if not copied.uids:
        return span.ISSUED if wanted else b"OK nothing to move"
    session.wire.say(b"* OK %b moved\r\n" % _code(target, copied))  # RFC 6851 §4.3: before they are said to have gone
    return b"OK moved"


def _transfer(tx: Tx, session: Session, command: Copy | Move) -> tuple[Folder, Copied, int]:
    view = session.folder
    named = span.places(tx, view, command.numbers, by_uid=command.uid)
    try:
        target = names.find(tx, session.member, command.mailbox)
    except NotFound:
        raise Malformed(b"NO [TRYCREATE] no such mailbox") from None
    do = change.copy if isinstance(command, Copy) else change.move
    copied = do(tx, view.folder_id, span.uids_of(view, named), into=target.id)
    updates.look(tx, session)
    return target, copied, span.count(named)


def _code(target: Folder, copied: Copied) -> bytes:
    last = copied.first + len(copied.uids) - 1
    new = replies.ranges([(copied.first, last)])
    return b"[COPYUID %d %b %b]" % (target.uidvalidity, replies.numbers(copied.uids), new)


async def remove_deleted(session: Session, meant: Ranges) -> None:
    """Remove those of the open folder's mails that are marked as deleted, very many of them piece by piece."""
    folder_id = session.folder.folder_id
    gone = change.AT_ONCE
    while gone == change.AT_ONCE:
        gone = len(await session.write(lambda tx: change.expunge(tx, folder_id, meant, most=change.AT_ONCE)))
        await session.wire.flow()


async def expunge(session: Session, command: Expunge) -> bytes:
    """EXPUNGE and UID EXPUNGE."""
    view = session.folder
    if view.read_only:
        return span.READ_ONLY

    meant: Ranges = [(1, view.below - 1)]
    uids = command.uids
    if uids is not None:
        meant = await session.read(lambda tx: view.meant(tx, uids, by_uid=True))
    await remove_deleted(session, meant)
    await updates.tell(session)
    if Enabled.CONDSTORE in session.enabled:
        return b"OK [HIGHESTMODSEQ %d] expunged" % view.at
    return b"OK expunged"

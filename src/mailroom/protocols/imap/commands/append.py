# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""APPEND (RFC 9051 §6.3.12, RFC 3502, RFC 7889): the mails go into spools as they come, and all of them into the folder
in one transaction, before OK. A mail is kept as it was sent, to the octet. Nobody is notified of it.
"""

from __future__ import annotations

import errno
from typing import Final

from mailroom.core.errors import NoSpace, NotFound, Refusal, Unavailable
from mailroom.mailboxes import append as store
from mailroom.mailboxes import quota
from mailroom.protocols.imap import replies
from mailroom.protocols.imap.commands import names
from mailroom.protocols.imap.grammar.lexer import Malformed
from mailroom.protocols.imap.grammar.reader import Incoming
from mailroom.protocols.imap.grammar.values import Append
from mailroom.protocols.imap.session import Parcel, Session
from mailroom.storage.ports import Tx

_MAILS_MOST: Final = 100  # of one command
_TRY_CREATE: Final = b"NO [TRYCREATE] no such mailbox"


async def admit(session: Session, incoming: Incoming) -> None:
    """Have a place ready for a mail that is about to come. Raises `Malformed` and refusals: it is not to come."""
    if session.principal is None:
        raise Malformed(b"BAD not now")
    parcel = session.parcel
    size = incoming.draft.size
    limit = session.tools.terms.mail_size
    if not size:
        raise Malformed(b"NO an empty mail: nothing is taken")  # RFC 3502 §6.3.11
    if size > limit:
        raise Malformed(b"NO [TOOBIG] more than %d octets" % limit)
    if parcel is None:
        await session.glance(lambda tx: _ask(tx, session, incoming.mailbox, size))
        parcel = session.parcel = Parcel(incoming.tag, session.tools.letters)
    elif len(parcel.letters) == _MAILS_MOST:
        raise Malformed(b"NO [LIMIT] too many mails at once")
    parcel.begin()


def _ask(tx: Tx, session: Session, mailbox: str, size: int) -> None:
    try:
        folder = names.find(tx, session.member, mailbox)
    except NotFound:
        raise Malformed(_TRY_CREATE) from None
    quota.ask(tx, folder.mailbox_id, size=size, address=mailbox)


async def append(session: Session, command: Append) -> bytes:
    """APPEND, all of whose mails have come."""
    parcel, session.parcel = session.parcel, None
    assert parcel is not None
    return await session.write(lambda tx: _file(tx, session, command, parcel))


def _file(tx: Tx, session: Session, command: Append, parcel: Parcel) -> bytes:
    try:
        folder = names.find(tx, session.member, command.mailbox)
    except NotFound:
        raise Malformed(_TRY_CREATE) from None
    uids = []
    for letter, draft in zip(parcel.letters, command.drafts, strict=True):
        content_id = letter.file(tx, refs=1)
        placed = store.append(
            tx,
            content_id,
            into=folder.id,
            size=letter.size,
            marks=draft.marks,
            internal_date=tx.now if draft.date is None else draft.date,
        )
        uids.append(placed.uid)
    return b"OK [APPENDUID %d %b] kept" % (folder.uidvalidity, replies.numbers(uids))


def as_refusal(fault: Refusal | OSError) -> Refusal:
    """What it means to the client that a mail could not be spooled."""
    if isinstance(fault, Refusal):
        return fault
    return NoSpace() if fault.errno in (errno.ENOSPC, errno.EDQUOT) else Unavailable(what="the spool")

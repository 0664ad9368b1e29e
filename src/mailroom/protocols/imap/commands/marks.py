# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""STORE (RFC 9051 §6.4.6), with UNCHANGEDSINCE (RFC 7162 §3.1.3)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from mailroom.core.ids import Modseq
from mailroom.mailboxes import change, fetch
from mailroom.mailboxes.change import Marked
from mailroom.mailboxes.fetch import FlagRow
from mailroom.protocols.imap import replies, updates
from mailroom.protocols.imap.commands import span
from mailroom.protocols.imap.commands.span import Piece
from mailroom.protocols.imap.grammar.values import StoreMarks
from mailroom.protocols.imap.session import Enabled, Session
from mailroom.storage.ports import Tx

_AT_ONCE: Final = 5000  # mails whose flags are read and said in one go


async def store(session: Session, command: StoreMarks) -> bytes:
    """STORE and UID STORE."""
    view = session.folder
    if view.read_only:
        return span.READ_ONLY
    if command.unchanged_since is not None:
        session.enabled |= Enabled.CONDSTORE  # RFC 7162 §3.1
    quiet = command.silent and Enabled.CONDSTORE not in session.enabled
    named, marked, rows = await session.write(partial(_mark, session=session, command=command, quiet=quiet))
    told = 0
    pieces = span.split(named, _AT_ONCE) if not quiet else []
    for place, piece in enumerate(pieces):
        if place:
            rows = await session.read(partial(_flags, session=session, command=command, piece=piece, marked=marked))
        told += len(rows)
        failed = set(marked.failed)
        rows = [row for row in rows if row[0] not in failed] if failed else rows
        if command.silent:
            session.wire.say(_modseqs(session, command, rows))
        else:
            await updates.introduce(session, rows)
            session.wire.say(updates.flag_lines(session, rows, uid=command.uid))
        await session.wire.flow()
    if marked.failed:
        failing = marked.failed if command.uid else [view.number(uid) for uid in marked.failed]
        return b"OK [MODIFIED %b] others have changed these" % replies.numbers(failing)
    return span.ISSUED if not command.silent and told < span.count(named) else b"OK stored"


def _mark(tx: Tx, session: Session, command: StoreMarks, *, quiet: bool) -> tuple[Piece, Marked, Sequence[FlagRow]]:
    view = session.folder
    named = span.places(tx, view, command.numbers, by_uid=command.uid)
    since = None if command.unchanged_since is None else Modseq(command.unchanged_since)
    marked = change.mark(
        tx, view.folder_id, span.uids_of(view, named), command.how, command.marks, unchanged_since=since
    )
    rows: Sequence[FlagRow] = ()
    if named and not quiet:
        rows = _flags(tx, session, command, span.split(named, _AT_ONCE)[0], marked)
    updates.look_after(tx, session, marked.modseq)
    return named, marked, rows


def _flags(tx: Tx, session: Session, command: StoreMarks, piece: Piece, marked: Marked) -> Sequence[FlagRow]:
    view = session.folder
    if command.silent and not marked.modseq:
        return ()
    rows = fetch.flags(tx, view.folder_id, span.uids_of(view, piece))
    return [row for row in rows if row[3] >= marked.modseq] if command.silent else rows


def _modseqs(session: Session, command: StoreMarks, rows: Sequence[FlagRow]) -> bytes:
    # RFC 7162 §3.1.3: also after .SILENT a client must know the new modseq.
    view = session.folder
    if command.uid or Enabled.QRESYNC in session.enabled:
        return b"".join(
            [b"* %d FETCH (UID %d MODSEQ (%d))\r\n" % (view.number(row[0]), row[0], row[3]) for row in rows]
        )
    return b"".join([b"* %d FETCH (MODSEQ (%d))\r\n" % (view.number(row[0]), row[3]) for row in rows])

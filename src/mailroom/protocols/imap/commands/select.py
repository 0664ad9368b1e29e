# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Opening and closing a folder: SELECT, EXAMINE with CONDSTORE and QRESYNC, CLOSE, UNSELECT (RFC 9051 §6.3.2, §6.4.1;
RFC 7162 §3.2.5; RFC 3691).

SELECT reads a few rows however large the folder is: the counters, the keywords. UIDs are loaded when they are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mailroom.core.ids import Modseq, Uid
from mailroom.mailboxes import folders, views
from mailroom.mailboxes.fetch import FlagRow
from mailroom.mailboxes.model import Folder
from mailroom.mailboxes.uids import EVERY, Ranges
from mailroom.protocols.imap import replies, updates
from mailroom.protocols.imap.commands import moving, names
from mailroom.protocols.imap.commands.tree import mailbox_id
from mailroom.protocols.imap.grammar import sequence
from mailroom.protocols.imap.grammar.values import Close, Known, Select, Unselect
from mailroom.protocols.imap.session import Enabled, Session, View
from mailroom.storage.ports import Tx

_FEW: Final = 1000  # mails whose UIDs are read to say which one is the first unseen


@dataclass(frozen=True, slots=True)
class _Opened:
    """What SELECT has found. `unseen` is the number of the first unseen mail; 0: there is none, or it is too costly to
    find. `vanished` and `changed` are what a client that comes back has missed.
    """

    view: View
    folder: Folder
    unseen: int
    vanished: Sequence[int] = ()
    changed: Sequence[FlagRow] = ()


async def select(session: Session, command: Select) -> bytes:
    """SELECT or EXAMINE. When it is refused, no folder is open."""
    if command.known is not None and Enabled.QRESYNC not in session.enabled:
        return b"BAD ENABLE QRESYNC first"  # RFC 7162 §3.2.5
    if session.view is not None:
        session.close()
        session.wire.say(b"* OK [CLOSED] the folder before is closed\r\n")
    if command.condstore:
        session.enabled |= Enabled.CONDSTORE
    look = session.glance if command.known is None else session.read
    opened = await look(lambda tx: _open(tx, session, command))
    session.open(opened.view)
    session.wire.say(_described(session, command, opened))
    if opened.vanished:
        session.wire.say(b"* VANISHED (EARLIER) %b\r\n" % replies.numbers(opened.vanished))
    if command.known is not None:
        await updates.tell_changed(
            session,
            opened.changed,
            since=Modseq(command.known.modseq),
            below=opened.view.below,
            among=_meant(command.known),
        )
    return b"OK [READ-ONLY] open" if command.examine else b"OK [READ-WRITE] open"


def _open(tx: Tx, session: Session, command: Select) -> _Opened:
    folder = names.find(tx, session.member, command.mailbox)
    view = View(folder, read_only=command.examine, keywords=folders.keywords(tx, folder.id))
    unseen = 0
    if folder.unseen and (folder.mails <= _FEW or folder.mails == folder.uidnext - 1):
        view.load(tx)
        unseen = view.number(folders.first_unseen(tx, folder.id) or 0)
    known = command.known
    if known is None or known.uidvalidity != folder.uidvalidity or known.modseq >= folder.modseq:
        return _Opened(view, folder, unseen)
    # The pairs of numbers and UIDs that it may send are for servers that forget what was expunged: ours does not.
    since = Modseq(known.modseq)
    vanished = updates.within(views.vanished(tx, folder.id, since=since), _meant(known))
    changed = views.changed(tx, folder.id, since=since, above=Uid(0), below=view.below)
    if changed:
        view.load(tx)
    return _Opened(view, folder, unseen, vanished, changed)


def _meant(known: Known) -> Ranges:
    return EVERY if known.uids is None else sequence.resolve(known.uids, 0)


def _described(session: Session, command: Select, opened: _Opened) -> bytes:
    folder = opened.folder
    lines = [b"* %d EXISTS" % folder.mails]
    if Enabled.REV2 in session.enabled:
        name = replies.mailbox(command.mailbox, utf8=session.speaks_utf8)
        lines.append(b'* LIST () "/" %b' % name)  # RFC 9051 §6.3.2
    else:
        lines.append(b"* 0 RECENT")
        if opened.unseen:
            lines.append(b"* OK [UNSEEN %d] the first unseen" % opened.unseen)
    lines += [
        b"* OK [UIDVALIDITY %d] UIDs are valid" % folder.uidvalidity,
        b"* OK [UIDNEXT %d] the next UID" % folder.uidnext,
        b"* OK [HIGHESTMODSEQ %d] the highest" % folder.modseq,
        b"* OK [MAILBOXID (%b)] its id" % mailbox_id(folder.id),
    ]
    return updates.known_flags(opened.view) + b"\r\n".join(lines) + b"\r\n"


async def close(session: Session, _: Close) -> bytes:
    """CLOSE: what is marked as deleted goes, silently; not after EXAMINE."""
    view = session.folder
    if not view.read_only:
        await moving.remove_deleted(session, [(1, view.below - 1)])
    session.close()
    return b"OK closed"


async def unselect(session: Session, _: Unselect) -> bytes:
    """UNSELECT: nothing goes."""
    session.close()
    return b"OK closed"

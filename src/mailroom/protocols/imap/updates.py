# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What others did to the open folder, told where the RFC allows it (RFC 9051 §7.5.1, RFC 7162).

`look` asks in the transaction of the command itself; `tell` says what was found. Message numbers change there and
nowhere else, so however many sessions have a folder open, each one's numbers are those that it was told.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain
from typing import Final

from mailroom.core.errors import NotFound
from mailroom.core.ids import Modseq, Uid
from mailroom.mailboxes import folders, views
from mailroom.mailboxes.fetch import FlagRow
from mailroom.mailboxes.uids import EVERY, Ranges
from mailroom.mailboxes.views import NEWS_MOST, News
from mailroom.protocols.imap import replies
from mailroom.protocols.imap.session import Enabled, Ended, Session, View
from mailroom.storage.ports import Tx

NOTHING: Final = Modseq(0)


def look(tx: Tx, session: Session) -> None:
    """Find out what the view must learn; `tell` will say it. Raises `Ended`: the folder has gone."""
    view = session.folder
    try:
        news = views.news(tx, view.folder_id, since=view.at, below=view.below)
        if news.changed or (news.vanished and Enabled.QRESYNC not in session.enabled):
            view.load(tx)
    except NotFound as gone:
        raise Ended(b"the folder has been removed") from gone
    view.news = news


def _is_as_it_was(tx: Tx, view: View) -> bool:
    try:
        return views.modseq(tx, view.folder_id) == view.at
    except NotFound as gone:
        raise Ended(b"the folder has been removed") from gone


def look_after(tx: Tx, session: Session, own: Modseq) -> None:
    """The same after a change of flags of our own in this transaction, which is not news; 0: nothing has changed."""
    view = session.folder
    view.own = own
    if own == view.at + 1:  # a change adds 1: nobody else has changed anything
        view.news = News(own, view.below, array("I"), array("I"), ())
    else:
        look(tx, session)


async def tell(session: Session, *, expunges: bool = True) -> None:
    """Say what the view must learn, and bring it up to date; without `expunges` none is told, nor what came after it.
    Looks first, unless that was done in the command's own transaction.
    """
    view = session.folder
    if view.news is None:
        if await session.glance(lambda tx: _is_as_it_was(tx, view)):
            return
        await session.read(lambda tx: look(tx, session))
    news, view.news = view.news, None
    own, view.own = view.own, NOTHING
    assert news is not None
    if news.modseq == view.at:
        return
    below, since = view.below, view.told
    gone = news.vanished[: bisect_left(news.vanished, below)]
    if expunges or not gone:
        _tell_gone(session, view, gone)
        view.arrived(news.arrived, news.uidnext)
        view.at = news.modseq
        if news.arrived:
            session.wire.say(b"* %d EXISTS\r\n" % view.mails)
    view.told = max(since, news.modseq)
    await tell_changed(session, news.changed, since=since, below=below, own=own)
    if news.arrived and view.at == news.modseq and Enabled.CONDSTORE in session.enabled:
        # No FETCH tells of these, and a client that keeps the number would else take them for changed ones next time.
        session.wire.say(b"* OK [HIGHESTMODSEQ %d] now\r\n" % view.at)


def _tell_gone(session: Session, view: View, gone: Sequence[int]) -> None:
    if not gone:
        return
    if Enabled.QRESYNC in session.enabled:
        session.wire.say(b"* VANISHED %b\r\n" % replies.numbers(gone))
        view.shrink(gone)
    else:
        session.wire.say(b"".join([b"* %d EXPUNGE\r\n" % number for number in view.remove(gone)]))


async def tell_changed(
    session: Session,
    changed: Sequence[FlagRow],
    *,
    since: Modseq,
    below: Uid,
    own: Modseq = NOTHING,
    among: Ranges = EVERY,
) -> None:
    """Say the flags of mails that others have marked after `since`, below the UID `below`; `changed` are the first of
    them. Not of those that our own change, `own`, has marked, nor of others than `among`.
    """
    view = session.folder
    while changed:
        rows = [row for row in changed if row[3] > since and row[3] != own]
        if among is not EVERY:
            named = set(within([row[0] for row in rows], among))
            rows = [row for row in rows if row[0] in named]
        await introduce(session, rows)
        session.wire.say(flag_lines(session, rows, uid=False))
        await session.wire.flow()
        if len(changed) < NEWS_MOST:
            break
        last = Uid(changed[-1][0])
        changed = await session.read(
            partial(views.changed, folder_id=view.folder_id, since=since, above=last, below=below)
        )


def within(uids: Sequence[int], meant: Ranges) -> Sequence[int]:
    """Those of the ascending UIDs that are in the ranges."""
    if meant is EVERY:
        return uids
    found: list[int] = []
    for first, last in meant:
        found += uids[bisect_left(uids, first) : bisect_right(uids, last)]
    return found


async def introduce(session: Session, rows: Iterable[FlagRow]) -> None:
    """Say which keywords there are before a mail is said to have one that is new to the client."""
    view = session.folder
    used = {row[2] for row in rows}
    if {word for words in used for word in words.split()} <= view.keywords.keys():
        return
    view.keywords = await session.read(lambda tx: folders.keywords(tx, view.folder_id))
    view.words.clear()
    session.wire.say(known_flags(view))


def known_flags(view: View) -> bytes:
    """FLAGS and PERMANENTFLAGS."""
    known = b" ".join([replies.SYSTEM_FLAGS, *(word.encode("ascii", "replace") for word in view.keywords.values())])
    kept = b"" if view.read_only else known + b" \\*"
    return b"* FLAGS (%b)\r\n* OK [PERMANENTFLAGS (%b)] what can be kept\r\n" % (known, kept)


def flag_lines(session: Session, rows: Sequence[FlagRow], *, uid: bool) -> bytes:
    """A FETCH with the flags of each mail, as ours is to be told in any case; `uid` for a command by UID."""
    enabled = session.enabled
    named, counted = uid or Enabled.QRESYNC in enabled, Enabled.CONDSTORE in enabled
    return lines(session.folder, rows, flags=True, uid=named, modseq=counted)


def lines(view: View, rows: Sequence[FlagRow], *, flags: bool, uid: bool, modseq: bool) -> bytes:
    """A FETCH for each mail of a view that is loaded, ascending by UID. There may be many thousands."""
    numbers = view.numbers([row[0] for row in rows])
    columns: list[Sequence[int | bytes]] = [numbers]
    words: list[bytes] = []
    if uid:
        words.append(b"UID %d")
        columns.append([row[0] for row in rows])
    if flags:
        words.append(b"FLAGS %b")
        known = {one: view.flags(*one) for one in {row[1:3] for row in rows}}
        columns.append([known[row[1:3]] for row in rows])
    if modseq:
        words.append(b"MODSEQ (%d)")
        columns.append([row[3] for row in rows])
    form = b"* %d FETCH (" + b" ".join(words) + b")\r\n"
    return (form * len(rows)) % tuple(chain.from_iterable(zip(*columns, strict=True)))

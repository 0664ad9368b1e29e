# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""SEARCH, SORT, THREAD (RFC 9051 §6.4.4; RFC 4731, 5032, 5182, 5256, 5267).

The store finds; here the client's keys become its questions, and UIDs become what the client wants to hear. What is
found is shown as far as the view has it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Final

from mailroom.core.ids import ContentId
from mailroom.mailboxes import order, threads
from mailroom.mailboxes import search as asked
from mailroom.mailboxes.query import And, Arrived, Changed, Not, Or, Query, Shows, Within
from mailroom.mailboxes.threads import Thread as Node
from mailroom.mailboxes.uids import ranges
from mailroom.protocols.imap import replies, updates
from mailroom.protocols.imap.grammar.values import (
    Age,
    All,
    Among,
    Either,
    EmailId,
    Key,
    Other,
    Return,
    Search,
    Sort,
    Thread,
    ThreadId,
)
from mailroom.protocols.imap.session import Enabled, Session, View
from mailroom.storage.ports import Tx

_NOTHING: Final = Or(())
_ALL: Final = Return.ALL
_SECOND: Final = 1000
_ID_MOST: Final = 20


async def search(session: Session, command: Search) -> bytes:
    """SEARCH and UID SEARCH."""
    returns = command.returns
    if returns is None and Enabled.REV2 in session.enabled:
        returns = _ALL
    if returns is not None and Return.SAVE in returns:
        session.folder.saved = ()  # RFC 5182 §2.1: what is saved is lost even if the search fails
    found, modseq = await _found(session, command.key, by_uid=command.uid)
    numbers = _numbers(session.folder, found, by_uid=command.uid)
    if returns is None:
        listed = _spaced(numbers)
        session.wire.say(b"* SEARCH%b%b\r\n" % (listed, b" (MODSEQ %d)" % modseq if modseq and found else b""))
    else:
        _save(session.folder, found, returns)
        _say(session, numbers, returns, modseq, by_uid=command.uid, in_order=False)
    return b"OK searched"


async def sort(session: Session, command: Sort) -> bytes:
    """SORT and UID SORT."""
    found, modseq = await _found(session, command.key, by_uid=command.uid)
    view = session.folder
    in_order = await order.order(session.tools.store, view.folder_id, ranges(found), command.by)
    if not command.uid:
        names = dict(zip(found, view.numbers(found), strict=True))
        in_order = [names[uid] for uid in in_order]
    if command.returns is None:
        numbers = _spaced(in_order)
        session.wire.say(b"* SORT%b%b\r\n" % (numbers, b" (MODSEQ %d)" % modseq if modseq and found else b""))
    else:
        _save(view, found, command.returns)
        _say(session, in_order, command.returns, modseq, by_uid=command.uid, in_order=True)
    return b"OK sorted"


async def thread(session: Session, command: Thread) -> bytes:
    """THREAD and UID THREAD."""
    found, _ = await _found(session, command.key, by_uid=command.uid)
    view = session.folder
    roots = await threads.threads(session.tools.store, view.folder_id, ranges(found), command.algorithm)
    number = int if command.uid else view.number
    written = b"".join([_written(root, number) for root in roots])
    session.wire.say(b"* THREAD %b\r\n" % written if written else b"* THREAD\r\n")
    return b"OK threaded"


async def _found(session: Session, key: Key, *, by_uid: bool) -> tuple[Sequence[int], int]:
    """The UIDs that are meant and in the view, ascending; and the highest modseq among them if that was asked for."""
    view = session.folder
    now = session.tools.clock()

    def begin(tx: Tx) -> asked.Begun:
        updates.look(tx, session)
        if not by_uid:
            view.load(tx)
        return asked.begin(tx, view.folder_id, _query(tx, view, key, now))

    begun = await session.read(begin)
    found = await asked.finish(session.tools.store, session.tools.bodies, view.folder_id, begun)
    uids = found.uids[: bisect_left(found.uids, view.below)]
    if not _asks_modseq(key):
        return uids, 0
    session.enabled |= Enabled.CONDSTORE  # RFC 7162 §3.1
    return uids, found.modseq


def _asks_modseq(key: Key) -> bool:
    match key:
        case Changed():
            return True
        case All(parts) | Either(parts):
            return any(_asks_modseq(part) for part in parts)
        case Other(part):
            return _asks_modseq(part)
    return False


def _query(tx: Tx, view: View, key: Key, now: int) -> Query:
    found: Query
    match key:
        case All(parts):
            found = And(tuple([_query(tx, view, part, now) for part in parts]))
        case Either(parts):
            found = Or(tuple([_query(tx, view, part, now) for part in parts]))
        case Other(part):
            found = Not(_query(tx, view, part, now))
        case Among(numbers, uid):
            found = Within(view.meant(tx, numbers, by_uid=uid, strict=False))
        case Age(seconds, older):
            then = now - seconds * _SECOND
            found = Arrived(before=then + 1) if older else Arrived(since=then)
        case EmailId(id):
            number = id[1:]
            is_ours = id[:1] == "M" and number.isascii() and number.isdigit() and len(number) < _ID_MOST
            found = Shows(ContentId(int(number))) if is_ours else _NOTHING
        case ThreadId():
            found = _NOTHING  # no mail has one
        case _:
            found = key
    return found


def _numbers(view: View, found: Sequence[int], *, by_uid: bool) -> Sequence[int]:
    """What the client is told of the ascending UIDs."""
    return found if by_uid else view.numbers(found)


def _spaced(numbers: Sequence[int]) -> bytes:
    """Each with a space before it: by one call, for there may be very many."""
    return (b" %d" * len(numbers)) % tuple(numbers)


def _save(view: View, found: Sequence[int], returns: Return) -> None:
    """RFC 5182 §2.4: with MIN or MAX, and nothing that asks for more, no more is saved."""
    if Return.SAVE not in returns:
        return
    if not returns & (Return.ALL | Return.COUNT) and returns & (Return.MIN | Return.MAX):
        ends = [found[0]] * (Return.MIN in returns) + [found[-1]] * (Return.MAX in returns) if found else []
        view.saved = ranges(ends)
    else:
        view.saved = ranges(found)


def _say(
    session: Session, numbers: Sequence[int], returns: Return, modseq: int, *, by_uid: bool, in_order: bool
) -> None:
    """ESEARCH (RFC 4731, RFC 5267): `in_order` is to be kept as it is."""
    if returns == Return.SAVE:
        return
    words = [b"* ESEARCH (TAG %b)" % replies.string(session.tag)]
    if by_uid:
        words.append(b"UID")
    if numbers:
        if Return.MIN in returns:
            words.append(b"MIN %d" % numbers[0])
        if Return.MAX in returns:
            words.append(b"MAX %d" % numbers[-1])
        if Return.ALL in returns:
            listed = _spaced(numbers)[1:].replace(b" ", b",") if in_order else replies.numbers(numbers)
            words.append(b"ALL " + listed)
    if Return.COUNT in returns:
        words.append(b"COUNT %d" % len(numbers))
    if modseq and numbers:
        words.append(b"MODSEQ %d" % modseq)
    session.wire.say(b" ".join(words) + b"\r\n")


def _written(root: Node, number: Callable[[int], int]) -> bytes:
    """A thread in parentheses (RFC 5256 §4); threads may be too deep for recursion."""
    out: list[bytes] = []
    todo: list[Node | bytes] = [b")", root, b"("]
    while todo:
        each = todo.pop()
        if isinstance(each, bytes):
            out.append(each)
            continue
        if each.uid:
            out.append(b"%d" % number(each.uid) if out[-1] == b"(" else b" %d" % number(each.uid))
        if len(each.children) == 1:
            todo += each.children
        elif each.children:
            if out[-1] != b"(":
                out.append(b" ")
            for child in reversed(each.children):
                todo += [b")", child, b"("]
    return b"".join(out)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""One whole command, its literals included, into its value (RFC 9051 §6)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from functools import partial
from typing import Final

from mailroom.core.secrets import Secret
from mailroom.mailboxes.change import How
from mailroom.mailboxes.order import Key as SortKey
from mailroom.mailboxes.order import Way
from mailroom.mailboxes.threads import Algorithm
from mailroom.protocols.imap.grammar import fetch, flags, listing, search, sequence, values
from mailroom.protocols.imap.grammar.charsets import Charset
from mailroom.protocols.imap.grammar.lexer import TAG, Cursor, Malformed, bad, text
from mailroom.protocols.imap.grammar.values import Command

_ID_MOST: Final = 30  # fields; RFC 2971 §3.3
_SORT_KEYS_MOST: Final = 20

_BEGINS: Final = re.compile(rb"(" + TAG + rb") +([A-Z]+)(?: +|\Z)", re.IGNORECASE)
_TAG: Final = re.compile(rb"(" + TAG + rb")(?: |\Z)")
_UID: Final = re.compile(rb"([A-Z]+) +", re.IGNORECASE)
_RIGHTS: Final = re.compile(rb"[+-]?[a-z0-9]*", re.IGNORECASE)
_STORE: Final = re.compile(rb"([+-]?)FLAGS(\.SILENT)?(?:(?=\()| +)", re.IGNORECASE)
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]*=*")
_MORE_NUMBERS: Final = re.compile(rb" +(?=[0-9*])")
_MORE_MATCHES: Final = re.compile(rb" +\(")
_HOW: Final = {b"+": How.ADD, b"-": How.REMOVE, b"": How.REPLACE}
_SORT_KEYS: Final = {key.name.encode(): key for key in SortKey}
_ALGORITHMS: Final = {algorithm.name.encode(): algorithm for algorithm in Algorithm}


def parse(octets: bytes, *, utf8: bool = False) -> tuple[bytes, Command]:
    """The tag and the command; the octets are without the last line's end. Raises `Malformed` with the tag, if there
    is one.
    """
    begins = _BEGINS.match(octets)
    if begins is None:
        tag = _TAG.match(octets)
        raise Malformed(b"BAD this is no command", tag=tag[1] if tag else b"*")
    read = _READERS.get(begins[2].upper())
    if read is None:
        raise Malformed(b"BAD unknown command", tag=begins[1])
    cursor = Cursor(octets, at=begins.end(), utf8=utf8)
    try:
        command = read(cursor)
        cursor.end()
    except Malformed as fault:
        raise Malformed(fault.text, tag=begins[1]) from None
    return begins[1], command


def _alone(command: Command) -> Callable[[Cursor], Command]:
    return lambda _: command


def _of_mailbox(make: Callable[[str], Command]) -> Callable[[Cursor], Command]:
    return lambda cursor: make(cursor.mailbox())


def _of_two(make: Callable[[str, str], Command]) -> Callable[[Cursor], Command]:
    def read(cursor: Cursor) -> Command:
        mailbox = cursor.mailbox()
        cursor.space()
        return make(mailbox, text(cursor.astring()))

    return read


def _id(cursor: Cursor) -> values.Id:
    if not cursor.sees(b"("):
        if not cursor.ends and cursor.nstring() is not None:
            raise bad(b"a list or NIL")
        return values.Id(())
    words = [cursor.nstring() for _ in cursor.listed()]
    if len(words) % 2 or len(words) > 2 * _ID_MOST:
        raise bad(b"a list of names with their values")
    pairs = zip(words[::2], words[1::2], strict=True)
    return values.Id(tuple((text(name or b""), None if value is None else text(value)) for name, value in pairs))


def _authenticate(cursor: Cursor) -> values.Authenticate:
    mechanism = cursor.atom(b"a mechanism").decode("ascii", "replace")
    if cursor.ends:
        return values.Authenticate(mechanism, None)
    cursor.space()
    if cursor.next_is(b"="):
        return values.Authenticate(mechanism, b"")
    try:
        initial = base64.b64decode(cursor.match(_BASE64, b"base64")[0], validate=True)
    except binascii.Error:
        raise bad(b"base64") from None
    return values.Authenticate(mechanism, initial)


def _login(cursor: Cursor) -> values.Login:
    name = text(cursor.lenient())
    cursor.space()
    return values.Login(name, Secret(text(cursor.lenient())))


def _enable(cursor: Cursor) -> values.Enable:
    names = [cursor.atom(b"a capability")]
    while not cursor.ends:
        cursor.space()
        names.append(cursor.atom(b"a capability"))
    return values.Enable(tuple(name.decode("ascii", "replace") for name in names))


def _select(cursor: Cursor, *, examine: bool) -> values.Select:
    mailbox = cursor.mailbox()
    condstore, known = False, None
    if not cursor.ends:
        cursor.space()
        for _ in cursor.listed(b"a list of parameters"):
            match cursor.atom():
                case b"CONDSTORE":
                    condstore = True
                case b"QRESYNC" if known is None:
                    cursor.space()
                    known = _known(cursor)
                case _:
                    raise Malformed(b"BAD unknown parameter")
    return values.Select(mailbox, examine, condstore, known)


def _known(cursor: Cursor) -> values.Known:
    if not cursor.next_is(b"("):
        raise bad(b"a list")
    uidvalidity = cursor.number(least=1)
    cursor.space()
    modseq = cursor.number64()  # 0 is no modification sequence, but a client that knows none may say it
    uids, matching = None, None
    if cursor.find(_MORE_NUMBERS) is not None:
        uids = sequence.fixed(cursor)
    if cursor.find(_MORE_MATCHES) is not None:
        numbers = sequence.fixed(cursor)
        cursor.space()
        matching = numbers, sequence.fixed(cursor)
        if sequence.count(numbers) != sequence.count(matching[1]):
            raise bad(b"as many UIDs as message numbers")
        cursor.close()
    cursor.close()
    return values.Known(uidvalidity, modseq, uids, matching)


def _create(cursor: Cursor) -> values.Create:
    mailbox = cursor.mailbox()
    uses: tuple[str, ...] = ()
    if not cursor.ends:
        cursor.space()
        for _ in cursor.listed(b"a list of parameters"):
            if cursor.atom() != b"USE":
                raise Malformed(b"BAD unknown parameter")
            cursor.space()
            uses = tuple(cursor.flag().decode("ascii") for _ in cursor.listed())
    return values.Create(mailbox, uses)


def _rename(cursor: Cursor) -> values.Rename:
    mailbox = cursor.mailbox()
    cursor.space()
    return values.Rename(mailbox, cursor.mailbox())


def _of_pattern(make: Callable[[str, str], Command]) -> Callable[[Cursor], Command]:
    def read(cursor: Cursor) -> Command:
        reference = cursor.mailbox()
        cursor.space()
        return make(reference, cursor.pattern())

    return read


def _status(cursor: Cursor) -> values.Status:
    mailbox = cursor.mailbox()
    cursor.space()
    return values.Status(mailbox, listing.status_items(cursor))


def _append(_: Cursor) -> Command:
    raise bad(b"a mail as a literal")  # with one, `append` reads the command


def _get_quota(cursor: Cursor) -> values.GetQuota:
    return values.GetQuota(text(cursor.astring()))


def _set_quota(cursor: Cursor) -> values.SetQuota:
    root = text(cursor.astring())
    cursor.space()
    limits = []
    for _ in cursor.listed():
        resource = cursor.atom().decode("ascii", "replace")
        cursor.space()
        limits.append((resource, cursor.number64()))
    return values.SetQuota(root, tuple(limits))


def _set_acl(cursor: Cursor) -> values.SetAcl:
    mailbox = cursor.mailbox()
    cursor.space()
    identifier = text(cursor.astring())
    cursor.space()
    rights = cursor.astring()
    if _RIGHTS.fullmatch(rights) is None:
        raise bad(b"rights")
    return values.SetAcl(mailbox, identifier, rights.decode("ascii"))


def _compress(cursor: Cursor) -> values.Compress:
    return values.Compress(cursor.atom().decode("ascii", "replace"))


def _search(cursor: Cursor, *, uid: bool) -> values.Search:
    returns = search.returns(cursor)
    return values.Search(uid, search.program(cursor), returns)


def _sort(cursor: Cursor, *, uid: bool) -> values.Sort:
    returns = search.returns(cursor)
    by: list[tuple[SortKey, Way]] = []
    way = Way.UP
    for _ in cursor.listed(b"a list of sort keys"):
        word = cursor.atom()
        if word == b"REVERSE" and way is Way.UP:
            way = Way.DOWN
        elif word in _SORT_KEYS:
            by.append((_SORT_KEYS[word], way))
            way = Way.UP
        else:
            raise Malformed(b"BAD unknown sort key")
    if not by or way is Way.DOWN or len(by) > _SORT_KEYS_MOST:
        raise bad(b"a list of sort keys")
    cursor.space()
    return values.Sort(uid, tuple(by), _in_charset(cursor), returns)


def _thread(cursor: Cursor, *, uid: bool) -> values.Thread:
    algorithm = _ALGORITHMS.get(cursor.atom())
    if algorithm is None:
        raise Malformed(b"BAD unknown algorithm")
    cursor.space()
    return values.Thread(uid, algorithm, _in_charset(cursor))


def _in_charset(cursor: Cursor) -> values.Key:
    charset = Charset(cursor.astring())
    cursor.space()
    return search.keys(cursor, charset)


def _fetch(cursor: Cursor, *, uid: bool) -> values.Fetch:
    numbers = sequence.numbers(cursor)
    cursor.space()
    attributes, since, vanished = fetch.arguments(cursor)
    if vanished and not uid:
        raise Malformed(b"BAD VANISHED needs UID FETCH")  # RFC 7162 §3.2.6
    return values.Fetch(uid, numbers, attributes, since, vanished)


def _store(cursor: Cursor, *, uid: bool) -> values.StoreMarks:
    numbers = sequence.numbers(cursor)
    cursor.space()
    since = None
    if cursor.sees(b"("):
        for _ in cursor.listed():
            if cursor.atom() != b"UNCHANGEDSINCE" or since is not None:
                raise Malformed(b"BAD unknown modifier")
            cursor.space()
            since = cursor.number64()
        cursor.space()
    how, silent = cursor.match(_STORE, b"FLAGS").groups()
    marks = flags.marks(cursor) if cursor.sees(b"(") else flags.bare_marks(cursor)
    return values.StoreMarks(uid, numbers, _HOW[how], marks, silent is not None, since)


def _to(cursor: Cursor, make: Callable[[bool, values.Set, str], Command], *, uid: bool) -> Command:
    numbers = sequence.numbers(cursor)
    cursor.space()
    return make(uid, numbers, cursor.mailbox())


def _uid_expunge(cursor: Cursor) -> values.Expunge:
    return values.Expunge(sequence.numbers(cursor))


def _by_uid(cursor: Cursor) -> Command:
    read = _UID_READERS.get(cursor.match(_UID, b"a command")[1].upper())
    if read is None:
        raise Malformed(b"BAD unknown command")
    return read(cursor)


_READERS: Final[dict[bytes, Callable[[Cursor], Command]]] = {
    b"APPEND": _append,
    b"AUTHENTICATE": _authenticate,
    b"CAPABILITY": _alone(values.Capability()),
    b"CHECK": _alone(values.Check()),
    b"CLOSE": _alone(values.Close()),
    b"COMPRESS": _compress,
    b"COPY": partial(_to, make=values.Copy, uid=False),
    b"CREATE": _create,
    b"DELETE": _of_mailbox(values.Delete),
    b"DELETEACL": _of_two(values.DeleteAcl),
    b"ENABLE": _enable,
    b"EXAMINE": partial(_select, examine=True),
    b"EXPUNGE": _alone(values.Expunge()),
    b"FETCH": partial(_fetch, uid=False),
    b"GETACL": _of_mailbox(values.GetAcl),
    b"GETQUOTA": _get_quota,
    b"GETQUOTAROOT": _of_mailbox(values.GetQuotaRoot),
    b"ID": _id,
    b"IDLE": _alone(values.Idle()),
    b"LIST": listing.listing,
    b"LISTRIGHTS": _of_two(values.ListRights),
    b"LOGIN": _login,
    b"LOGOUT": _alone(values.Logout()),
    b"LSUB": _of_pattern(values.Lsub),
    b"MOVE": partial(_to, make=values.Move, uid=False),
    b"MYRIGHTS": _of_mailbox(values.MyRights),
    b"NAMESPACE": _alone(values.Namespace()),
    b"NOOP": _alone(values.Noop()),
    b"RENAME": _rename,
    b"SEARCH": partial(_search, uid=False),
    b"SELECT": partial(_select, examine=False),
    b"SETACL": _set_acl,
    b"SETQUOTA": _set_quota,
    b"SORT": partial(_sort, uid=False),
    b"STARTTLS": _alone(values.StartTls()),
    b"STATUS": _status,
    b"STORE": partial(_store, uid=False),
    b"SUBSCRIBE": _of_mailbox(values.Subscribe),
    b"THREAD": partial(_thread, uid=False),
    b"UID": _by_uid,
    b"UNSELECT": _alone(values.Unselect()),
    b"UNSUBSCRIBE": _of_mailbox(values.Unsubscribe),
    b"XLIST": _of_pattern(values.XList),
}
_UID_READERS: Final[dict[bytes, Callable[[Cursor], Command]]] = {
    b"COPY": partial(_to, make=values.Copy, uid=True),
    b"EXPUNGE": _uid_expunge,
    b"FETCH": partial(_fetch, uid=True),
    b"MOVE": partial(_to, make=values.Move, uid=True),
    b"SEARCH": partial(_search, uid=True),
    b"SORT": partial(_sort, uid=True),
    b"STORE": partial(_store, uid=True),
    b"THREAD": partial(_thread, uid=True),
}

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Hears a client's octets with a reader, as a server would: takes small mails, refuses large ones, expects the lines
that IDLE and AUTHENTICATE ask for.
"""

from __future__ import annotations

from collections.abc import Iterable

from mailroom.protocols.imap.grammar import values
from mailroom.protocols.imap.grammar.reader import Event, Incoming, Limits, Lost, Octets, Reader, Request

MAIL_MOST = 100
SMALL = Limits(command=200, skipped=500)

COMMANDS = [
    *[b"a1 NOOP\r\n", b"a2 LOGIN {3}\r\n", b"amy {2+}\r\npw\r\n", b"a3 IDLE\r\n", b"DONE\r\n"],
    *[b"a4 AUTHENTICATE PLAIN\r\n", b"a5 APPEND x {4}\r\n", b"mail\r\n"],
    *[b"a6 APPEND {1+}\r\nx (\\Seen) {3+}\r\nabc {2+}\r\nde\r\n", b"a7 APPEND x UTF8 (~{2+}\r\nab)\r\n"],
    *[b"a8 APPEND x {101+}\r\n", b"x" * 101, b"a9 APPEND x {101}\r\n", b" {2}\r\n"],
    *[b"b1 FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS ({2+}\r\nTo)]<0.5>)\r\n"],
    *[b"b2 SEARCH OR SEEN (NOT TEXT {3+}\r\nabc)\r\n"],
    *[b'b3 LIST (SUBSCRIBED) "" ("*" %) RETURN (STATUS (UNSEEN))\r\n'],
    *[b"b4 STORE 1 +FLAGS.SILENT (\\Deleted x)\r\n", b"b5 SELECT x (QRESYNC (1 2 3:4 (1 2)))\r\n"],
    *[b"b6 UID COPY $ x\r\n", b"b7 NOOP {900+}\r\n", b"b8 NOOP {150+}\r\n", b"y" * 150, b"b9 XYZZY {3}\r\n"],
    *[b"c1 SORT (REVERSE DATE) UTF-8 ALL\r\n", b"c2 ID NIL\n", b"\r\n", b"\n", b"\r", b" ", b"{5+}\r\n", b"{5}"],
    *[b"(", b")", b'"', b"\\", b"\0", b"\xe6\x8a\xa5", b"*", b"~", b"z" * 210, b"c3 APPEND", b" {0+}\r\n"],
]

# Words of the grammar, to be glued into what no client would say.
WORDS = [
    *[b"a ", b"UID ", b"FETCH ", b"SEARCH ", b"STORE ", b"SORT ", b"LIST ", b"SELECT ", b"APPEND ", b"ID "],
    *[b"STATUS ", b"LOGIN ", b"CREATE ", b"AUTHENTICATE ", b"SETQUOTA ", b"SETACL ", b"ENABLE ", b"COPY ", b"1:*"],
    *[b"1,5:9,*", b"$", b" ", b"  ", b",", b":", b"(", b")", b"[", b"]", b"<0.5>", b"{", b"}", b"~", b'"', b'""'],
    *[b"\\", b"\\Seen ", b"%", b"*", b"&-", b"&AGE-", b"&U,BTFw-", b"FLAGS ", b"+FLAGS.SILENT ", b"BODY["],
    *[b"BODY.PEEK[", b"HEADER.FIELDS ", b"1.2.MIME", b"BINARY[1]", b"ENVELOPE ", b"ALL ", b"OR ", b"NOT ", b"SEEN "],
    *[b"TEXT ", b"HEADER ", b"SINCE ", b"1-Feb-2020", b"CHARSET UTF-8 ", b"CHARSET GBK ", b"RETURN ", b"QRESYNC "],
    *[b"CONDSTORE ", b"UNCHANGEDSINCE ", b"CHANGEDSINCE ", b"VANISHED ", b"RECURSIVEMATCH ", b"NIL "],
    *[b"REVERSE DATE ", b'"1-Feb-2020 10:00:00 +0800" ', b"99999999999999999999 ", b"4294967295 ", b"0 ", b"\r\n"],
    *[b"\n", b"\0", b"\xb1\xa8", b"\xff"],
]


def listen(pieces: Iterable[bytes], limits: Limits = SMALL) -> list[Event]:
    """What is heard, with the pieces of each mail put together. Nothing may be held back that could have been told."""
    reader = Reader(limits)
    heard: list[Event] = []
    for piece in pieces:
        reader.feed(piece)
        while (event := reader.next()) is not None:
            _keep(heard, event)
            _act(reader, event)
        assert reader.held <= limits.command + 1
    return heard


def _act(reader: Reader, event: Event) -> None:
    match event:
        case Incoming(draft=draft) if draft.size <= MAIL_MOST:
            reader.take()
        case Incoming():
            reader.refuse()
        case Request(command=values.Idle() | values.Authenticate(initial=None)):
            reader.expect_line()
        case Lost():
            reader.feed(b"a NOOP\r\n")
            assert (reader.next(), reader.held) == (None, 0)


def _keep(heard: list[Event], event: Event) -> None:
    before = heard[-1] if heard else None
    if isinstance(event, Octets) and isinstance(before, Octets) and not before.last:
        heard[-1] = Octets(before.octets + event.octets, event.last)
    else:
        heard.append(event)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What is kept of a mail beside its bytes: IMAP's own words for it, and what lists, notices and threads show.

All of it is made once, at delivery, and stored; a FETCH of 50 ENVELOPEs then formats nothing.
The wire forms are those of RFC 9051 section 7.5.2 (the same in RFC 3501 section 7.4.2).
"""

from __future__ import annotations

import email.utils
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mailroom.mime import address, charset, headers
from mailroom.mime.preview import Read, attachments, preview
from mailroom.mime.scan import Part

_PLAIN = re.compile(rb"[\t\x20\x21\x23-\x5b\x5d-\x7e]*")  # goes between quotes as it stands
_QUOTABLE = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7f]*")
_NEEDS_ESCAPE = re.compile(rb'["\\]')
_MESSAGE_ID = re.compile(rb"<[^<>\s]+>")
_EMPTY_TEXT = b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0'
_to_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_STORED_MOST = 4096  # octets of one part's parameters and texts that are stored
_STORED_IN_ALL = 128 * 1024  # and of all parts together, for these rows are in nobody's quota
_DAY = 86_400  # seconds
_LAST_DATE = 253_402_300_799  # seconds; 9999-12-31, the last day that databases and datetime know

AddressLists = dict[str, tuple[address.Address | address.Group, ...]]
"""The address fields of a header by name in lower case, in the order that ENVELOPE has them."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What delivery stores beside a mail. Texts are decoded, on one line and fit for any database."""

    message_id: str  # verbatim with its angle brackets; "" when the mail has none, or `<>`
    subject: str
    from_: str  # the first From: `Name <addr>` or `addr`
    senders: str  # all of From, when there are several
    to: str
    cc: str
    bcc: str
    date_ms: int | None  # the Date field, milliseconds UTC; None when missing or no date
    date_day: int | None  # the day that it names, in its own zone; days from 1970-01-01
    in_reply_to: tuple[str, ...]  # message ids, as in `references`
    references: tuple[str, ...]
    envelope: bytes
    bodystructure: bytes
    preview: str
    attachments: tuple[str, ...]
    parts_json: str
    header_size: int


def summarise(part: Part, read: Read) -> Summary:
    """All that is stored beside a mail, from its scanned parts and its octets. Never raises for what is in the mail."""
    fields = headers.read(part.header)
    lists = _address_lists(fields)
    senders = address.mailboxes(lists["from"])
    sent_ms, sent_day = _moment(fields.first("date") or b"") or (None, None)
    return Summary(
        message_id=_message_id(fields.first("message-id") or b""),
        subject=headers.decode(fields.first("subject") or b""),
        from_=address.show(senders[0]) if senders else "",
        senders=_shown(lists["from"]) if len(senders) > 1 else "",
        to=_shown(lists["to"]),
        cc=_shown(lists["cc"]),
        bcc=_shown(lists["bcc"]),
        date_ms=sent_ms,
        date_day=sent_day,
        in_reply_to=_message_ids(fields.first("in-reply-to") or b""),
        references=_message_ids(fields.first("references") or b""),
        envelope=_envelope(fields, lists),
        bodystructure=bodystructure(part),
        preview=preview(part, read),
        attachments=attachments(part),
        parts_json=to_json(part),
        header_size=part.body_start - part.header_start,
    )


def date_ms(raw: bytes) -> int | None:
    """A Date field's moment in milliseconds UTC; None for what is no date (RFC 5322 section 3.3)."""
    moment = _moment(raw)
    return moment[0] if moment else None


def _moment(raw: bytes) -> tuple[int, int] | None:
    """The same, and its day."""
    try:
        parsed = email.utils.parsedate_tz(headers.decode(raw))
        if parsed is None:
            return None
        # A missing zone is read as UTC, not as this machine's.
        seconds = email.utils.mktime_tz((*parsed[:9], parsed[9] or 0))
        day = (seconds + (parsed[9] or 0)) // _DAY
    except (ValueError, IndexError, OverflowError, TypeError):
        return None
    return (seconds * 1000, day) if abs(seconds) <= _LAST_DATE else None


def envelope(header: bytes) -> bytes:
    """The ENVELOPE of a header block, with date, subject and names as they stood, undecoded."""
    fields = headers.read(header)
    return _envelope(fields, _address_lists(fields))


def bodystructure(part: Part) -> bytes:
    """The BODYSTRUCTURE of a part, extension data included."""
    if part.main == "multipart":
        extension = b" %b %b %b %b" % (
            _params(part.params),
            _disposition(part),
            _language(part.language),
            _nstring(part.location),
        )
        return _multipart(part, (bodystructure(child) for child in part.children), extension)
    extension = b" %b %b %b %b" % (
        _nstring(part.md5),
        _disposition(part),
        _language(part.language),
        _nstring(part.location),
    )
    held = bodystructure(part.children[0]) if part.children else _EMPTY_TEXT + b" NIL NIL NIL NIL)"
    return _single(part, held, extension)


def body(part: Part) -> bytes:
    """The BODY of a part: the same without extension data."""
    if part.main == "multipart":
        return _multipart(part, (body(child) for child in part.children), b"")
    return _single(part, body(part.children[0]) if part.children else _EMPTY_TEXT + b")", b"")


def to_json(part: Part) -> str:
    """A part and those in it as compact JSON, without header octets; `from_json` gives them back. Parameters and texts
    that are longer than any program writes are left out.
    """
    return _to_json(_Packer().pack(part))


def from_json(stored: str) -> Part:
    """The parts that `to_json` stored, to fetch a section without scanning the mail again; `header` is empty."""
    return _unpacked(json.loads(stored))


def _shown(found: tuple[address.Address | address.Group, ...]) -> str:
    return ", ".join(address.show(each) for each in address.mailboxes(found))


def _address_lists(fields: headers.Headers) -> AddressLists:
    return {
        name: tuple(found for raw in fields.all(name) for found in address.parse(raw))
        for name in ("from", "sender", "reply-to", "to", "cc", "bcc")
    }


def _envelope(fields: headers.Headers, found: AddressLists) -> bytes:
    lists = {name: _address_list(addresses) for name, addresses in found.items()}
    for name in ("sender", "reply-to"):
        # RFC 9051 section 7.5.2: absent or empty, they are those of From.
        if lists[name] == b"NIL":
            lists[name] = lists["from"]
    return b"(%b %b %b %b %b)" % (
        _nstring(_unfolded(fields, "date")),
        _nstring(_unfolded(fields, "subject")),
        b" ".join(lists.values()),
        _nstring(_unfolded(fields, "in-reply-to")),
        _nstring(_unfolded(fields, "message-id")),
    )


def _unfolded(fields: headers.Headers, name: str) -> bytes | None:
    raw = fields.first(name)
    return None if raw is None else headers.unfold(raw)


def _address_list(found: Iterable[address.Address | address.Group]) -> bytes:
    written = b"".join(_group(one) if isinstance(one, address.Group) else _address(one) for one in found)
    return b"(%b)" % written if written else b"NIL"


def _address(one: address.Address) -> bytes:
    # An address without a domain has an empty host: NIL there would begin or end a group.
    return b"(%b %b %b %b)" % (
        _nstring(one.name or None),
        _nstring(one.route or None),
        _string(one.local),
        _string(one.host),
    )


def _group(group: address.Group) -> bytes:
    members = b"".join(_address(member) for member in group.members)
    return b"(NIL NIL %b NIL)%b(NIL NIL NIL NIL)" % (_string(group.name), members)


def _single(part: Part, held: bytes, extension: bytes) -> bytes:
    params = part.params
    if part.main == "text" and all(name != "charset" for name, _ in params):
        params = (*params, ("charset", b"us-ascii"))  # RFC 2045 section 5.2
    kind = b""
    if part.main == "text":
        kind = b" %d" % part.lines
    elif part.content_type in ("message/rfc822", "message/global"):
        header = part.children[0].header if part.children else b""
        kind = b" %b %b %d" % (envelope(header), held, part.lines)
    return b"(%b %b %b %b %b %b %d%b%b)" % (
        _string(part.main.encode("latin-1")),
        _string(part.sub.encode("latin-1")),
        _params(params),
        _nstring(part.id),
        _nstring(part.description),
        _string(part.encoding.encode("latin-1")),
        part.size,
        kind,
        extension,
    )


def _multipart(part: Part, children: Iterable[bytes], extension: bytes) -> bytes:
    # The grammar wants at least one child; a multipart without any is shown as Dovecot shows it.
    held = b"".join(children) or _EMPTY_TEXT + (b" NIL NIL NIL NIL)" if extension else b")")
    return b"(%b %b%b)" % (held, _string(part.sub.encode("latin-1")), extension)


def _params(pairs: headers.Pairs) -> bytes:
    if not pairs:
        return b"NIL"
    return b"(%b)" % b" ".join(
        b"%b %b" % (_string(name.encode("ascii", "replace")), _string(value)) for name, value in pairs
    )


def _disposition(part: Part) -> bytes:
    if part.disposition is None:
        return b"NIL"
    return b"(%b %b)" % (_string(part.disposition.encode("latin-1")), _params(part.disposition_params))


def _language(raw: bytes | None) -> bytes:
    tags = [tag.strip() for tag in (raw or b"").split(b",") if tag.strip()]
    if not tags:
        return b"NIL"
    return _string(tags[0]) if len(tags) == 1 else b"(%b)" % b" ".join(_string(tag) for tag in tags)


def _nstring(value: bytes | None) -> bytes:
    return b"NIL" if value is None else _string(value)


def _string(value: bytes) -> bytes:
    """A quoted string where one is legal, else a literal (RFC 9051 section 4.3)."""
    if _PLAIN.fullmatch(value):
        return b'"%b"' % value
    value = value.replace(b"\0", b"")
    if not _QUOTABLE.fullmatch(value):
        return b"{%d}\r\n%b" % (len(value), value)
    return b'"%b"' % _NEEDS_ESCAPE.sub(rb"\\\g<0>", value)


def _message_id(raw: bytes) -> str:
    written = headers.unfold(raw)
    bracketed = _MESSAGE_ID.search(written)
    named = headers.one_line(charset.decode(bracketed[0] if bracketed else written, None))
    return named if "".join(named.split()).strip("<>") else ""


def _message_ids(raw: bytes) -> tuple[str, ...]:
    found = _MESSAGE_ID.findall(headers.unfold(raw))
    return tuple(dict.fromkeys(headers.one_line(charset.decode(each, None)) for each in found))


_TEXTS = {"i": "id", "n": "description", "g": "language", "m": "md5", "l": "location"}
"""Key in the stored JSON -> field of Part, for those that are seldom there."""


class _Packer:
    """Packs the parts of one mail, and keeps count of the octets that senders choose."""

    def __init__(self) -> None:
        self._left = _STORED_IN_ALL
        self._left_here = 0

    def pack(self, part: Part) -> dict[str, Any]:
        self._left_here = min(_STORED_MOST, self._left)
        packed: dict[str, Any] = {
            "o": [part.header_start, part.body_start, part.body_end, part.lines],
            "t": part.content_type,
            "p": self._pairs(part.params),
            "e": part.encoding,
            "d": part.disposition,
            "f": self._pairs(part.disposition_params),
        }
        for key, name in _TEXTS.items():
            value = getattr(part, name)
            packed[key] = value.decode("latin-1") if value is not None and self._has_room(len(value)) else None
        packed["c"] = [self.pack(child) for child in part.children]
        return {key: value for key, value in packed.items() if value is not None and value != []}

    def _pairs(self, pairs: headers.Pairs) -> list[list[str]]:
        return [[name, value.decode("latin-1")] for name, value in pairs if self._has_room(len(name) + len(value))]

    def _has_room(self, octets: int) -> bool:
        if octets > self._left_here:
            return False
        self._left_here -= octets
        self._left -= octets
        return True


def _unpacked(packed: dict[str, Any]) -> Part:
    header_start, body_start, body_end, lines = packed["o"]
    main, _, sub = packed["t"].partition("/")
    texts = {name: packed[key].encode("latin-1") for key, name in _TEXTS.items() if key in packed}
    return Part(
        header_start,
        body_start,
        body_end,
        lines,
        main,
        sub,
        _unpacked_pairs(packed.get("p", [])),
        packed["e"],
        packed.get("d"),
        _unpacked_pairs(packed.get("f", [])),
        children=tuple(_unpacked(child) for child in packed.get("c", [])),
        **texts,
    )


def _unpacked_pairs(pairs: list[list[str]]) -> headers.Pairs:
    return tuple((name, value.encode("latin-1")) for name, value in pairs)

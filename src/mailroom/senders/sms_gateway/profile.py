# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A gateway as its account's settings describe it: how a call is written, and what its answers and receipts mean.

Reading the settings and writing the call are pure, so that both can be tried without sending anything.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final
from urllib.parse import quote
from xml.sax.saxutils import escape

from mailroom.core.clock import SECOND
from mailroom.core.errors import InvalidValue
from mailroom.senders import china, sms, template
from mailroom.senders.china import midnight
from mailroom.senders.contract import Account, Parcel, Scope
from mailroom.senders.note import Note
from mailroom.senders.sms_gateway import documents
from mailroom.senders.sms_gateway.documents import Rule
from mailroom.senders.sms_gateway.manifest import MANIFEST
from mailroom.senders.template import Scene, Template
from mailroom.senders.verdicts import ACCOUNT, AGAIN, BUSY, CONTENT, GONE, LOST, NO, OPTED_OUT, Row, Spent

# What can stand in a call, beside the values of the note, and in a question for receipts.
OWN: Final = frozenset({"mobile", "content", "sign", "account", "password", "ts", "uuid", "id"})
ASKED: Final = frozenset({"mobile", "account", "password", "ts", "id"})
ID_MOST: Final = 200
_RECEIPT_FIELDS: Final = frozenset({"id", "mobile", "status", "code", "text"})

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# The connection is ours to write about.
_NOT_THEIRS: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "te", "upgrade", "expect"})
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]+")
_NOT_XML: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ERROR: Final = re.compile(r"(status\s+)?(.+?)\s*->\s*([a-z_]+)(?:\s+([0-9]{1,6}))?")
_NAMESPACE: Final = uuid.UUID("7b0c6d0e-3f6a-5c0b-9f53-5a3c3b2f8e11")

_MEDIA_TYPES: Final = MappingProxyType(
    {
        "form": "application/x-www-form-urlencoded",
        "json": "application/json",
        "xml": "application/xml",
        "raw": "text/plain",
    }
)
# What an error can be called.
_CLASSES: Final[Mapping[str, Row]] = MappingProxyType(
    {
        "gone": GONE,
        "opted_out": OPTED_OUT,
        "content": CONTENT,
        "refused": NO,
        "later": AGAIN,
        "busy": BUSY,
        "share": Spent(midnight, Scope.RECIPIENT),
        "quota": Spent(midnight),
        "account": ACCOUNT,
        "unknown": LOST,
    }
)


@dataclass(frozen=True, slots=True)
class Mistake:
    """A row of the table of errors: what an answer, or its status, looks like, and what follows."""

    pattern: re.Pattern[str]
    of_status: bool
    row: Row
    after: int | None  # milliseconds, if any are stated

    def find(self, status: str, text: str) -> re.Match[str] | None:
        """Where it fits."""
        return self.pattern.fullmatch(status) if self.of_status else self.pattern.search(text)


@dataclass(frozen=True, slots=True)
class Receipts:
    """Where a receipt's parts stand, and what its status means."""

    way: str  # none, push or pull
    list: str
    fields: Mapping[str, str]
    arrived: re.Pattern[str]
    lost: re.Pattern[str]
    reply: str
    pull: Template


@dataclass(frozen=True, slots=True)
class Profile:
    """Everything that the settings say."""

    url: Template
    method: str
    body: str
    charset: str
    params: Mapping[str, Template]
    raw_body: Template
    headers: Mapping[str, Template]
    account: str
    sign: str
    sign_place: str
    phone: str
    parts: int
    offset: int
    success_status: re.Pattern[str]
    success: Rule
    id: Rule | None
    mistakes: Sequence[Mistake]
    receipts: Receipts


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """A call, ready to go. It may hold the password."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


def read(settings: Mapping[str, str]) -> Profile:
    """The profile. Raises `InvalidValue` that names the setting."""
    value = partial(MANIFEST.value, settings)
    known = OWN | template.VARIABLES
    profile = Profile(
        url=_url_template(value("url"), "url", known),
        method=value("method"),
        body=value("body"),
        charset=value("charset"),
        params=template.lines(value("params"), name="params", known=known),
        raw_body=template.parse(value("raw_body"), name="raw_body", known=known),
        headers=_headers(value("headers"), known),
        account=value("account"),
        sign=value("sign"),
        sign_place=value("sign_place"),
        phone=value("phone"),
        parts=sms.number_of(value("max_parts"), "max_parts", most=sms.PARTS_MOST),
        offset=template.offset(value("utc_offset"), name="utc_offset"),
        success_status=documents.pattern(value("success_status"), name="success_status"),
        success=documents.rule(value("success"), name="success"),
        id=documents.rule(value("id"), name="id") if value("id") else None,
        mistakes=tuple(_mistake(line) for line in value("errors").splitlines() if line.strip()),
        receipts=_receipts(value),
    )
    if profile.raw_body and (profile.method == "GET" or profile.body == "form"):
        raise InvalidValue(name="raw_body", reason="goes with POST and body json, xml or raw")
    if not profile.raw_body and profile.method == "POST" and profile.body in {"xml", "raw"}:
        raise InvalidValue(name="raw_body", reason="is missing")
    if profile.params and profile.raw_body:
        raise InvalidValue(name="params", reason="goes without raw_body")
    return profile


def render(account: Account, parcel: Parcel) -> Request:
    """The call that sends the parcel. Pure: for the same parcel it is the same but for the time, which is the parcel's.

    Raises `InvalidValue`, `KeyError`, `TypeError`, `ValueError` for settings or a content that are none.
    """
    profile = read(account.settings)
    note = Note.read(parcel.content)
    values = dict(template.values(note)) | {
        "mobile": _number(parcel.address, profile.phone),
        "content": _content(profile, note.text),
        "sign": profile.sign,
        "account": profile.account,
        "password": account.secret("password").reveal(),
        "uuid": str(uuid.uuid5(_NAMESPACE, parcel.code)),
        "id": parcel.code,
    }
    scene = Scene(values, parcel.now, profile.offset, profile.charset)
    quoted = partial(quote, safe="", encoding=profile.charset, errors="replace")
    url = template.fill(profile.url, scene, each=quoted)
    headers = {name: _CONTROLS.sub(" ", template.fill(text, scene)).strip() for name, text in profile.headers.items()}
    filled = {name: template.fill(text, scene) for name, text in profile.params.items()}
    pairs = "&".join(f"{quoted(name)}={quoted(text)}" for name, text in filled.items())
    if profile.method == "GET":
        return Request("GET", url + ("&" if "?" in url else "?") * bool(pairs) + pairs, headers, b"")
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = f"{_MEDIA_TYPES[profile.body]}; charset={profile.charset}"
    if profile.raw_body:
        text = template.fill(profile.raw_body, scene, each=_EACH[profile.body])
    else:
        text = json.dumps(filled) if profile.body == "json" else pairs
    return Request("POST", url, headers, text.encode(profile.charset, "replace"))


def render_pull(account: Account, *, id: str, number: str, now: int) -> str:  # noqa: A002  # as the hole is called
    """The URL that asks for receipts: of one SMS, or of all."""
    profile = read(account.settings)
    values = {
        "mobile": _number(number, profile.phone),
        "account": profile.account,
        "password": account.secret("password").reveal(),
        "id": id,
    }
    scene = Scene(values, now, profile.offset, profile.charset)
    quoted = partial(quote, safe="", encoding=profile.charset, errors="replace")
    return template.fill(profile.receipts.pull, scene, each=quoted)


def _xml(text: str) -> str:
    return escape(_NOT_XML.sub("", text), {'"': "&quot;", "'": "&apos;"})


_EACH: Final[Mapping[str, Callable[[str], str]]] = MappingProxyType(
    {"json": lambda text: json.dumps(text)[1:-1], "xml": _xml, "raw": str}
)


def _number(address: str, form: str) -> str:
    if form == "e164":
        return address
    return china.bare(address) if form == "bare86" else address.removeprefix("+")


def _content(profile: Profile, text: str) -> str:
    """What the phone shows: signed by us, and by nobody whom a mail invents."""
    if not profile.sign or profile.sign_place == "none":
        return sms.fitted(text, most=profile.parts)
    text, sign = text.replace("【", "[").replace("】", "]"), f"【{profile.sign}】"
    if profile.sign_place == "before":
        return sms.fitted(sign + text, most=profile.parts)
    return sms.fitted(text, most=profile.parts, tail=sign)


def _url_template(text: str, name: str, known: frozenset[str]) -> Template:
    """A URL with holes, none of them in its host. Raises `InvalidValue`."""
    url = template.parse(text, name=name, known=known)
    if url and not re.match(r"https?://[^/?#{}@]+[/?#]", text) and list(template.holes(url)):
        raise InvalidValue(name=name, reason="must name its host without holes")
    return url


def _headers(text: str, known: frozenset[str]) -> Mapping[str, Template]:
    found: dict[str, Template] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        label, is_there, value = line.partition(":")
        if not is_there or not _TOKEN.fullmatch(label) or label.lower() in _NOT_THEIRS:
            raise InvalidValue(name="headers", reason=f"{label[:40]} cannot be set; one Name: value a line")
        found[label] = template.parse(value.strip(), name="headers", known=known)
    return found


def _mistake(line: str) -> Mistake:
    found = _ERROR.fullmatch(line.strip())
    if not found or found[3] not in _CLASSES:
        classes = ", ".join(_CLASSES)
        raise InvalidValue(name="errors", reason=f"must hold one pattern -> class a line, class one of {classes}")
    after = int(found[4] or 0) * SECOND or None
    return Mistake(documents.pattern(found[2], name="errors"), bool(found[1]), _CLASSES[found[3]], after)


def _receipts(value: Callable[[str], str]) -> Receipts:
    fields: dict[str, str] = {}
    for line in filter(None, map(str.strip, value("receipt_fields").splitlines())):
        name, _, where = (part.strip() for part in line.partition("="))
        if name not in _RECEIPT_FIELDS or not where:
            raise InvalidValue(name="receipt_fields", reason=f"must hold name=path lines of {_names()}")
        fields[name] = documents.path(where, name="receipt_fields")
    receipts = Receipts(
        way=value("receipts"),
        list=documents.path(value("receipt_list"), name="receipt_list"),
        fields=fields,
        arrived=documents.pattern(value("receipt_arrived"), name="receipt_arrived"),
        lost=documents.pattern(value("receipt_lost"), name="receipt_lost"),
        reply=value("receipt_reply"),
        pull=_url_template(value("pull_url"), "pull_url", ASKED),
    )
    if receipts.way == "pull" and not receipts.pull:
        raise InvalidValue(name="pull_url", reason="is missing")
    if receipts.way != "none" and "status" not in fields:
        raise InvalidValue(name="receipt_fields", reason="says not where the status is")
    return receipts


def _names() -> str:
    return ", ".join(sorted(_RECEIPT_FIELDS))

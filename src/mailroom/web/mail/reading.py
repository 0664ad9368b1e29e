# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What of a mail is read as its text, and what is listed as sent along. Every part that belongs to the mail is one or
the other, but for what another form of the same text or a picture within it already shows.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote

from markupsafe import Markup, escape

from mailroom.core.errors import NotFound
from mailroom.mime import charset, headers
from mailroom.mime.preview import body_part, decoded, file_name
from mailroom.mime.scan import Part

_TEXT_READ: Final = 256 * 1024  # octets of a text that are read
_HTML_READ: Final = 1024 * 1024  # the same of HTML, most of which may be for no reader
LINKS_MOST: Final = 2000  # web addresses in a text that can be clicked at
_MAILS: Final = frozenset({"message/rfc822", "message/global"})
# The same text in a form that we do not show.
_OTHER_FORMS: Final = frozenset({"plain", "html", "enriched", "richtext", "x-amp-html", "watch-html"})
_META_CHARSET: Final = re.compile(rb"<meta\s[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
# It ends where the direction of writing is turned: what is read must be where it leads.
_LINK: Final = re.compile(
    r"https?://[^\s<>\"'\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u3000-\u303f\uff00-\uff0c\uff1a-\uff1f]+",
    re.IGNORECASE,
)
_AFTER_LINK: Final = ".,;:!?)]}*_"
# What a browser is told that an attachment is; all else is just octets. None of them runs anything of its own.
_TYPES: Final = MappingProxyType(
    {
        kind: kind
        for kind in ("image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf", "application/zip")
    }
)
OCTETS: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Attachment:
    """Something sent along. `number` is its place among the mail's own parts, `size` about its octets."""

    number: int
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Reading:
    """A mail, taken apart for a reader."""

    own: tuple[Part, ...]
    plain: Part | None
    html: Part | None
    attachments: tuple[Attachment, ...]

    def part(self, number: int) -> Part:
        """One of the mail's own parts. Raises `NotFound`."""
        if number >= len(self.own) or self.own[number].main == "multipart":
            raise NotFound(what="part", name=str(number))
        return self.own[number]

    def pictures(self, references: Iterable[str]) -> Iterator[tuple[str, Part]]:
        """The parts that HTML refers to as `cid:reference` (RFC 2392)."""
        known = {part.id.strip(b" <>"): part for part in reversed(self.own) if part.id is not None}
        for reference in references:
            part = known.get(unquote(reference).encode("utf-8", "replace"))
            if part is not None:
                yield reference, part


def read(root: Part) -> Reading:
    """Choose what to show of a mail."""
    alternatives = tuple(_in_alternatives(root))
    own = tuple(_own(root))
    chosen = body_part(root)
    html = chosen if chosen is not None and chosen.sub == "html" else _other_form(root, chosen)
    plain = chosen if chosen is not html else None
    attachments: list[Attachment] = []
    for number, part in enumerate(own):
        is_shown = part is plain or part is html or part.main == "multipart"
        is_form = part.main == "text" and part.sub in _OTHER_FORMS and any(part is other for other in alternatives)
        is_picture = html is not None and part.main == "image" and part.id is not None
        if part.disposition == "attachment" or not (is_shown or is_form or is_picture):
            attachments.append(Attachment(number, name(part, number), _size(part)))
    return Reading(own, plain, html, tuple(attachments))


def name(part: Part, number: int) -> str:
    """What an attachment is called."""
    given = file_name(part)
    if given:
        return given
    return f"{number}.eml" if part.content_type in _MAILS else f"attachment-{number}"


def content_type(part: Part) -> str:
    """What a browser may take the part for."""
    return _TYPES.get(part.content_type, OCTETS)


def _own(part: Part) -> Iterator[Part]:
    """The part and those in it that belong to this mail, not to one that is attached to it."""
    yield part
    if part.main == "multipart":
        for child in part.children:
            yield from _own(child)


def _in_alternatives(root: Part) -> Iterator[Part]:
    for part in _own(root):
        if part.content_type == "multipart/alternative":
            yield from _own(part)


def _other_form(root: Part, plain: Part | None) -> Part | None:
    """The HTML that says the same as the plain text."""
    if plain is None:
        return None
    for part in _own(root):
        if part.content_type == "multipart/alternative":
            forms = tuple(_own(part))
            if any(form is plain for form in forms):
                return next((form for form in forms if form.content_type == "text/html" and not file_name(form)), None)
    return None


def _size(part: Part) -> int:
    return part.size * 3 // 4 if part.encoding == "base64" else part.size


def end(part: Part) -> int:
    """Where in the mail the reading of a text ends."""
    return min(part.body_end, part.body_start + (_HTML_READ if part.sub == "html" else _TEXT_READ))


def text(part: Part, octets: bytes) -> str:
    """The text of a part, from the octets with which its body begins."""
    body = decoded(part, lambda start, end: octets[start - part.body_start : end - part.body_start], limit=_HTML_READ)
    label = headers.assemble(part.params).get("charset")
    if label is None and part.sub == "html" and (declared := _META_CHARSET.search(body[:2048])):
        label = declared[1].decode("ascii", "replace")
    return charset.decode(body, label).replace("\r\n", "\n").replace("\0", "")


def linked(plain: str) -> Markup:
    """Plain text as HTML, with its web addresses to click at: the first `LINKS_MOST` of them. Long texts take a while:
    call it in a thread.
    """
    pieces: list[str] = []
    end = 0
    for found in itertools.islice(_LINK.finditer(plain), LINKS_MOST):
        url = found[0].rstrip(_AFTER_LINK)
        shown = escape(url)
        pieces.append(escape(plain[end : found.start()]))
        pieces.append(f'<a href="{shown}" target="_blank" rel="noopener noreferrer"><bdi>{shown}</bdi></a>')
        end = found.start() + len(url)
    pieces.append(escape(plain[end:]))
    return Markup("".join(pieces))  # noqa: S704 # each piece is escaped

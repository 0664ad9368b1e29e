# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Making a stranger's HTML harmless: only what is named here is left of it, and nothing in it reaches out.

This is the first of three walls. The second is the policy of the answer that carries it (no scripts, no forms, nothing
loaded), the third the sandboxed frame, whose document has no origin.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import nh3
from markupsafe import Markup

# What is worked on. Parsing takes the square of a hostile nesting's depth: with so many tags, less than half a second.
HTML_READ: Final = 256 * 1024  # characters, without those that `_UNREAD` passes over
TAGS_READ: Final = 8000

_UNREAD: Final = re.compile(r"(?is)<(style|script|svg|math)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)")
_TAG: Final = re.compile("<[a-z]", re.IGNORECASE)
_REFERENCE: Final = re.compile(r"cid:([^\"'\s<>)]{1,200})", re.IGNORECASE)
_DATA_IMAGE: Final = re.compile(r"data:image/(?:png|jpe?g|gif|webp);base64,[A-Za-z0-9+/=\s]*", re.IGNORECASE)
_DATA_IMAGE_MOST: Final = 64 * 1024
_REACHING_OUT: Final = re.compile(r"url|image|expression|behavio|binding|import|javascript|[\\@<]|/\*", re.IGNORECASE)
_LINKS: Final = re.compile(r"(?:https?|mailto|tel):", re.IGNORECASE)

_TAG_NAMES: Final = """
a abbr acronym address article aside b bdi bdo big blockquote br caption center cite code col colgroup dd del dfn div dl
dt em figcaption figure font footer h1 h2 h3 h4 h5 h6 header hr i img ins kbd li main mark nav ol p pre q rp rt ruby s
samp section small span strike strong sub sup table tbody td tfoot th thead time tr tt u ul var wbr
"""
_TAGS: Final = frozenset(_TAG_NAMES.split())
# Whose inside is no text for a reader.
_UNREADABLE: Final = """
script style title head iframe frame frameset noframes object embed applet noscript template textarea select svg math
xmp noembed plaintext audio video canvas
"""
_CELL: Final = frozenset({"align", "valign", "width", "height", "bgcolor", "colspan", "rowspan", "nowrap", "scope"})
_ATTRIBUTES: Final[Mapping[str, AbstractSet[str]]] = MappingProxyType(
    {
        "*": {"style", "dir", "lang", "title", "align"},
        "a": {"href"},
        "img": {"src", "alt", "width", "height", "border"},
        "font": {"color", "face", "size"},
        "table": {"width", "height", "border", "bgcolor", "cellpadding", "cellspacing"},
        "td": _CELL,
        "th": _CELL,
        "tr": _CELL,
        "col": {"span", "width"},
        "colgroup": {"span", "width"},
        "ol": {"start", "type", "reversed"},
        "ul": {"type"},
        "li": {"value", "type"},
        "hr": {"size", "width", "color", "noshade"},
        "time": {"datetime"},
    }
)
_SIDES: Final = ("", "-top", "-right", "-bottom", "-left")
_STYLE_NAMES: Final = """
color background-color opacity font font-family font-size font-style font-variant font-weight letter-spacing line-height
text-align text-decoration text-indent text-overflow text-transform vertical-align white-space word-break word-spacing
word-wrap overflow-wrap direction width min-width max-width height min-height max-height display visibility overflow
float clear border-collapse border-radius border-spacing table-layout list-style-type box-sizing border-color
border-style border-width
"""
_STYLES: Final = frozenset(_STYLE_NAMES.split()) | {
    f"{name}{side}" for name in ("margin", "padding", "border") for side in _SIDES
}


@dataclass(frozen=True, slots=True)
class Cleaned:
    """HTML that is safe to show, and how many pictures elsewhere it would have fetched."""

    html: Markup
    blocked: int
    is_cut: bool


def references(source: str) -> tuple[str, ...]:
    """The pictures of the mail's own that its HTML names as `cid:`, each once."""
    return tuple(dict.fromkeys(_REFERENCE.findall(source)))


def clean(source: str, pictures: Mapping[str, str]) -> Cleaned:
    """Leave of the HTML what only shows. `pictures` has a `data:` URL for each reference that may be shown. It takes up
    to half a second: call it in a thread.
    """
    whole = _UNREAD.sub("", source)
    read = _beginning(whole)
    sieve = _Sieve(pictures)
    html = nh3.clean(
        read,
        tags=set(_TAGS),
        clean_content_tags=set(_UNREADABLE.split()),
        attributes={tag: set(names) for tag, names in _ATTRIBUTES.items()},
        attribute_filter=sieve,
        filter_style_properties=set(_STYLES),
        set_tag_attribute_values={"a": {"target": "_blank"}},
        link_rel="noopener noreferrer",
        url_schemes={"http", "https", "mailto", "tel", "cid", "data"},
    )
    return Cleaned(Markup(html), sieve.blocked, len(read) < len(whole))  # noqa: S704 -- it has just been made so


def _beginning(source: str) -> str:
    beyond = next(itertools.islice(_TAG.finditer(source, 0, HTML_READ), TAGS_READ, None), None)
    return source[: beyond.start() if beyond else HTML_READ]


@dataclass(slots=True)
class _Sieve:
    """Looks at each attribute that may stay by its name."""

    pictures: Mapping[str, str]
    blocked: int = field(default=0, init=False)

    def __call__(self, tag: str, name: str, value: str) -> str | None:
        match tag, name:
            case "img", "src":
                return self._picture(value.strip())
            case _, "href":
                return value if _LINKS.match(value.strip()) else None
            case _, "style":
                # Properties that take a picture are not let through; this is for what a browser may add.
                return ";".join(one for one in value.split(";") if not _REACHING_OUT.search(one)) or None
            case _:
                return value

    def _picture(self, url: str) -> str | None:
        if url[:4].lower() == "cid:":
            return self.pictures.get(url[4:])
        if len(url) <= _DATA_IMAGE_MOST and _DATA_IMAGE.fullmatch(url):
            return url
        self.blocked += 1
        return None

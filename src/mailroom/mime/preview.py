# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What people see of a mail before they open it: its first words, and the names of its attachments.

Reads a bounded beginning of one part, so a mail list and a notice cost the same for any size of mail.
"""

from __future__ import annotations

import binascii
import contextlib
import html
import re
from collections.abc import Callable, Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from mailroom.mime import charset, headers
from mailroom.mime.scan import Part

Read = Callable[[int, int], bytes]
"""The mail's octets from the first offset up to, not including, the second; as `mail[start:stop]` would give."""

PREVIEW = 512  # Unicode code points
BODY_READ = 64 * 1024  # octets of a plain body that are decoded for a preview
HTML_READ = 256 * 1024  # the same of an HTML body: many begin with that much style sheet
HTML_PARSED = 32 * 1024  # characters of it, without style sheets: a hostile nesting costs lexbor their square

_ENCRYPTED = {"multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime"}
_PGP_ARMOUR = "-----BEGIN PGP MESSAGE-----"
_UUENCODED = {"x-uuencode", "x-uue", "uuencode", "uue"}
_META_CHARSET = re.compile(rb"<meta\s[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff\ufffe\uffff]")
_NOT_TEXT_ASCII = dict.fromkeys((*range(9), *range(11, 32), 127))
_UNREAD = re.compile(r"<(style|script)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)", re.IGNORECASE | re.DOTALL)
_SPACES = re.compile(r"[ \t\r\n\f]+")
_SPACES_ONLY = re.compile(" {2,}")
_BREAKS = re.compile("[ \n]*\n[ \n]*")
_CELLS = frozenset({"td", "th"})
_UNSEEN = frozenset(
    {
        "head",
        "script",
        "style",
        "title",
        "template",
        "noscript",
        "textarea",
        "select",
        "svg",
        "math",
        "iframe",
        "object",
    }
)
_BLOCKS = frozenset(
    {
        "address",
        "article",
        "aside",
        "blockquote",
        "br",
        "center",
        "dd",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "li",
        "main",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "table",
        "tr",
        "ul",
    }
)


def preview(part: Part, read: Read) -> str:
    """The first 512 code points of a mail's text, trimmed; empty for an encrypted mail or one without text."""
    return body_text(part, read, enough=PREVIEW)[:PREVIEW]


def body_text(part: Part, read: Read, *, enough: int = BODY_READ) -> str:
    """The beginning of a mail's text: the plain one if there is one, else the HTML's.

    As much as the first BODY_READ octets of the plain one hold, or about as much of the HTML, which is read no
    further once there are `enough` code points. Line ends are LF, the ends are trimmed; tags, scripts and styles
    are gone, entities decoded. Never raises for what is in the mail.
    """
    chosen = body_part(part)
    if chosen is None:
        return ""
    data = decoded(chosen, read, limit=HTML_READ if chosen.sub == "html" else BODY_READ)
    label = headers.assemble(chosen.params).get("charset")
    if chosen.sub == "html":
        text = _html_text(_html_source(data, label), enough)
    else:
        text = charset.decode(data, label).replace("\r\n", "\n").replace("\r", "\n")
    # Python translates ASCII six times as fast as it searches for a class of characters.
    text = (text.translate(_NOT_TEXT_ASCII) if text.isascii() else _NOT_TEXT.sub("", text)).strip()
    return "" if text.startswith(_PGP_ARMOUR) else text


def part_text(part: Part, read: Read, *, limit: int) -> str:
    """What the first octets of a text part say, made from at most `limit` of the mail: decoded, and of HTML the source
    with its entities decoded. For searching.
    """
    data = decoded(part, read, limit=limit)
    label = headers.assemble(part.params).get("charset")
    return html.unescape(_html_source(data, label)) if part.sub == "html" else charset.decode(data, label)


def body_part(part: Part) -> Part | None:
    """The part that is read as the mail's text; None for an encrypted mail or one without text.

    A part with a file name is taken only when no other text is there: it is more likely something sent along.
    """
    seen = tuple(_seen(part))
    if any(each.content_type in _ENCRYPTED for each in seen):
        return None
    texts = [each for each in seen if each.main == "text" and each.disposition != "attachment"]
    unnamed = [leaf for leaf in texts if not file_name(leaf)]
    for candidates in (unnamed, texts):
        for sub in ("plain", "html"):
            for leaf in candidates:
                if leaf.sub == sub:
                    return leaf
    return None


def attachments(part: Part) -> tuple[str, ...]:
    """The names of a mail's attachments, in the order they stand.

    An attachment is a leaf marked as one, or with a file name and not the body that `body_part` chose, or a mail
    within the mail. One without a name is called `attachment-N`, the Nth of them all.
    """
    body = body_part(part)
    names: list[str] = []
    for each in _seen(part):
        if each.main == "multipart":
            continue
        name = file_name(each)
        is_mail = each.content_type in ("message/rfc822", "message/global")
        if each.disposition == "attachment" or is_mail or (name and each is not body):
            names.append(name or f"attachment-{len(names) + 1}")
    return tuple(names)


def file_name(part: Part) -> str:
    """The part's file name, decoded, without folders; `||`, which separates names in lists, becomes `__`."""
    name = _parameter(part.disposition_params, "filename") or _parameter(part.params, "name")
    if not name:
        return ""
    name = re.split(r"[/\\]", name)[-1].replace("||", "__").strip()
    return "" if name in (".", "..") else name


def _parameter(pairs: headers.Pairs, name: str) -> str:
    # Most parts have no file name: look before decoding everything.
    if not any(written.startswith(name) for written, _ in pairs):
        return ""
    return headers.assemble(pairs).get(name, "")


def decoded(part: Part, read: Read, *, limit: int) -> bytes:
    """The first octets of a part's body without their transfer encoding, made from at most `limit` of the mail.

    An encoding that is unknown is passed on as it stands (RFC 2045 section 6.4 has no better advice for reading).
    """
    raw = read(part.body_start, min(part.body_end, part.body_start + limit))
    if part.encoding == "base64":
        return headers.unbase64(raw)
    if part.encoding == "quoted-printable":
        return binascii.a2b_qp(raw)
    if part.encoding in _UUENCODED:
        return b"".join(_uudecoded(raw))
    return raw


def _seen(part: Part) -> Iterator[Part]:
    """The part and those in it that belong to this mail, not to one that is attached to it."""
    yield part
    if part.main == "multipart":
        for child in part.children:
            yield from _seen(child)


def _uudecoded(raw: bytes) -> Iterator[bytes]:
    for line in raw.splitlines():
        if line == b"end":
            return
        if line and not line.startswith(b"begin "):
            # The first octet says how many come; some encoders pad beyond that, which binascii refuses.
            octets = (line[0] - 32) & 63
            with contextlib.suppress(binascii.Error):
                yield binascii.a2b_uu(line[: 1 + (octets * 4 + 5) // 3])


def _html_source(data: bytes, label: str | None) -> str:
    if not label:
        declared = _META_CHARSET.search(data[:2048])
        label = declared[1].decode("ascii", "replace") if declared else None
    return charset.decode(data, label)


def _html_text(source: str, enough: int) -> str:
    """The words of an HTML text, one line to a block, until there are `enough`."""
    root = LexborHTMLParser(_UNREAD.sub("", source)[:HTML_PARSED].replace("\0", "")).root
    written: list[str] = []
    pending: list[LexborNode | str] = [root] if root else []
    while pending and enough > 0:
        node = pending.pop()
        if isinstance(node, str):
            written.append(node)
        elif node.is_text_node:
            text = _SPACES.sub(" ", node.text_content or "")
            written.append(text)
            enough -= len(text.strip())
        elif node.tag not in _UNSEEN:
            is_block = node.tag in _BLOCKS
            pending.append("\n" if is_block else " " if node.tag in _CELLS else "")
            pending.extend(reversed(tuple(node.iter(include_text=True))))
            written.append("\n" if is_block else "")
    return _BREAKS.sub("\n", _SPACES_ONLY.sub(" ", "".join(written)))

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Header fields: found, unfolded, decoded and taken apart, whatever the sender's program made of the rules.

RFC 5322 section 2.2 (fields, folding), RFC 2047 (encoded words), RFC 2231 (parameters), RFC 6532 (raw UTF-8).
Bytes stay bytes until someone asks for text, because IMAP hands them on undecoded.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from mailroom.mime import charset

Pairs = tuple[tuple[str, bytes], ...]
"""Parameters as they stood: name in lower case (a `*` and section number included), value unquoted but undecoded."""

_FIELD = re.compile(rb"\n([!-9;-~]+)[ \t]*:([^\n]*+(?:\n[ \t][^\n]*+)*+)")
_ENCODED_WORD = re.compile(rb"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*+(?:\?(?!=)[^?]*+){0,3}+)\?=")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]+")
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
_PARAMETER = re.compile(rb';\s*+([^\s=;"]++)\s*+=\s*+("(?:[^"\\]|\\.)*+"|[^;]*+)', re.DOTALL)
_ESCAPED = re.compile(rb'\\(["\\])')
_SECTION = re.compile(r"([^*]+)(?:\*(\d{1,4}))?(\*)?\Z")


@dataclass(frozen=True, slots=True)
class Headers:
    """A header block as its fields, in order; each raw value keeps its folds but not its last line end."""

    fields: tuple[tuple[str, bytes], ...]

    def first(self, name: str) -> bytes | None:
        """The raw value of the first field called `name` (lower case), or None."""
        for each, raw in self.fields:
            if each == name:
                return raw
        return None

    def all(self, name: str) -> tuple[bytes, ...]:
        """The raw values of every field called `name` (lower case), in the order they stand."""
        return tuple([raw for each, raw in self.fields if each == name])


def read(header: bytes) -> Headers:
    """The fields of a header block. Lines that are no field (an mbox `From ` line, garbage) are passed over."""
    found = _FIELD.findall(b"\n" + header)
    return Headers(tuple((name.decode("ascii").lower(), raw.strip(b" \t\r")) for name, raw in found))


def unfold(raw: bytes) -> bytes:
    """The value on one line: line ends go, the space after them stays (RFC 5322 section 2.2.3); NUL goes too."""
    return raw.translate(None, b"\r\n\0").strip(b" \t")


def decode(raw: bytes) -> str:
    """The value as one line of text: encoded words and raw 8-bit text decoded, no control characters.

    Adjacent encoded words of one charset are joined as bytes before they are decoded, because programs
    split characters between them although RFC 2047 section 5 forbids it. Never raises.
    """
    line = unfold(raw)
    if b"=?" not in line:
        return one_line(charset.decode(line, None))
    return one_line("".join(_words_decoded(line)))


def one_line(text: str) -> str:
    """The text with each run of control characters and line ends turned into one space, trimmed."""
    return text.strip() if text.isprintable() else _CONTROL.sub(" ", text).strip()


def split(raw: bytes) -> tuple[bytes, Pairs]:
    """A structured value such as Content-Type: what stands before the first `;`, and the parameters after it."""
    line = unfold(raw)
    value, semicolon, rest = line.partition(b";")
    pairs = tuple(
        (name.decode("ascii", "replace").lower(), _unquoted(name.lower(), written))
        for name, written in _PARAMETER.findall(semicolon + rest)
    )
    return _without_comment(value), pairs


def parameters(raw: bytes) -> dict[str, str]:
    """The decoded parameters of a structured value, by name in lower case. Never raises."""
    return assemble(split(raw)[1])


def assemble(pairs: Pairs) -> dict[str, str]:
    """Parameters decoded: RFC 2231 sections joined in number order, or encoded words as Outlook and Foxmail write.

    An RFC 2231 form wins over a plain one of the same name (RFC 6266 section 4.3 says so for HTTP, and mail
    programs that write both do it for the same reason); of two plain ones the first.
    """
    plain: dict[str, str] = {}
    extended: dict[str, dict[int, tuple[bytes, bool]]] = {}
    for name, value in pairs:
        match = _SECTION.match(name)
        if match is None or (match[2] is None and match[3] is None):
            plain.setdefault(name, decode(value))
        else:
            sections = extended.setdefault(match[1], {})
            sections.setdefault(int(match[2] or 0), (value, match[3] is not None))
    return plain | {name: _joined(sections) for name, sections in extended.items()}


def unbase64(data: bytes) -> bytes:
    """Base64 decoded, strange characters passed over, up to the first `=` (RFC 2045 section 6.8). Never raises."""
    digits = data.partition(b"=")[0].translate(None, _NOT_BASE64)
    if len(digits) % 4 == 1:
        digits = digits[:-1]
    return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))


def _words_decoded(line: bytes) -> Iterator[str]:
    end = 0
    pending, label = b"", ""
    for word in _ENCODED_WORD.finditer(line):
        between = line[end : word.start()]
        named, _, _ = word[1].decode("ascii", "replace").lower().partition("*")  # RFC 2231 section 5: *language
        data = unbase64(word[3]) if word[2] in b"bB" else binascii.a2b_qp(word[3], header=True)
        is_adjacent = end > 0 and not between.strip()
        if not (is_adjacent and named == label):
            if pending:
                yield charset.decode(pending, label)
            if not is_adjacent:
                yield charset.decode(between, None)
            pending, label = b"", named
        pending += data
        end = word.end()
    if pending:
        yield charset.decode(pending, label)
    yield charset.decode(line[end:], None)


def _unquoted(name: bytes, written: bytes) -> bytes:
    written = written.strip()
    if written.startswith(b'"'):
        # A backslash before anything but a quote or itself is a path separator that Windows programs left there.
        return _ESCAPED.sub(rb"\1", written[1:-1] if written.endswith(b'"') and len(written) > 1 else written[1:])
    if name.startswith((b"name", b"filename")):
        return written  # "report (1).pdf" without its quotes is a name, not a comment
    return _without_comment(written)


def _without_comment(value: bytes) -> bytes:
    value = value.strip()
    if value.endswith(b")") and b"(" in value:
        value = value[: value.rfind(b"(")].rstrip()
    return value


def _joined(sections: dict[int, tuple[bytes, bool]]) -> str:
    first, is_extended = sections[min(sections)]
    label = ""
    if is_extended and first.count(b"'") >= 2:
        named, _, first = first.split(b"'", 2)
        label = named.decode("ascii", "replace")
    values = [(first, is_extended)] + [sections[number] for number in sorted(sections)[1:]]
    data = b"".join(unquote_to_bytes(value) if is_encoded else value for value, is_encoded in values)
    if not label and b"=?" in data:
        return decode(data)
    return one_line(charset.decode(data, label))

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The charsets in which a client may say what it searches for (RFC 9051 §6.4.4)."""

from __future__ import annotations

from typing import Final

from mailroom.protocols.imap.grammar.lexer import Malformed, text

# Labels as mail uses them -> Python's codecs, or None for "as without a label".
_CODECS: Final[dict[bytes, str | None]] = {
    b"US-ASCII": None,
    b"UTF-8": None,
    b"UTF8": None,
    b"GB18030": "gb18030",
    b"GBK": "gb18030",
    b"GB2312": "gb18030",
    b"BIG5": "cp950",
    b"ISO-2022-JP": "iso2022_jp",
    b"SHIFT_JIS": "cp932",
    b"EUC-JP": "euc_jp",
    b"EUC-KR": "cp949",
    b"KOI8-R": "koi8_r",
    b"ISO-8859-1": "cp1252",
    b"ISO-8859-2": "iso8859_2",
    b"ISO-8859-15": "iso8859_15",
    b"WINDOWS-1251": "cp1251",
    b"WINDOWS-1252": "cp1252",
}


class Charset:
    """How the strings of one search are to be read."""

    __slots__ = ("_codec",)

    def __init__(self, label: bytes = b"UTF-8") -> None:
        if label.upper() not in _CODECS:
            raise Malformed(b"NO [BADCHARSET (%b)] unknown charset" % b" ".join(_CODECS))
        self._codec = _CODECS[label.upper()]

    def decode(self, octets: bytes) -> str:
        """The text; what is wrong in it is replaced."""
        return text(octets) if self._codec is None else octets.decode(self._codec, "replace")

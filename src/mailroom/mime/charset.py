# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Bytes to text by a label that may be missing, wrong or unheard of.

Mail names its charset in a hundred spellings, and often lies: `gb2312` holds GBK, `iso-8859-1` holds cp1252.
The superset is taken for the name, as the WHATWG Encoding Standard does for the web.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

import chardetng_py  # type: ignore[import-untyped]  # it ships .pyi files but no py.typed

GUESSED_FROM = 8192  # bytes; more does not make the guess better, only slower

# In these, what looks like ASCII is ASCII; most mail is, and needs no further look.
_ASCII_INSIDE = frozenset({"ascii", "utf-8", "utf-8-sig", "gb18030", "big5hkscs", "cp1252", "cp949", "cp932"})

_SUPERSETS = {
    "ascii": None,  # with 8-bit bytes in it the label says nothing
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "hz": "hz",
    "big5": "big5hkscs",
    "euc_kr": "cp949",
    "johab": "johab",
    "shift_jis": "cp932",
    "iso2022_jp": "iso2022_jp_ext",
    "iso2022_jp_1": "iso2022_jp_ext",
    "iso2022_jp_2": "iso2022_jp_2",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis_620": "cp874",
    "utf-8": "utf-8-sig",
}
"""Python's codec name -> the codec that reads what is really sent under that name; None means: guess."""

_ALIASES = {
    "cp936": "gb18030",
    "936": "gb18030",
    "134": "gb18030",  # 134, 136, 128 and 129 are Windows font charset numbers that some programs write
    "gb_2312": "gb18030",
    "gb_2312-80": "gb18030",
    "x-gbk": "gb18030",
    "cn-gb": "gb18030",
    "gb18030-0": "gb18030",
    "cn-big5": "big5hkscs",
    "x-x-big5": "big5hkscs",
    "950": "big5hkscs",
    "136": "big5hkscs",
    "128": "cp932",
    "x-sjis": "cp932",
    "x-ms-cp932": "cp932",
    "windows-31j": "cp932",
    "cp50220": "iso2022_jp_ext",
    "129": "cp949",
    "ks_c_5601": "cp949",
    "ks_c_5601-1987": "cp949",
    "ks_c_5601-1989": "cp949",
    "windows-949": "cp949",
    "windows-874": "cp874",
    "x-mac-roman": "mac_roman",
    "macintosh": "mac_roman",
    "koi8": "koi8_r",
    "iso-8859-8-i": "iso8859-8",
    "utf-8mb4": "utf-8-sig",
    "unicode-1-1-utf-8": "utf-8-sig",
    "unicode-1-1-utf-7": "utf-7",
    "unicode": "utf-16",
    "unknown": None,
    "x-unknown": None,
    "unknown-8bit": None,
    "x-user-defined": None,
    "default": None,
    "8bit": None,
    "binary": None,
    "none": None,
}

# Python's own, and no charsets: the first two make surrogates, the others take the square of a text's length.
_NOT_CHARSETS = frozenset({"unicode-escape", "raw-unicode-escape", "idna", "punycode"})

_COMMON_HANGUL = frozenset(
    "이다는에의을가고하지한기사로은를도자어아서나대리인시정그스수있들해일보과장부전상게라제국주공여조구면만적원연동계성안무"
    "비없생위것물요니습합세우신관청내용회발문진행년월분양업소중화입드마터확알감님답금산건경교"
)

_ISO_2022 = re.compile(rb"\x1b(?:(\$[@B]|\([IJ]|\$\(D)|(\$\)C)|(\$\)[AGE]))")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LABEL = re.compile(r"[\w.:+-]{1,40}", re.ASCII)


def decode(data: bytes, label: str | None) -> str:
    """The text of `data`; what cannot be read becomes U+FFFD. Never raises; may hold control characters."""
    codec = codec_of(label) or _guess(data)
    if codec in _ASCII_INSIDE and data.isascii():
        return data.decode("ascii")
    return without_surrogates(data.decode(codec, "replace"))


@lru_cache(maxsize=256)
def codec_of(label: str | None) -> str | None:
    """Python's name for the charset a mail calls `label`, or None when the label tells nothing."""
    found = _LABEL.search(label.lower()) if label else None
    if not found:
        return None
    name = found.group()
    if name in _ALIASES:
        return _ALIASES[name]
    # The WHATWG reading of `cp-1252`, `windows_1252` and `utf8` alike; codecs knows most by itself.
    for spelling in (name, name.replace("cp-", "cp"), name.replace("windows", "cp").replace("-", "")):
        try:
            codec = codecs.lookup(spelling)
            b"x".decode(codec.name, "replace")  # some of Python's codecs do not make text
        except (LookupError, UnicodeError):
            continue
        return None if codec.name in _NOT_CHARSETS else _SUPERSETS.get(codec.name, codec.name)
    return None


def without_surrogates(text: str) -> str:
    """The same text with lone surrogates replaced: UTF-7 can smuggle them in, and UTF-8 cannot hold them."""
    if _SURROGATE.search(text):
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _guess(data: bytes) -> str:
    if data.isascii():
        escape = _ISO_2022.search(data)
        if not escape:
            return "ascii"
        japanese, korean, _ = escape.groups()
        return "iso2022_jp_ext" if japanese else "iso2022_kr" if korean else "ascii"
    if _is_utf8(data):
        return "utf-8-sig"
    sample = data[:GUESSED_FROM]
    detector = chardetng_py.EncodingDetector()
    detector.feed(sample, last=len(sample) == len(data))
    guessed: str = detector.guess(tld=None, allow_utf8=False)
    if guessed == "EUC-KR" and _COMMON_HANGUL.isdisjoint(sample.decode("cp949", "replace")):
        return "gb18030"  # short Chinese read as Korean: it gives syllables that Koreans hardly write
    return codec_of(guessed) or "cp1252"


def _is_utf8(data: bytes) -> bool:
    try:
        # Not final: a text cut inside its last character is still UTF-8, if there was one before it.
        return not codecs.getincrementaldecoder("utf-8")().decode(data).isascii()
    except UnicodeDecodeError:
        return False

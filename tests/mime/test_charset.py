# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Labels that lie, labels that are missing, and texts too short to tell."""

from __future__ import annotations

import pytest

from mailroom.mime import charset


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("gb2312", "gb18030"),
        ("GBK", "gb18030"),
        ("GB_2312-80", "gb18030"),
        ("cp936", "gb18030"),
        ("134", "gb18030"),
        ("big5", "big5hkscs"),
        ("136", "big5hkscs"),
        ("ks_c_5601-1987", "cp949"),
        ("EUC-KR", "cp949"),
        ("shift_jis", "cp932"),
        ("x-sjis", "cp932"),
        ("iso-2022-jp", "iso2022_jp_ext"),
        ("iso-8859-1", "cp1252"),
        ("latin1", "cp1252"),
        ("ISO-8859-9", "cp1254"),
        ("cp-850", "cp850"),
        ("windows-1251", "cp1251"),
        ("utf8", "utf-8-sig"),
        ("unicode-1-1-utf-7", "utf-7"),
        (' "utf-8"; x', "utf-8-sig"),
        ("us-ascii", None),
        ("x-unknown", None),
        ("unknown-8bit", None),
        ("no such charset", None),
        ("a" * 500, None),
        ("", None),
        (None, None),
        # Python's own codecs are no charsets
        ("unicode_escape", None),
        ("idna", None),
        ("rot13", None),
        ("zlib", None),
        ("hex", None),
        ("undefined", None),
    ],
)
def test_labels(label: str | None, codec: str | None) -> None:
    assert charset.codec_of(label) == codec


@pytest.mark.parametrize(
    ("text", "written_in"),
    [
        ("plain", "ascii"),
        ("größe", "utf-8"),
        ("报价", "utf-8"),
        ("报价", "gb18030"),
        ("会议", "gb18030"),
        ("会议通知", "gb18030"),
        ("会议通知:请于明天上午九点到三楼会议室", "gb18030"),
        ("Hello 测试 mail", "gb18030"),
        ("會議通知", "big5"),
        ("功能測試", "big5"),
        ("会議の議事録をお送りします。", "cp932"),
        ("会議の議事録をお送りします。", "euc_jp"),
        ("会議の議事録", "iso2022_jp"),
        ("회의록을 보내드립니다", "cp949"),
        ("회의록", "iso2022_kr"),
        ("Привет, как дела", "cp1251"),
        ("Привет, как дела", "koi8_r"),
        ("Zażółć gęślą jaźń", "cp1250"),
        ("Grüße aus München", "cp1252"),
        ("café", "cp1252"),
    ],
)
def test_unlabelled_text_is_told_from_its_bytes(text: str, written_in: str) -> None:
    assert charset.decode(text.encode(written_in), None) == text
    assert charset.decode(text.encode(written_in), "x-unknown") == text


@pytest.mark.parametrize(
    ("data", "label", "text"),
    [
        (b"\x93quoted\x94", "iso-8859-1", "“quoted”"),
        (b"\xff\xfea\x00", "utf-16", "a"),
        (b"\xef\xbb\xbfx", "utf-8", "x"),
        (b"\xe6\x8a", "utf-8", "�"),
        (b"\xe6\x8a\xa5\xe6\x8a", None, "报�"),  # cut within a character
        ("报价".encode("gb18030"), "us-ascii", "报价"),
        (b"+2AA-", "utf-7", "�"),
    ],
)
def test_decode(data: bytes, label: str | None, text: str) -> None:
    assert charset.decode(data, label) == text

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Templates that administrators write: what is a hole, what functions make, and what is refused by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.core.errors import InvalidValue
from mailroom.senders import template
from mailroom.senders.note import Note
from mailroom.senders.template import Scene

NOW = 1_772_323_200_123  # 2026-03-01 00:00:00 UTC
VALUES = {"mobile": "13900000001", "content": "测试 a&b", "account": "demo", "password": "key", "name": "Bob"}
KNOWN = frozenset(VALUES) | {"ts"}
EIGHT = 8 * 3600 * 1000


def filled(text: str, charset: str = "utf-8") -> str:
    return template.fill(template.parse(text, name="params", known=KNOWN), Scene(VALUES, NOW, EIGHT, charset))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain", "plain"),
        ("{mobile}", "13900000001"),
        ('{"to":{"n":"{mobile}"}}', '{"to":{"n":"13900000001"}}'),
        ("{{mobile} {}} {", "{mobile} {}} {"),
        ("{ts}|{ts:ms}", "1772323200|1772323200123"),
        ("{ts:%Y%m%d%H%M%S}", "20260301080000"),
        ("{ts:%Y-%m-%d %H:%M:%S}", "2026-03-01 08:00:00"),
        ("{md5(abc)}", "900150983cd24fb0d6963f7d28e17f72"),
        ("{sha1(abc)}", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        ("{sha256(abc)}", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "{hmac_sha256({password},The quick brown fox jumps over the lazy dog)}",
            "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8",
        ),
        ("{b64({account}:{password})}", "ZGVtbzprZXk="),
        ("{upper({md5(abc)})}", "900150983CD24FB0D6963F7D28E17F72"),
        ("{lower(ABC)}", "abc"),
        ("{url({content})}", "%E6%B5%8B%E8%AF%95%20a%26b"),
        ("{upper(a,(b),c)}", "A,(B),C"),
        ('{md5({"a":1})}', "bb6cb5c68df4652941caf652a366f2d8"),
    ],
)
def test_what_it_is_filled_with(text: str, expected: str) -> None:
    assert filled(text) == expected


def test_digests_and_escapes_are_of_the_charset() -> None:

    assert filled("{md5(测试)}", "gbk") == "ff13f7f55f7154f6984d9a26d8a317f9"
    assert filled("{url(测试)}", "gbk") == "%B2%E2%CA%D4"
    assert filled("{b64(测试)}", "gbk") == "suLK1A=="


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{phone}", "there is no {phone}"),
        ("{md5({phone})}", "there is no {phone}"),
        ("{exec(1)}", "there is no exec()"),
        ("{mobile:%Y}", "{mobile:...} is no way to write it"),
        ("{ts:%999999999d}", "{ts:...} is no way to write it"),
        ("{ts:%s}", "{ts:...} is no way to write it"),
        ("{ts:", "{ts:...} is no way to write it"),
        ("{md5(abc}", "md5() does not end, or lacks an argument"),
        ("{md5(abc)", "md5() does not end, or lacks an argument"),
        ("{hmac_sha256(a)}", "hmac_sha256() does not end, or lacks an argument"),
        ("{upper(" * 9 + "x" + ")}" * 9, "is more than 8 functions deep"),
        ("{mobile}" * 65, "holds more than 64 holes"),
        ("x" * 8193, "is longer than 8192 characters"),
    ],
)
def test_what_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        filled(text)
    assert str(refusal.value) == f"params: {complaint}"


@pytest.mark.parametrize(
    "text", ["{mobile.__class__}", "{mobile[0]}", "{mobile!r}", "{__import__}", "{0}", "%(mobile)s"]
)
def test_nothing_looks_into_a_value(text: str) -> None:
    assert filled(text) == text


@given(st.text(alphabet="{}(),:%abdmt5s_ 测Y", max_size=60))
def test_any_text_is_a_template_or_refused(text: str) -> None:
    try:
        parsed = template.parse(text, name="params", known=KNOWN)
    except InvalidValue:
        return
    assert isinstance(template.fill(parsed, Scene(VALUES, NOW)), str)


def test_lines_are_named_once_each() -> None:
    found = template.lines(" a = {mobile}=1 \n\nb=\n", name="params", known=KNOWN)
    scene = Scene(VALUES, NOW)
    assert {name: template.fill(text, scene) for name, text in found.items()} == {"a": "13900000001=1", "b": ""}
    for wrong in ("a", "=1", "a=1\na=2", "\n".join(f"a{n}=" for n in range(65))):
        with pytest.raises(InvalidValue):
            template.lines(wrong, name="params", known=KNOWN)


def test_a_notes_values_are_one_line_and_sign_as_nobody() -> None:
    note = Note(text="", values={"subject": "【Bank】\r\nhello  you", "from": "x" * 30})
    assert template.values(note, longest=20)["subject"] == "[Bank] hello you"
    assert template.values(note, longest=20)["from"] == "x" * 19 + "…"
    assert template.values(note)["from"] == "x" * 30
    assert template.values(note)["count"] == ""


@pytest.mark.parametrize(("text", "expected"), [("+08:00", EIGHT), ("-03:30", -12_600_000), ("+00:00", 0)])
def test_an_offset(text: str, expected: int) -> None:
    assert template.offset(text, name="utc_offset") == expected


@pytest.mark.parametrize("text", ["", "8", "+8:00", "+08:60", "+24:00", "Asia/Shanghai"])
def test_no_offset(text: str) -> None:
    with pytest.raises(InvalidValue):
        template.offset(text, name="utc_offset")

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A text becomes short messages: alphabets, parts and packing, held against gammu and against the sandbox's phone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.core.errors import InvalidValue
from mailroom.sandbox import short_messages
from mailroom.senders.sms import Alphabet, digits, header, number_of, packed, split
from mailroom.senders.sms_modem.tpdu import centre, submits

GSM = "".join(short_messages.read(0, bytes((code,))).text for code in range(128) if code != 27) + "\f^{}\\[~]|€"


def read(text: str, *, most: int = 10) -> str:
    """What a phone shows of it."""
    found = split(text, most=most)
    total = len(found.parts)
    shown = [
        short_messages.read(found.alphabet.value, part, header(7, total, at)) for at, part in enumerate(found.parts, 1)
    ]
    assert [(one.reference, one.total, one.number) for one in shown] == [(7, total, at + 1) for at in range(total)]
    return "".join(one.text for one in shown)


@given(st.text(st.sampled_from(GSM), max_size=1500))
def test_the_default_alphabet_comes_back(text: str) -> None:
    found = split(text, most=10)
    assert found.alphabet is Alphabet.GSM
    if sum(2 if c in "\f^{}\\[~]|€" else 1 for c in text) <= 10 * 152:
        assert read(text) == text


@given(st.text(max_size=300))
def test_any_text_comes_back(text: str) -> None:
    assert read(text) == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@given(st.text(st.characters(), max_size=2000), st.integers(1, 10))
def test_parts_are_bounded_and_whole(text: str, most: int) -> None:
    found = split(text, most=most)
    room = found.alphabet.joined if len(found.parts) > 1 else found.alphabet.single
    assert 1 <= len(found.parts) <= most
    assert all(len(part) <= room for part in found.parts)
    assert read(text, most=most) is not None  # half a character would be unreadable


def test_half_a_surrogate_becomes_the_sign_for_it() -> None:
    assert read("a\ud83d!") == "a\ufffd!"
    assert read("\ud83d\ude00") == "😀"


@pytest.mark.parametrize(
    ("text", "alphabet", "lengths"),
    [
        ("", Alphabet.GSM, [0]),
        ("x" * 160, Alphabet.GSM, [160]),
        ("x" * 161, Alphabet.GSM, [153, 8]),
        ("€" * 80, Alphabet.GSM, [160]),
        ("x" * 152 + "€" * 5, Alphabet.GSM, [152, 10]),
        ("您" * 70, Alphabet.UCS2, [140]),
        ("您" * 71, Alphabet.UCS2, [134, 8]),
        ("您" * 66 + "😀" + "x" * 4, Alphabet.UCS2, [132, 12]),
    ],
)
def test_where_a_text_is_split(text: str, alphabet: Alphabet, lengths: list[int]) -> None:
    found = split(text, most=10)
    assert found.alphabet is alphabet
    assert [len(part) for part in found.parts] == lengths


@pytest.mark.parametrize(
    ("text", "most", "shown"),
    [
        ("x" * 161, 1, "x" * 157 + "..."),
        ("x" * 400, 2, "x" * 303 + "..."),
        ("x" * 155 + "€€€€", 1, "x" * 155 + "€..."),
        ("您" * 71, 1, "您" * 69 + "…"),
        ("您" * 68 + "😀😀", 1, "您" * 68 + "…"),
    ],
)
def test_what_goes_beyond_is_cut(text: str, most: int, shown: str) -> None:
    assert read(text, most=most) == shown


def test_packing_as_in_the_standard() -> None:
    assert packed(b"hellohello").hex() == "e8329bfd4697d9ec37"
    assert packed(b"") == b""


GAMMU = """
import gammu, json, sys
shown = []
for line in sys.stdin:
    sms = gammu.DecodePDU(bytes.fromhex(line))
    udh = sms["UDH"]
    text = sms["Text"]  # gammu shows as many characters as there are septets: some too many where there are escapes
    text = text[: sms["Length"] - sum(one in "^{}[~]|€" or ord(one) == 92 for one in text)]
    shown.append([sms["Number"], sms["SMSC"]["Number"], text,
        [udh["ID8bit"], udh["AllParts"], udh["PartNumber"]], sms["Coding"]])
print(json.dumps(shown))
"""


@pytest.mark.parametrize(
    "text",
    [
        "Hello",
        GSM.replace("\f", ""),
        "a" * 152 + "€" + "b" * 300,
        "您有新邮件，请登录查看",
        "您有新邮件" * 30,
        *("x" * length for length in (159, 160, 161, 306, 307)),
    ],
)
def test_gammu_reads_what_the_modem_is_given(tool: Callable[[str], str], text: str) -> None:
    tool("gammu")
    tpdus = submits(split(text, most=10), "8613900000001", reference=200, report=True)
    lines = "\n".join((centre("8613800100500") + tpdu).hex() for tpdu in tpdus)
    shown = subprocess.run(
        ["/usr/bin/python3", "-c", GAMMU], input=lines, text=True, check=True, capture_output=True
    ).stdout
    read_by_gammu = json.loads(shown)
    assert "".join(one[2] for one in read_by_gammu) == text
    assert {(one[0], one[1]) for one in read_by_gammu} == {("+8613900000001", "+8613800100500")}
    total = len(tpdus)
    if total > 1:
        assert [one[3] for one in read_by_gammu] == [[200, total, at + 1] for at in range(total)]
    coding = "Default_No_Compression" if text.startswith(("H", "@", "a", "x")) else "Unicode_No_Compression"
    assert {one[4] for one in read_by_gammu} == {coding}


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("+8613900000001", "8613900000001"),
        ("+15005550006", "15005550006"),
        ("8613900000001", None),
        ("+0123456", None),
        ("+12", None),
        ("+1234567890123456", None),
        ("+86139\n", None),
        ("+８６１３９０００", None),
        ("", None),
    ],
)
def test_numbers_are_international(address: str, found: str | None) -> None:
    assert digits(address) == found


@pytest.mark.parametrize("text", ["", "0", "11", "-1", "1e3", "９", "9" * 5000, " 1"])
def test_a_number_in_a_setting_is_checked(text: str) -> None:
    with pytest.raises(InvalidValue, match="max_parts: must be a number from 1 to 10"):
        number_of(text, "max_parts", most=10)
    assert number_of("10", "max_parts", most=10) == 10

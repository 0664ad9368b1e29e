# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Sheets as spreadsheet programs write them, and such as nobody should have written."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mailroom.core.errors import InvalidValue, Refusal, TooLarge, TooMany
from mailroom.mailboxes import sheet
from mailroom.mailboxes.rename import ROWS_MOST, Line

_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/xl/workbook.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
    '<Override PartName="/xl/worksheets/sheet1.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>'
)
_RELATIONS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{0}" Target="{1}"/></Relationships>'
)
_BOOK = (
    '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>'
    '<sheet name="1" sheetId="1" r:id="r1"/></sheets></workbook>'
)


def xlsx(rows: Sequence[Sequence[str | int]], *, filler: int = 0) -> bytes:
    """A workbook with one sheet."""
    cells = "".join(f"<row>{''.join(map(_cell, row))}</row>" for row in rows)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("[Content_Types].xml", _TYPES)
        book.writestr("_rels/.rels", _RELATIONS.format("officeDocument", "xl/workbook.xml"))
        book.writestr("xl/workbook.xml", _BOOK)
        book.writestr("xl/_rels/workbook.xml.rels", _RELATIONS.format("worksheet", "worksheets/sheet1.xml"))
        space = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        book.writestr("xl/worksheets/sheet1.xml", f"{space}<sheetData>{cells}</sheetData></worksheet>")
        if filler:
            book.writestr("filler", b"\0" * filler)
    return packed.getvalue()


def _cell(value: str | int) -> str:
    if isinstance(value, int):
        return f"<c><v>{value}</v></c>"
    return f'<c t="inlineStr"><is><t>{value}</t></is></c>'


WANTED = [
    Line(2, "amy@corp.example", "amy.li"),
    Line(4, "王@corp.example", "wang@corp.example"),
    Line(5, "bob@x.y", "7"),
]


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("divider", [",", ";", "\t"])
def test_csv_of_any_program(coding: str, divider: str) -> None:
    rows = [["Address", "New", "x"], [" amy@corp.example ", "amy.li"], ["bob@corp.example", ""]]
    rows += [["王@corp.example", '"wang@corp.example"'], ["bob@x.y", "7", "8", "9"], [""], []]
    text = "\r\n".join(divider.join(row) for row in rows)
    assert sheet.lines(text.encode(coding)) == WANTED


def test_xlsx() -> None:
    rows = [["Address", "New"], ["amy@corp.example", "amy.li"], ["bob@corp.example", ""]]
    assert sheet.lines(xlsx([*rows, ["王@corp.example", "wang@corp.example"], ["bob@x.y", 7]])) == WANTED


def test_the_template_comes_back_as_it_went() -> None:
    blank = sheet.template(["amy@corp.example", "bob@corp.example"])
    with pytest.raises(InvalidValue):
        sheet.lines(blank.encode("utf-8-sig"))
    filled = blank.replace("bob@corp.example,", "bob@corp.example,robert")
    assert sheet.lines(filled.encode()) == [Line(3, "bob@corp.example", "robert")]


@pytest.mark.parametrize(
    ("octets", "refusal"),
    [
        (b"\x89PNG\r\n\0\0", InvalidValue),
        (b"PK\x03\x04 and no more", InvalidValue),
        (b"a text, not a sheet", InvalidValue),
        (xlsx([["a@b.c", "x"]])[:-200], InvalidValue),
        (b"x" * (sheet.OCTETS_MOST + 1), TooLarge),
        (xlsx([], filler=65 << 20), TooLarge),
        (b"a@b.c,x\n" * (ROWS_MOST + 1), TooMany),
        (xlsx([["a@b.c", "x"]] * (ROWS_MOST + 1)), TooMany),
        (b'a@b.c,"' + b"x" * 200_000, InvalidValue),
    ],
)
def test_what_is_no_sheet_or_too_much_of_one(octets: bytes, refusal: type[Refusal]) -> None:
    with pytest.raises(refusal):
        sheet.lines(octets)


@given(some.binary(max_size=200) | some.binary(max_size=200).map(lambda tail: b"PK" + tail))
def test_any_octets_are_lines_or_refused(octets: bytes) -> None:
    try:
        found = sheet.lines(octets)
    except Refusal:
        return
    assert all(line.new for line in found)


@given(some.lists(some.integers(0, 2000), max_size=4), some.integers(0, 255))
def test_a_broken_workbook_is_lines_or_refused(places: list[int], octet: int) -> None:
    broken = bytearray(xlsx([["a@b.c", "x"]]))
    for place in places:
        broken[place % len(broken)] = octet
    try:
        found = sheet.lines(bytes(broken))
    except Refusal:
        return
    assert len(found) <= 1

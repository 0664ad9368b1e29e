# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Reading the sheets that administrators fill in: .xlsx, or .csv as spreadsheet programs write it. Bounded: a sheet may
have been made by anybody.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Sequence
from typing import Final

from python_calamine import CalamineError, CalamineWorkbook

from mailroom.core.errors import InvalidValue, TooLarge, TooMany
from mailroom.mailboxes.rename import ROWS_MOST, Line

OCTETS_MOST: Final = 4 * 1024 * 1024
_UNPACKED_MOST: Final = 64 * 1024 * 1024
HEADINGS: Final = ("address", "new")


def lines(octets: bytes) -> Sequence[Line]:
    """The lines of a sheet for `rename.rename_all`: address, new address or new part before the @. A first line of
    headings, lines without a new address and further columns are passed over. Raises `InvalidValue` (nothing is left
    too), `TooLarge`, `TooMany`.
    """
    if len(octets) > OCTETS_MOST:
        raise TooLarge(what="The sheet", limit=OCTETS_MOST)
    rows = _xlsx(octets) if octets.startswith(b"PK") else _csv(octets)
    found: list[Line] = []
    for number, row in enumerate(rows, 1):
        address, new = (*row, "", "")[:2]
        if not new or (number == 1 and "@" not in address):
            continue
        found.append(Line(number, address, new))
        if len(found) > ROWS_MOST:
            raise TooMany(what="lines", limit=ROWS_MOST)
    if not found:
        raise InvalidValue(name="sheet", reason="no line has an address and a new one")
    return found


def template(addresses: Iterable[str]) -> str:
    """A sheet to fill in, as .csv: each mailbox, and room for its new address."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(HEADINGS)
    writer.writerows((address, "") for address in addresses)
    return text.getvalue()


def _csv(octets: bytes) -> Sequence[Sequence[str]]:
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = octets.decode("gb18030", "replace")  # as Excel writes it where Chinese is spoken
    if "\0" in text:
        raise InvalidValue(name="sheet", reason="is neither .xlsx nor .csv")
    beginning = text.partition("\n")[0]
    divider = max(",;\t", key=beginning.count)
    try:
        return [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text), delimiter=divider)]
    except csv.Error as fault:
        raise InvalidValue(name="sheet", reason=str(fault)) from fault


def _xlsx(octets: bytes) -> Sequence[Sequence[str]]:
    try:
        with zipfile.ZipFile(io.BytesIO(octets)) as packed:
            if sum(one.file_size for one in packed.infolist()) > _UNPACKED_MOST:
                raise TooLarge(what="The sheet", limit=_UNPACKED_MOST)
        sheet = CalamineWorkbook.from_filelike(io.BytesIO(octets)).get_sheet_by_index(0)
        rows = sheet.to_python(skip_empty_area=False, nrows=2 * ROWS_MOST)
    except (zipfile.BadZipFile, CalamineError) as fault:
        raise InvalidValue(name="sheet", reason="is neither .xlsx nor .csv") from fault
    return [[_plain(cell) for cell in row] for row in rows]


def _plain(cell: object) -> str:
    if isinstance(cell, float) and cell.is_integer():  # digits alone: a number to Excel
        return str(int(cell))
    return str(cell).strip()

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mobile numbers, as people write them."""

from __future__ import annotations

import re

from mailroom.core.errors import InvalidPhone

_CHINESE = re.compile(r"1[3-9]\d{9}", re.ASCII)
_E164 = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)
_WRITTEN = re.compile(r"[\s().\u2010-\u2015-]+")  # what people put between digits


def normal(number: str) -> str:
    """A mobile number in the form of E.164; eleven digits are one of China's. Raises `InvalidPhone`."""
    plain = _WRITTEN.sub("", number[:64])
    if plain.startswith("00"):
        plain = f"+{plain[2:]}"
    if _CHINESE.fullmatch(plain):
        plain = f"+86{plain}"
    if not _E164.fullmatch(plain) or (plain.startswith("+86") and not _CHINESE.fullmatch(plain[3:])):
        raise InvalidPhone(number=number[:32])
    return plain

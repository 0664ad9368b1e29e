# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The words of a notice, as administrators write them: a text with variables in braces (spec 1.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mailroom.core.errors import InvalidValue, UnknownVariable

VARIABLES = ("from", "fromname", "sender", "to", "subject", "date", "size", "attachnum", "body", "count")
_MOST = 1000
_VARIABLE = re.compile(r"\{([^{}]*)\}")
_BRACE = re.compile(r"[{}]")
# What would break out of its line, turn the text around it, or show as nothing at all.
_HARMFUL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]+"
)
_SPACES = re.compile(r"\s+")


def ask(name: str, text: str) -> None:
    """Whether it is short enough, and every variable is one of ours. Raises `InvalidValue`, `UnknownVariable`."""
    if len(text) > _MOST:
        raise InvalidValue(name=name, reason=f"is longer than {_MOST} characters")
    for variable in _VARIABLE.findall(text):
        if variable not in VARIABLES:
            raise UnknownVariable(name=name, variable=variable[:64])
    if brace := _BRACE.search(_VARIABLE.sub("", text)):
        raise InvalidValue(name=name, reason=f"has a {brace[0]} that has no counterpart")


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with its variables filled in. What they hold is not looked at again."""
    return _VARIABLE.sub(lambda found: values.get(found[1], ""), text)


def uses(text: str, variable: str) -> bool:
    """Whether the text names the variable."""
    return variable in _VARIABLE.findall(text)


def clean(text: str) -> str:
    """A stranger's words, on one line, and nothing in them that is not to be seen."""
    return _SPACES.sub(" ", _HARMFUL.sub(" ", text)).strip()

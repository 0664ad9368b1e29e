# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What gateways answer and push, in JSON, XML or as a form, read by paths; and the rules an account states about it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

from mailroom.core.errors import InvalidValue

READ: Final = 500  # characters of an answer that patterns see
_LONGEST_PATTERN: Final = 300
_MOST_FIELDS: Final = 200
_DECLARATION: Final = re.compile(r"^\s*<\?xml.*?\?>", re.DOTALL)
_STEP: Final = re.compile(r"[^.\[\]\s]+|\[[0-9]{1,4}\]")
_JSON_PATH: Final = re.compile(r"(?:[^.\[\]\s]+|\[[0-9]{1,4}\])(?:\.[^.\[\]\s]+|\[[0-9]{1,4}\])*")
_RULE: Final = re.compile(r"(json|xpath):\s*(\S+)(?:\s+(==|!=|<=|>=|<|>|~)\s+(.*))?")
# A group that is repeated can take time without bound, and each further repeat multiplies it.
_GROUPS: Final = re.compile(r"\)[*+{]")
_REPEATS: Final = re.compile(r"[*+]|\{[0-9]*,")
_MOST_REPEATS: Final = 3
# What `re` warns of, since it may mean something else one day.
_FUTURE: Final = re.compile(r"\[\[|--|\|\||&&|~~")


class Document(Protocol):
    """Something read."""

    def value(self, path: str) -> str | None:
        """The text at the path; none: there is none."""

    def items(self, path: str) -> Sequence[Document]:
        """The things in the list at the path; at "" the list, or the only thing, that the document itself is."""


@dataclass(frozen=True, slots=True)
class Json:
    """JSON; a path is `data.list[0].code`."""

    held: Any

    def value(self, path: str) -> str | None:
        found = self._at(path)
        if isinstance(found, bool):
            return "true" if found else "false"
        return str(found) if isinstance(found, str | int | float) else None

    def items(self, path: str) -> Sequence[Document]:
        found = self._at(path)
        return [Json(one) for one in (found if isinstance(found, list) else [found])]

    def _at(self, path: str) -> Any:
        found = self.held
        for step in _STEP.findall(path):
            if step.startswith("["):
                index = int(step[1:-1])
                found = found[index] if isinstance(found, list) and index < len(found) else None
            else:
                found = found.get(step) if isinstance(found, dict) else None
        return found


@dataclass(frozen=True, slots=True)
class Xml:
    """XML; a path is what ElementTree finds from the root, and may end in `/@attribute`."""

    root: ET.Element

    def value(self, path: str) -> str | None:
        place, is_attribute, attribute = path.partition("/@")
        found = self.root.find(place or ".")
        if found is None:
            return None
        return found.get(attribute) if is_attribute else "".join(found.itertext()).strip()

    def items(self, path: str) -> Sequence[Document]:
        return [Xml(found) for found in self.root.findall(path)] if path else [self]


@dataclass(frozen=True, slots=True)
class Form:
    """A form; a path is the name of a field. A list is JSON within a field."""

    fields: Mapping[str, str]

    def value(self, path: str) -> str | None:
        return self.fields.get(path)

    def items(self, path: str) -> Sequence[Document]:
        if not path:
            return [self]
        held = read_json(self.fields.get(path, ""))
        return held.items("") if held else []


def read_json(text: str) -> Document | None:
    """JSON, if it is any."""
    try:
        return Json(json.loads(text))
    except (ValueError, RecursionError):
        return None


def read_xml(text: str) -> Document | None:
    """XML without a document type, if it is any; whatever it declares, it has been decoded already."""
    if "<!DOCTYPE" in text:
        return None
    try:
        return Xml(ET.fromstring(_DECLARATION.sub("", text)))  # noqa: S314  # no document type, so no entities to expand
    except (ET.ParseError, ValueError):
        return None


def read_form(text: str, charset: str) -> Document | None:
    """A form, if it is any."""
    try:
        pairs = parse_qsl(text, encoding=charset, errors="replace", max_num_fields=_MOST_FIELDS)
    except ValueError:
        return None
    return Form(dict(pairs)) if pairs else None


def read(text: str, charset: str) -> Document | None:
    """Whichever of the three it looks like."""
    start = text.lstrip()[:1]
    if start == "<":
        return read_xml(text)
    return read_json(text) if start in {"{", "["} else read_form(text.strip(), charset)


_READERS: Final[Mapping[str, Callable[[str], Document | None]]] = MappingProxyType(
    {"json": read_json, "xpath": read_xml}
)


def pattern(text: str, *, name: str) -> re.Pattern[str]:
    """The regular expression of a setting. Raises `InvalidValue`."""
    repeats = len(_REPEATS.findall(text)) + (not text.startswith("^") or "|" in text)  # a search begins everywhere
    if len(text) > _LONGEST_PATTERN or repeats > _MOST_REPEATS:
        raise InvalidValue(name=name, reason="the pattern is too long, or repeats too much")
    if _GROUPS.search(text) or _FUTURE.search(text):
        raise InvalidValue(name=name, reason="the pattern repeats a group, or nests sets")
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError):
        raise InvalidValue(name=name, reason=f"{text[:40]} is no regular expression") from None


def path(text: str, *, name: str, kind: str = "") -> str:
    """The path of a setting, for documents of one kind or, "", of any. Raises `InvalidValue`."""
    if not text or (kind != "xpath" and _JSON_PATH.fullmatch(text)):
        return text
    try:
        if kind == "json":
            raise ValueError(text)
        ET.Element("x").find(text.partition("/@")[0] or ".")
    except (SyntaxError, KeyError, ValueError, TypeError):
        raise InvalidValue(name=name, reason=f"{text[:40]} is no path") from None
    return text


@dataclass(frozen=True, slots=True)
class Rule:
    """`regex: <pattern>`, `json: <path> [<op> <value>]` or `xpath: <path> [<op> <value>]`."""

    kind: str
    path: str = ""
    op: str = ""
    than: str = ""
    pattern: re.Pattern[str] | None = None

    def holds(self, text: str) -> bool | None:
        """Whether it is so; none: the text is not what the rule speaks of."""
        if self.kind == "regex":
            return bool(self.pattern and self.pattern.search(text[:READ]))
        document = _READERS[self.kind](text)
        if document is None:
            return None
        return self._compares(document.value(self.path))

    def found(self, text: str) -> str:
        """What stands there: the pattern's first group, or the value at the path; "" nothing."""
        if self.kind == "regex":
            found = self.pattern.search(text[:READ]) if self.pattern else None
            return (found[1] if found.re.groups else found[0]) or "" if found else ""
        document = _READERS[self.kind](text)
        return (document.value(self.path) or "") if document else ""

    def _compares(self, value: str | None) -> bool:
        if value is None or not self.op:
            return bool(value)
        if self.op == "~":
            return bool(self.pattern and self.pattern.search(value[:READ]))
        if self.op in _TEXTUAL:
            return _TEXTUAL[self.op](value, self.than)
        try:
            return _NUMERIC[self.op](float(value), float(self.than))
        except ValueError:
            return False


_TEXTUAL: Final[Mapping[str, Callable[[str, str], bool]]] = MappingProxyType(
    {"==": lambda one, other: one == other, "!=": lambda one, other: one != other}
)
_NUMERIC: Final[Mapping[str, Callable[[float, float], bool]]] = MappingProxyType(
    {
        "<": lambda one, other: one < other,
        "<=": lambda one, other: one <= other,
        ">": lambda one, other: one > other,
        ">=": lambda one, other: one >= other,
    }
)


def rule(text: str, *, name: str) -> Rule:
    """The rule of a setting. Raises `InvalidValue`."""
    text = text.strip()
    if text.startswith("regex:"):
        return Rule("regex", pattern=pattern(text.removeprefix("regex:").strip(), name=name))
    if not (found := _RULE.fullmatch(text)):
        raise InvalidValue(name=name, reason="must be regex: <pattern>, json: <path> <op> <value>, or xpath: likewise")
    kind, where, op, than = found.groups(default="")
    than = than.strip().strip("\"'")
    compared = pattern(than, name=name) if op == "~" else None
    return Rule(kind, path(where, name=name, kind=kind), op, than, compared)

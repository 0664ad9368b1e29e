# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Texts with holes, as an administrator writes them into a setting: `{mobile}`, `{ts:%Y%m%d}`, `{md5({account}{ts})}`.

A hole is a brace before a name in small letters; every other brace is itself, so that JSON can be written as it is,
and `{{` is one brace where it would begin a hole. A function's arguments are such texts again. Nothing here runs code
or looks into a value; length, depth and number of holes are bounded.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from mailroom.core.clock import HOUR, MINUTE, SECOND
from mailroom.core.errors import InvalidValue
from mailroom.senders.note import Note, cut

LONGEST: Final = 8192
_HOLES: Final = 64
_DEPTH: Final = 8
_HOLE: Final = re.compile(r"\{([a-z][a-z0-9_]*)([}:(])")
# No widths nor flags: `%999999999d` is a gigabyte.
_TIME: Final = re.compile(r"(?:%[YymdHMSj%]|[ -$&-z|~])+")
_OFFSET: Final = re.compile(r"([+-])([01][0-9]):([0-5][0-9])")

# What a note's values are called; who composes notes fills some of them.
VARIABLES: Final = frozenset(
    {"from", "fromname", "sender", "to", "subject", "date", "size", "attachnum", "body", "count", "code", "minutes"}
)


@dataclass(frozen=True, slots=True)
class Hole:
    """A value's place; `form` is how a time is written."""

    name: str
    form: str = ""


@dataclass(frozen=True, slots=True)
class Applied:
    """What a function makes of texts."""

    function: str
    arguments: tuple[Template, ...]


Template = tuple["str | Hole | Applied", ...]


@dataclass(frozen=True, slots=True)
class Scene:
    """What a template is filled with: values by name, and the time in milliseconds, at an offset from UTC."""

    values: Mapping[str, str]
    now: int
    offset: int = 0
    charset: str = "utf-8"


def parse(text: str, *, name: str, known: Collection[str]) -> Template:
    """The template that stands in the setting `name`; raises `InvalidValue`, for a hole that is not `known` too."""
    if len(text) > LONGEST:
        raise InvalidValue(name=name, reason=f"is longer than {LONGEST} characters")
    return _Reader(text, name, frozenset(known)).template("")


def lines(text: str, *, name: str, known: Collection[str]) -> Mapping[str, Template]:
    """The templates of a setting that holds one `name=template` a line. Raises `InvalidValue`."""
    found: dict[str, Template] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        label, is_there, value = line.partition("=")
        if not is_there or not label.strip() or label.strip() in found:
            raise InvalidValue(name=name, reason="must hold one name=value a line, each name once")
        found[label.strip()] = parse(value.strip(), name=name, known=known)
    if len(found) > _HOLES:
        raise InvalidValue(name=name, reason=f"holds more than {_HOLES} lines")
    return found


def fill(template: Template, scene: Scene, *, each: Callable[[str], str] = str) -> str:
    """The text; `each` makes what stands in a hole fit for its surroundings."""
    return "".join(piece if isinstance(piece, str) else each(_value(piece, scene)) for piece in template)


def holes(template: Template) -> Iterator[str]:
    """The names of all holes, those within functions too."""
    for piece in template:
        if isinstance(piece, Hole):
            yield piece.name
        elif isinstance(piece, Applied):
            for argument in piece.arguments:
                yield from holes(argument)


def values(note: Note, *, longest: int = 0) -> Mapping[str, str]:
    """The note's values by the names of all variables, each one line of at most `longest` characters (0: any length).

    Corner brackets hold the name of whoever signs an SMS, and are nobody else's to write.
    """
    given = {name: " ".join(str(note.values.get(name, "")).split()) for name in VARIABLES}
    plain = {name: value.replace("【", "[").replace("】", "]") for name, value in given.items()}
    return {name: cut(value, longest) if longest else value for name, value in plain.items()}


def offset(text: str, *, name: str) -> int:
    """The milliseconds of `+08:00`. Raises `InvalidValue`."""
    if not (found := _OFFSET.fullmatch(text)):
        raise InvalidValue(name=name, reason="must look like +08:00")
    sign, hours, minutes = found.groups()
    return (int(hours) * HOUR + int(minutes) * MINUTE) * (1 if sign == "+" else -1)


def _digest(kind: str) -> Callable[[str, Sequence[str]], str]:
    # Gateways sign with what they have; nothing of ours rests on it.
    return lambda charset, texts: hashlib.new(
        kind, texts[0].encode(charset, "replace"), usedforsecurity=False
    ).hexdigest()


def _hmac(charset: str, texts: Sequence[str]) -> str:
    key, text = (text.encode(charset, "replace") for text in texts)
    return hmac.digest(key, text, hashlib.sha256).hex()


# How many arguments, and what is made of them.
_FUNCTIONS: Final[Mapping[str, tuple[int, Callable[[str, Sequence[str]], str]]]] = MappingProxyType(
    {
        "md5": (1, _digest("md5")),
        "sha1": (1, _digest("sha1")),
        "sha256": (1, _digest("sha256")),
        "hmac_sha256": (2, _hmac),
        "b64": (1, lambda charset, texts: base64.b64encode(texts[0].encode(charset, "replace")).decode()),
        "upper": (1, lambda _charset, texts: texts[0].upper()),
        "lower": (1, lambda _charset, texts: texts[0].lower()),
        "url": (1, lambda charset, texts: quote(texts[0], safe="", encoding=charset, errors="replace")),
    }
)


def _value(piece: Hole | Applied, scene: Scene) -> str:
    if isinstance(piece, Applied):
        _, function = _FUNCTIONS[piece.function]
        return function(scene.charset, [fill(argument, scene) for argument in piece.arguments])
    if piece.name != "ts":
        return scene.values[piece.name]
    if not piece.form:
        return str(scene.now // SECOND)
    if piece.form == "ms":
        return str(scene.now)
    zone = timezone(timedelta(milliseconds=scene.offset))
    return datetime.fromtimestamp(scene.now // SECOND, UTC).astimezone(zone).strftime(piece.form)


@dataclass(slots=True)
class _Reader:
    text: str
    name: str
    known: frozenset[str]
    at: int = 0
    holes: int = 0
    depth: int = 0

    def template(self, stops: str) -> Template:
        """Up to one of `stops` that no parenthesis of the text's own encloses, or up to the end."""
        pieces: list[str | Hole | Applied] = []
        inside = 0
        while self.at < len(self.text):
            here = self.text[self.at]
            if stops and not inside and here in stops:
                break
            if found := _HOLE.match(self.text, self.at):
                self.at = found.end()
                pieces.append(self._hole(*found.groups()))
                continue
            inside += (here == "(") - (here == ")")
            self.at += 2 if self.text.startswith("{{", self.at) else 1
            pieces.append(here)
        return _joined(pieces)

    def _hole(self, word: str, mark: str) -> Hole | Applied:
        self.holes += 1
        if self.holes > _HOLES:
            raise self._wrong(f"holds more than {_HOLES} holes")
        if mark == "(":
            return self._applied(word)
        if word not in self.known:
            raise self._wrong(f"there is no {{{word}}}")
        return Hole(word) if mark == "}" else Hole(word, self._form(word))

    def _form(self, word: str) -> str:
        form, is_there, _ = self.text[self.at :].partition("}")
        if word != "ts" or not is_there or not (form == "ms" or _TIME.fullmatch(form)):
            raise self._wrong(f"{{{word}:...}} is no way to write it")
        self.at += len(form) + 1
        return form

    def _applied(self, word: str) -> Applied:
        if word not in _FUNCTIONS:
            raise self._wrong(f"there is no {word}()")
        self.depth += 1
        if self.depth > _DEPTH:
            raise self._wrong(f"is more than {_DEPTH} functions deep")
        count, _ = _FUNCTIONS[word]
        arguments = []
        for left in reversed(range(count)):
            arguments.append(self.template("," if left else ")"))
            self.at += 1
        if not self.text.startswith("}", self.at):
            raise self._wrong(f"{word}() does not end, or lacks an argument")
        self.at += 1
        self.depth -= 1
        return Applied(word, tuple(arguments))

    def _wrong(self, reason: str) -> InvalidValue:
        return InvalidValue(name=self.name, reason=reason)


def _joined(pieces: Sequence[str | Hole | Applied]) -> Template:
    """Letters that follow each other as one text."""
    joined: list[str | Hole | Applied] = []
    for piece in pieces:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    return tuple(joined)

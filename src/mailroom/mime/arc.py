# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The chain of those who have handed a mail on and say what they saw, verified (ARC, RFC 8617). Pure, like `dkim`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mailroom.mime import dkim, headers
from mailroom.mime.dkim import Bad, Bodies, Canon, Code, Forms, Key, Result, Signature
from mailroom.mime.fields import Field

SETS_MOST: Final = 50  # §4.2.1
_INSTANCE = re.compile(r"[1-9][0-9]?", re.ASCII)
_AAR_INSTANCE = re.compile(rb"\s*i\s*=\s*([1-9][0-9]?)\s*;")
_NAMES = (b"arc-authentication-results", b"arc-message-signature", b"arc-seal")


@dataclass(frozen=True, slots=True)
class Set:
    """What one of them has added (§4.2)."""

    results: Field
    message: Field
    seal: Field
    seals: Signature


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain whose form is right: its sets in order, and the newest signature over the mail."""

    sets: tuple[Set, ...]
    newest: Signature

    @property
    def signatures(self) -> tuple[Signature, ...]:
        """All whose keys are needed."""
        return (self.newest, *(one.seals for one in self.sets))

    @property
    def sealer(self) -> str:
        """The domain that vouches for the chain."""
        return self.sets[-1].seals.domain

    def saw_pass(self, method: str) -> bool:
        """Whether the sealer says that the mail passed there."""
        said = headers.unfold(self.sets[-1].results.value).lower()
        return re.search(rb";\s*%b\s*=\s*pass\b" % method.encode(), said) is not None


def chain(found: Sequence[Field]) -> Chain | Result | None:
    """The chain in a header; its result if it is broken in itself (§5.2 steps 1 to 3); None if there is none."""
    ours = [one for one in found if one.name in _NAMES]
    if not ours:
        return None
    try:
        return _chain(ours)
    except Bad as bad:
        return Result(Code.FAIL, bad.reason)


def _chain(ours: Sequence[Field]) -> Chain:
    if len(ours) > 3 * SETS_MOST:
        raise Bad("too many sets")
    parts: dict[tuple[int, bytes], tuple[Field, Mapping[str, str]]] = {}
    for one in ours:
        given: Mapping[str, str] = {} if one.name == _NAMES[0] else dkim.read_tags(one)
        place = (_instance(one, given), one.name)
        if place in parts:
            raise Bad(f"two of set {place[0]}")
        parts[place] = (one, given)
    count = max(instance for instance, _ in parts)
    if len(parts) != 3 * count or count > SETS_MOST:
        raise Bad("sets are missing")
    sets = [_set(number, [parts[number, name] for name in _NAMES]) for number in range(1, count + 1)]
    message, given = parts[count, b"arc-message-signature"]
    newest = dkim.parse(message, given)
    if b"arc-seal" in newest.names:  # §4.1.2
        raise Bad("signature over seals")
    return Chain(tuple(sets), newest)


def _instance(one: Field, given: Mapping[str, str]) -> int:
    if one.name == _NAMES[0]:
        match = _AAR_INSTANCE.match(one.value)
        if match:
            return int(match[1])
    elif _INSTANCE.fullmatch(given.get("i", "")):
        return int(given["i"])
    raise Bad("set without its number")


def _set(number: int, parts: Sequence[tuple[Field, Mapping[str, str]]]) -> Set:
    (results, _), (message, _), (seal, given) = parts
    if "h" in given:  # §4.1.3
        raise Bad("seal with a list of headers")
    cv = given.get("cv", "")
    if cv != ("none" if number == 1 else "pass"):
        raise Bad(f"set {number} says that the chain is {cv or 'nothing'}")
    seals = Signature(
        field=seal,
        algorithm=dkim.algorithm(given),
        domain=dkim.named(given, "d"),
        selector=dkim.named(given, "s"),
        value=dkim.unbase64(given.get("b", "")),
    )
    return Set(results, message, seal, seals)


def verify(one: Chain, keys: Mapping[str, Key | Bad], *, forms: Forms, bodies: Bodies, now: int) -> Result:
    """Whether the chain is whole; `keys` by their names in the DNS, `now` in seconds. What is not `pass` is `fail`:
    ARC knows no third (§4.4).
    """
    try:
        result = dkim.verify(one.newest, _key(keys, one.newest), forms=forms, bodies=bodies, now=now)
        if result.code is not Code.PASS:
            raise Bad(f"set {len(one.sets)}: {result.reason}")
        for number in range(len(one.sets), 0, -1):
            seal = one.sets[number - 1].seals
            if not dkim.proves(seal, _key(keys, seal), _seal_digest(one.sets[:number], forms)):
                raise Bad(f"seal {number} is wrong")
    except Bad as bad:
        return Result(Code.FAIL, bad.reason, one.newest)
    return Result(Code.PASS, "", one.newest)


def _key(keys: Mapping[str, Key | Bad], signature: Signature) -> Key:
    key = keys[signature.key_name]
    if isinstance(key, Bad):
        raise key
    return key


def _seal_digest(sets: Sequence[Set], forms: Forms) -> bytes:
    """§5.1.1: all sets up to this one, its own seal last and without its value."""
    hashed = hashlib.sha256()
    for one in sets:
        hashed.update(forms.canonical(one.results, Canon.RELAXED))
        hashed.update(forms.canonical(one.message, Canon.RELAXED))
        if one is not sets[-1]:
            hashed.update(forms.canonical(one.seal, Canon.RELAXED))
    hashed.update(dkim.without_value(sets[-1].seal, Canon.RELAXED))
    return hashed.digest()

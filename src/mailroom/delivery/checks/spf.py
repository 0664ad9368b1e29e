# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a host may send as a domain (SPF, RFC 7208)."""

from __future__ import annotations

import enum
import ipaddress
import re
import urllib.parse
from dataclasses import dataclass

from mailroom.delivery.checks.names import Found, Names, NoIdea

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# §4.6.4
_LOOKUPS_MOST = 10
_VOID_MOST = 2
_NAMES_MOST = 10  # of one mx or ptr
_RECORD_MOST = 16 * 1024  # octets
_NAME_MOST, _LABEL_MOST = 253, 63


class Spf(enum.StrEnum):
    """The verdict (§2.6)."""

    NONE = "none"
    NEUTRAL = "neutral"
    PASS = "pass"  # noqa: S105 # a verdict
    FAIL = "fail"
    SOFTFAIL = "softfail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


_QUALIFIERS = {"+": Spf.PASS, "-": Spf.FAIL, "~": Spf.SOFTFAIL, "?": Spf.NEUTRAL}

# §7.1
_EXPAND = re.compile(
    r"%(?:\{(?P<letter>[slodiphcrtv])(?P<digits>\d{0,3})(?P<reverse>r?)(?P<between>[-.+,/_=]*)\}|[%_-])",
    re.IGNORECASE | re.ASCII,
)
_LITERAL = re.compile(r"[!-$&-~]*")
_TOP_LABEL = re.compile(r"(?!\d+\Z)(?!-)[a-z0-9-]+(?<!-)", re.IGNORECASE | re.ASCII)
# §12
_MODIFIER = re.compile(r"([a-z][a-z0-9_.-]*)=(.*)", re.IGNORECASE | re.ASCII)
_MECHANISM = re.compile(
    r"([+?~-]?)(all|include|a|mx|ptr|ip4|ip6|exists)(?::(.*?))?((?:/\d{1,3})?(?://\d{1,3})?)",
    re.IGNORECASE | re.ASCII,
)
_VERSION = re.compile(rb"v=spf1(?: |\Z)", re.IGNORECASE)


class _Bad(Exception):
    """The record cannot be followed: permerror."""


@dataclass(frozen=True, slots=True)
class _Mechanism:
    verdict: Spf
    name: str
    spec: str  # the domain-spec, or the network
    prefix4: int = 32
    prefix6: int = 128


@dataclass(frozen=True, slots=True)
class _Record:
    mechanisms: tuple[_Mechanism, ...]
    redirect: str


@dataclass(slots=True)
class _Walk:
    """One evaluation: whose, and how much it has asked so far."""

    names: Names
    client: Address
    sender: str  # with its local part
    hello: str
    lookups: int = 0
    void: int = 0
    validated: tuple[str, ...] | None = None  # the client's names, once somebody has asked for them

    async def check(self, domain: str) -> Spf:
        """§4: check_host()."""
        if not _is_domain(domain):
            return Spf.NONE
        found = [text for text in await self.names.txt(domain) if _VERSION.match(text)]
        if not found:
            return Spf.NONE
        if len(found) > 1:
            raise _Bad
        record = _parse(found[0])
        for one in record.mechanisms:
            if await self._matches(one, domain):
                return one.verdict
        if record.redirect:
            self._count()
            verdict = await self.check(await self._expand(record.redirect, domain))
            if verdict is Spf.NONE:
                raise _Bad
            return verdict
        return Spf.NEUTRAL

    def _count(self) -> None:
        self.lookups += 1
        if self.lookups > _LOOKUPS_MOST:
            raise _Bad

    async def _ask(self, name: str, kind: str) -> tuple[str, ...]:
        """What a mechanism asks; answers without records are counted."""
        return self._counted(await self.names.ask(name, kind) if _is_name(name) else Found(exists=False))

    def _counted(self, found: Found) -> tuple[str, ...]:
        if not found.texts:
            self.void += 1
            if self.void > _VOID_MOST:
                raise _Bad
        return found.texts

    async def _matches(self, one: _Mechanism, domain: str) -> bool:
        """§5."""
        if one.name in {"all", "ip4", "ip6"}:
            return one.name == "all" or self.client in ipaddress.ip_network(one.spec, strict=False)
        self._count()
        target = await self._expand(one.spec, domain) if one.spec else domain
        match one.name:
            case "include":
                return await self._includes(target)
            case "a":
                return await self._has(target, one)
            case "mx":
                return await self._receives(target, one)
            case "exists":
                return bool(await self._ask(target, "A"))
        return any(_is_within(name, target) for name in await self._names_of_client())  # ptr

    async def _includes(self, target: str) -> bool:
        """§5.2."""
        verdict = await self.check(target)
        if verdict is Spf.NONE:
            raise _Bad
        return verdict is Spf.PASS

    async def _has(self, host: str, one: _Mechanism) -> bool:
        """Whether the client is one of the host's addresses, or in its network."""
        kind, prefix = ("A", one.prefix4) if self.client.version == 4 else ("AAAA", one.prefix6)
        found = await self._ask(host.rstrip("."), kind)
        return any(self.client in ipaddress.ip_network((text, prefix), strict=False) for text in found)

    async def _receives(self, target: str, one: _Mechanism) -> bool:
        """§5.4."""
        hosts = await self._ask(target, "MX")
        if len(hosts) > _NAMES_MOST:
            raise _Bad
        for host in hosts:
            if host != "." and await self._has(host, one):
                return True
        return False

    async def _names_of_client(self) -> tuple[str, ...]:
        """The names of the client that lead back to it; some of the first (§5.5)."""
        if self.validated is None:
            kind = "A" if self.client.version == 4 else "AAAA"
            try:
                names = self._counted(await self.names.names_of(str(self.client)))
                found = [name.rstrip(".").lower() for name in names]
            except NoIdea:
                found = []
            self.validated = tuple([name for name in found[:_NAMES_MOST] if await self._leads_back(name, kind)])
        return self.validated

    async def _leads_back(self, name: str, kind: str) -> bool:
        try:
            found = (await self.names.ask(name, kind)).texts
        except NoIdea:
            return False
        return any(self.client == ipaddress.ip_address(text) for text in found)

    async def _expand(self, spec: str, domain: str) -> str:
        """A domain-spec with its macros replaced (§7), shortened from the left to what a name may be."""
        values = self._values(domain)
        if "%{p" in spec.lower():
            names = await self._names_of_client()
            within = [name for name in names if _is_within(name, domain)]
            values["p"] = domain.lower() if domain.lower() in within else next(iter([*within, *names]), "unknown")
        expanded = _EXPAND.sub(lambda found: _replaced(found, values), spec).rstrip(".")
        while len(expanded) > _NAME_MOST and "." in expanded:
            expanded = expanded.partition(".")[2]
        return expanded

    def _values(self, domain: str) -> dict[str, str]:
        local, _, sender_domain = self.sender.rpartition("@")
        is_4 = self.client.version == 4
        nibbles = str(self.client) if is_4 else ".".join(self.client.exploded.replace(":", ""))
        return {
            "s": self.sender,
            "l": local,
            "o": sender_domain,
            "d": domain,
            "i": nibbles,
            "h": self.hello,
            "v": "in-addr" if is_4 else "ip6",
        }


def _replaced(found: re.Match[str], values: dict[str, str]) -> str:
    letter = found["letter"]
    if not letter:
        return {"%%": "%", "%_": " ", "%-": "%20"}[found[0]]
    value = values[letter.lower()]
    parts = re.split(f"[{re.escape(found['between'] or '.')}]", value)
    if found["reverse"]:
        parts.reverse()
    if found["digits"]:
        parts = parts[-int(found["digits"]) :]
    text = ".".join(parts)
    return urllib.parse.quote(text, safe="") if letter.isupper() else text


def _parse(record: bytes) -> _Record:
    """§4.6: all of it must be right, whatever matches first. Raises `_Bad`."""
    if len(record) > _RECORD_MOST or not record.isascii():
        raise _Bad
    terms = record.decode()[len("v=spf1") :].split(" ")
    mechanisms: list[_Mechanism] = []
    modifiers: dict[str, str] = {}
    for term in terms:
        if not term:
            continue
        modifier = _MODIFIER.fullmatch(term)
        if modifier is None:
            mechanisms.append(_mechanism(term))
            continue
        name, value = modifier[1].lower(), modifier[2]
        if name in {"redirect", "exp"}:
            if name in modifiers:
                raise _Bad
            _check_spec(value)
            modifiers[name] = value
        else:
            _check_macros(value)
    has_all = any(one.name == "all" for one in mechanisms)
    return _Record(tuple(mechanisms), "" if has_all else modifiers.get("redirect", ""))


def _mechanism(term: str) -> _Mechanism:
    found = _MECHANISM.fullmatch(term)
    if found is None:
        raise _Bad
    qualifier, name, spec, prefixes = found.groups()
    verdict, name = _QUALIFIERS[qualifier or "+"], name.lower()
    if name in {"ip4", "ip6"}:
        return _Mechanism(verdict, name, _network(name, spec, prefixes))
    if name == "all":
        if spec is not None or prefixes:
            raise _Bad
        return _Mechanism(verdict, name, "")
    if spec is not None:
        _check_spec(spec)
    elif name in {"include", "exists"}:
        raise _Bad
    if prefixes and name not in {"a", "mx"}:
        raise _Bad
    prefix4, prefix6 = _prefixes(prefixes)
    return _Mechanism(verdict, name, spec or "", prefix4, prefix6)


def _network(name: str, spec: str | None, prefixes: str) -> str:
    text = (spec or "") + prefixes
    if "%" in text or prefixes.startswith("//") or re.search(r"/0\d", text):
        raise _Bad
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise _Bad from None
    if network.version != int(name[-1]):
        raise _Bad
    return text


def _prefixes(text: str) -> tuple[int, int]:
    four, _, six = text.partition("//")
    four = four.removeprefix("/")
    if re.match(r"0\d", four) or re.match(r"0\d", six):
        raise _Bad
    prefix4, prefix6 = int(four or 32), int(six or 128)
    if prefix4 > 32 or prefix6 > 128:
        raise _Bad
    return prefix4, prefix6


def _check_macros(text: str) -> None:
    if not _LITERAL.fullmatch(_EXPAND.sub("", text)):
        raise _Bad


def _check_spec(spec: str) -> None:
    """A domain-spec: macros that may stand there, and a macro or a top-level label at the end. Raises `_Bad`."""
    _check_macros(spec)
    end = 0
    for found in _EXPAND.finditer(spec):
        # §7.3: c, r and t are for explanations only.
        if (found["letter"] or "").lower() in {"c", "r", "t"} or (found["digits"] and int(found["digits"]) == 0):
            raise _Bad
        end = found.end()
    _, dot, top = spec[end:].removesuffix(".").rpartition(".")
    if end < max(len(spec), 1) and not (dot and _TOP_LABEL.fullmatch(top)):
        raise _Bad


def _is_within(name: str, domain: str) -> bool:
    target = domain.rstrip(".").lower()
    return name == target or name.endswith(f".{target}")


def _is_domain(domain: str) -> bool:
    """§4.3: a name of at least two labels, none of them too long."""
    name = domain.removesuffix(".")
    return "." in name and _is_name(name)


def _is_name(name: str) -> bool:
    return len(name) <= _NAME_MOST and all(0 < len(label) <= _LABEL_MOST for label in name.split("."))


async def check(names: Names, *, client: Address, sender: str, hello: str) -> Spf:
    """Whether the client may send as the sender's domain, or, for the null sender, as what it calls itself (§2.4)."""
    if isinstance(client, ipaddress.IPv6Address) and client.ipv4_mapped is not None:
        client = client.ipv4_mapped
    local, _, domain = sender.rpartition("@")
    domain = domain or hello
    walk = _Walk(names, client, f"{local or 'postmaster'}@{domain}", hello)
    try:
        return await walk.check(domain)
    except _Bad:
        return Spf.PERMERROR
    except NoIdea:
        return Spf.TEMPERROR

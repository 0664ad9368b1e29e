# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the domain that readers see in From stands behind a mail, and what it wants done if not (DMARC, RFC 9989).

The organisational domain is found by walking up the DNS tree, as RFC 9989 §4.10 does it: no list of public suffixes.
"""

from __future__ import annotations

import contextlib
import enum
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mailroom.core.errors import InvalidAddress
from mailroom.delivery.checks.names import Names, NoIdea
from mailroom.directory.names import canonical_domain
from mailroom.mime import address, dkim, headers
from mailroom.mime.dkim import Bad

_LABELS_MOST = 8  # §4.10: a longer name is asked itself, and then from its last seven labels on
_AUTHORS_MOST = 5
_RECORD_MOST = 4096  # octets
# What anybody might take for a domain in a From that is not read in one way only.
_PLACE = re.compile(rb'@\s*+([^\x00-\x20\x7f"(),:;<>@\[\\\]]++)')
_VERSION = re.compile(rb"v\s*=\s*DMARC1\s*(?:;|\Z)")


class Dmarc(enum.StrEnum):
    """The verdict (RFC 8601 §2.7, as RFC 9989 has it)."""

    NONE = "none"
    PASS = "pass"  # noqa: S105 # a verdict
    FAIL = "fail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


class Wish(enum.StrEnum):
    """What a domain asks for when a mail fails (p=)."""

    NONE = "none"
    QUARANTINE = "quarantine"
    REJECT = "reject"


_LESS = {Wish.REJECT: Wish.QUARANTINE, Wish.QUARANTINE: Wish.NONE, Wish.NONE: Wish.NONE}
_STRICTNESS = list(Wish)


@dataclass(frozen=True, slots=True)
class Policy:
    """A DMARC record (§4.7)."""

    wish: Wish
    subdomains: Wish
    missing: Wish  # for subdomains that do not exist
    strict_dkim: bool = False
    strict_spf: bool = False
    psd: str = "u"  # y: a public suffix; n: an organisation's own; u: whichever


@dataclass(frozen=True, slots=True)
class Proven:
    """A domain that stands behind the mail."""

    domain: str
    by_dkim: bool


@dataclass(frozen=True, slots=True)
class Judgement:
    """What DMARC says of a mail, and what is to be done about it."""

    verdict: Dmarc
    domain: str = ""  # in From
    wish: Wish = Wish.NONE
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Walk:
    """The records from a name upwards, the longest name first."""

    records: tuple[tuple[str, Policy], ...]
    name: str

    @property
    def organisation(self) -> str:
        """The organisational domain (§4.10.2)."""
        for name, policy in self.records:
            if policy.psd == "n":
                return name
            if policy.psd == "y" and name != self.name:
                labels = self.name.split(".")
                return ".".join(labels[-(name.count(".") + 2) :])
        return self.records[-1][0] if self.records else self.name


async def judge(
    names: Names, *, authors: Sequence[str], proven: Iterable[Proven], unsure: Iterable[str] = ()
) -> Judgement:
    """What DMARC says. `authors` are the domains of From; `proven` those that SPF and signatures have shown; `unsure`
    those that they could not ask for: where such a one would do, a failure is an error that may pass.
    """
    if not authors:
        return Judgement(Dmarc.PERMERROR, reason="no author")
    if len(authors) > _AUTHORS_MOST:  # nobody writes so but to be hard to judge
        return Judgement(Dmarc.FAIL, authors[0], Wish.REJECT, "too many authors")
    shown, open_ = list(dict.fromkeys(proven)), list(dict.fromkeys(unsure))
    # §5.3.1: of several authors each must stand behind it; what the strictest of those wants that do not, counts.
    all_ = [await _judge_one(names, author, shown, open_) for author in authors]
    return min(all_, key=lambda one: (_ORDER.index(one.verdict), -_STRICTNESS.index(one.wish)))


_ORDER = [Dmarc.FAIL, Dmarc.TEMPERROR, Dmarc.PERMERROR, Dmarc.NONE, Dmarc.PASS]


async def _judge_one(names: Names, author: str, proven: Sequence[Proven], unsure: Sequence[str]) -> Judgement:
    try:
        walk = await _walk(names, author)
        found = _applied(walk)
        if found is None:
            return Judgement(Dmarc.NONE, author)
        place, policy = found
        for one in proven:
            strict = policy.strict_dkim if one.by_dkim else policy.strict_spf
            if await _aligned(names, walk, one.domain, strict=strict):
                return Judgement(Dmarc.PASS, author, policy.wish)
        for domain in unsure:
            if await _aligned(names, walk, domain, strict=False):
                raise NoIdea
        return Judgement(Dmarc.FAIL, author, await _wish(names, author, place, policy))
    except NoIdea:
        return Judgement(Dmarc.TEMPERROR, author, reason="no answer from the DNS")


def _applied(walk: _Walk) -> tuple[str, Policy] | None:
    """The record that counts, and where it stands: the author's, his organisation's, or his suffix's (§4.10.1)."""
    by_name = dict(walk.records)
    for name in (walk.name, walk.organisation):
        if name in by_name:
            return name, by_name[name]
    return next(((name, policy) for name, policy in walk.records if policy.psd == "y"), None)


async def _wish(names: Names, author: str, place: str, policy: Policy) -> Wish:
    if place == author:
        return policy.wish
    if policy.missing is not policy.subdomains and not await _exists(names, author):
        return policy.missing
    return policy.subdomains


async def _exists(names: Names, name: str) -> bool:
    """§4.7, np=: a name that has any address or mail host."""
    for kind in ("MX", "A", "AAAA"):
        if (await names.ask(name, kind)).texts:
            return True
    return False


async def _aligned(names: Names, walk: _Walk, proven: str, *, strict: bool) -> bool:
    """Whether a domain that was proven is the author's, or of the same organisation (§4.4)."""
    if proven == walk.name:
        return bool(proven)
    organisation = walk.organisation
    # Who is not below the author's organisation cannot be of it: no need to ask.
    if strict or not (proven == organisation or proven.endswith(f".{organisation}")):
        return False
    return (await _walk(names, proven)).organisation == organisation


async def _walk(names: Names, domain: str) -> _Walk:
    """§4.10. Raises `NoIdea`."""
    labels = domain.split(".")
    places = [domain, *(".".join(labels[-count:]) for count in range(min(len(labels), _LABELS_MOST) - 1, 0, -1))]
    found: list[tuple[str, Policy]] = []
    for place in places:
        policy = _policy(await names.txt(f"_dmarc.{place}"))
        if policy is not None:
            found.append((place, policy))
            if policy.psd != "u":
                break
    return _Walk(tuple(found), domain)


def _policy(records: Sequence[bytes]) -> Policy | None:
    """The record among those at a name; none if there is not exactly one, or it cannot be read (§4.8)."""
    ours = [record for record in records[:100] if len(record) <= _RECORD_MOST and _VERSION.match(record)]
    if len(ours) != 1:
        return None
    try:
        given = {name.lower(): value for name, value in dkim.tags(ours[0].decode("utf-8", "replace")).items()}
    except Bad:
        return None
    wish = _read_wish(given.get("p"))
    if wish is None:
        # §4.7: without a policy that can be read it asks for reports at most.
        if "rua" not in given:
            return None
        wish = Wish.NONE
    subdomains = _read_wish(given.get("sp")) or wish
    missing = _read_wish(given.get("np")) or subdomains
    # t=y asks to be spared; so does, for those who wrote RFC 7489's records, a pct= below all of them.
    if given.get("t", "n").lower() == "y" or _is_partial(given.get("pct", "100")):
        wish, subdomains, missing = _LESS[wish], _LESS[subdomains], _LESS[missing]
    psd = given.get("psd", "u").lower()
    return Policy(
        wish,
        subdomains,
        missing,
        strict_dkim=given.get("adkim", "r").lower() == "s",
        strict_spf=given.get("aspf", "r").lower() == "s",
        psd=psd if psd in {"y", "n"} else "u",
    )


def _read_wish(text: str | None) -> Wish | None:
    try:
        return Wish((text or "").lower())
    except ValueError:
        return None


def _is_partial(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 3 and int(text) < 100


def authors(fields: Iterable[bytes]) -> list[str]:
    """The domains of all From fields, each once, canonical; where readers may differ over who has written it, those of
    all whom they may find. What is none is left out: it must not spare the others.
    """
    found: dict[str, None] = {}
    for raw in fields:
        hosts = [one.host for one in address.mailboxes(address.parse(raw))]
        if address.is_ambiguous(raw) or any(host and not _PLACE.fullmatch(b"@" + host) for host in hosts):
            hosts += _PLACE.findall(headers.unfold(raw))
        for host in hosts:
            with contextlib.suppress(InvalidAddress):
                found[canonical_domain(host.decode("utf-8", "replace"))] = None
    return list(found)

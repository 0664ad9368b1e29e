# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Who stands behind a mail: SPF, DKIM, ARC and DMARC together, within bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from mailroom.core.clock import SECOND
from mailroom.core.errors import InvalidAddress
from mailroom.delivery.checks import dmarc, spf
from mailroom.delivery.checks.dmarc import Dmarc, Judgement, Proven
from mailroom.delivery.checks.names import Names, NoIdea
from mailroom.delivery.checks.results import Entry
from mailroom.delivery.checks.spf import Address, Spf
from mailroom.delivery.spool import SMALL, Spool
from mailroom.directory.names import canonical_domain
from mailroom.mime import arc, dkim
from mailroom.mime.arc import Chain
from mailroom.mime.dkim import Bad, Bodies, Code, Forms, Key, Result, Signature
from mailroom.mime.fields import Field

T = TypeVar("T")

# Seconds for SPF and all keys, and then for DMARC: names of a stranger that do not answer must not take the time that
# the domain in From is given.
_PATIENCE, _PATIENCE_DMARC = 3.0, 3.0
_PIECE = 1 << 20
_FEW = 5  # signatures that are reckoned on the spot


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail from outside, in a finished spool, and how it came."""

    client: Address
    hello: str
    sender: str  # "" is the null reverse-path
    spool: Spool
    body_start: int
    found: Sequence[Field]

    @property
    def identity(self) -> str:
        """The domain that SPF is asked about, canonical (RFC 7208 §2.4); "" where it is none."""
        try:
            return canonical_domain(self.sender.rpartition("@")[2] or self.hello)
        except InvalidAddress:
            return ""


@dataclass(frozen=True, slots=True)
class Origin:
    """What could be proven of a mail."""

    spf: Spf
    signatures: Sequence[Result]
    chain: Result | None  # of ARC; None: there is none
    dmarc: Judgement
    forwarded: bool  # DMARC fails, and a sealer that is trusted has seen it pass

    @property
    def stands(self) -> bool:
        """Whether From's domain stands behind it, as far as anybody can tell."""
        return self.dmarc.verdict is Dmarc.PASS or self.forwarded

    @property
    def is_forged(self) -> bool:
        """Whether it has signatures none of which is right, for sure."""
        codes = {one.code for one in self.signatures}
        return Code.FAIL in codes and not codes & {Code.PASS, Code.TEMPERROR}


async def prove(names: Names, mail: Mail, *, trusted: Sequence[str], now: int) -> Origin:
    """What can be proven of the mail. `trusted` are the ARC sealers that we believe; `now` in milliseconds."""
    until = asyncio.get_running_loop().time() + _PATIENCE
    asking = spf.check(names, client=mail.client, sender=mail.sender, hello=mail.hello)
    of_spf, (signatures, chain, result) = await asyncio.gather(
        _by(until, asking, Spf.TEMPERROR), _verify(names, mail, until, now // SECOND)
    )
    proven = [Proven(mail.identity, by_dkim=False)] if of_spf is Spf.PASS else []
    proven += [Proven(one.domain, by_dkim=True) for one in _with(signatures, Code.PASS)]
    unsure = [one.domain for one in _with(signatures, Code.TEMPERROR)]
    unsure += [mail.identity] if of_spf is Spf.TEMPERROR else []
    authors = dmarc.authors(one.value for one in mail.found if one.name == b"from")
    judged = await _by(
        asyncio.get_running_loop().time() + _PATIENCE_DMARC,
        dmarc.judge(names, authors=authors, proven=proven, unsure=unsure),
        Judgement(Dmarc.TEMPERROR, next(iter(authors), ""), reason="no answer in time"),
    )
    is_whole = result is not None and result.code is Code.PASS
    vouched = is_whole and chain is not None and chain.sealer in trusted and chain.saw_pass("dmarc")
    return Origin(of_spf, signatures, result, judged, forwarded=vouched and judged.verdict is Dmarc.FAIL)


def _with(signatures: Sequence[Result], code: Code) -> list[Signature]:
    return [one.signature for one in signatures if one.code is code and one.signature is not None]


async def _verify(
    names: Names, mail: Mail, until: float, now: int
) -> tuple[Sequence[Result], Chain | None, Result | None]:
    """The results of all signatures, ARC's chain, and the result of that."""
    parsed, chain = dkim.signatures(mail.found), arc.chain(mail.found)
    wanted = [one for one in parsed if isinstance(one, Signature)]
    if isinstance(chain, Chain):
        wanted += chain.signatures
    places = list(dict.fromkeys(one.key_name for one in wanted))
    keys = dict(zip(places, await asyncio.gather(*(_key(names, place, until) for place in places)), strict=True))
    reckoning = _Reckoning(mail, parsed, chain, keys, now)
    if not wanted or (mail.spool.size <= SMALL and len(wanted) <= _FEW):
        signatures, result = reckoning.run()
    else:  # it may take long: let the others talk meanwhile
        signatures, result = await asyncio.to_thread(reckoning.run)
    return signatures, chain if isinstance(chain, Chain) else None, result


async def _key(names: Names, place: str, until: float) -> Key | Bad:
    try:
        async with asyncio.timeout_at(until):
            records = await names.txt(place)
    except (NoIdea, TimeoutError):
        return Bad("no answer from the DNS", Code.TEMPERROR)
    try:
        return dkim.key(records)
    except Bad as bad:
        return bad


async def _by(until: float, work: Awaitable[T], otherwise: T) -> T:
    """The result, or what stands for it when the time is up."""
    try:
        async with asyncio.timeout_at(until):
            return await work
    except TimeoutError:
        return otherwise


@dataclass(frozen=True, slots=True)
class _Reckoning:
    """The part that is mathematics: it may run in a thread."""

    mail: Mail
    parsed: Sequence[Signature | Result]
    chain: Chain | Result | None
    keys: Mapping[str, Key | Bad]
    now: int

    def run(self) -> tuple[Sequence[Result], Result | None]:
        """The results of the signatures, and of the chain."""
        bodies = Bodies(one for one in self.parsed if isinstance(one, Signature))
        if isinstance(self.chain, Chain):
            bodies.want(self.chain.newest.body_canon, self.chain.newest.length)
        spool = self.mail.spool
        for start in range(self.mail.body_start, spool.size if bodies.wanted else 0, _PIECE):
            bodies.feed(spool.read(start, min(start + _PIECE, spool.size)))
        bodies.finish()
        forms = Forms(self.mail.found)
        signatures = [self._one(one, forms, bodies) for one in self.parsed]
        if not isinstance(self.chain, Chain):
            return signatures, self.chain
        return signatures, arc.verify(self.chain, self.keys, forms=forms, bodies=bodies, now=self.now)

    def _one(self, one: Signature | Result, forms: Forms, bodies: Bodies) -> Result:
        if isinstance(one, Result):
            return one
        key = self.keys[one.key_name]
        if isinstance(key, Bad):
            return Result(key.code, key.reason, one)
        return dkim.verify(one, key, forms=forms, bodies=bodies, now=self.now)


def entries(mail: Mail, origin: Origin) -> list[Entry]:
    """What was found out, for Authentication-Results."""
    about = ("smtp.mailfrom", mail.sender) if mail.sender else ("smtp.helo", mail.hello)
    said = [Entry("spf", origin.spf.value, about=[about])]
    said += [_dkim_entry(one) for one in origin.signatures] or [Entry("dkim", "none")]
    judged = origin.dmarc
    reason = judged.reason
    if judged.verdict is Dmarc.FAIL and not reason:
        reason = f"p={judged.wish.value}" + (", passed before it was forwarded" if origin.forwarded else "")
    said.append(Entry("dmarc", judged.verdict.value, reason, [("header.from", judged.domain)]))
    if origin.chain is not None:
        said.append(Entry("arc", origin.chain.code.value, origin.chain.reason))
    return said


def _dkim_entry(one: Result) -> Entry:
    made = one.signature
    if made is None:
        return Entry("dkim", one.code.value, one.reason)
    about = [
        ("header.d", made.domain),
        ("header.s", made.selector),
        ("header.a", made.algorithm),
        ("header.b", made.shortened),
    ]
    return Entry("dkim", one.code.value, one.reason, about)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The judge: what becomes of a mail from outside, by who brings it, who stands behind it, and what is in it.

The checks run at once, outside any transaction, and within bounded time. Each of them may be without an answer: then
Authentication-Results says so, and no mail is lost for it.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mailroom.core.errors import ComeAgain, PolicyRefused
from mailroom.core.settings import Network
from mailroom.delivery.checks import blocklists, greylist, origin, results, scanners
from mailroom.delivery.checks.dmarc import Dmarc, Wish
from mailroom.delivery.checks.names import Names
from mailroom.delivery.checks.origin import Mail, Origin
from mailroom.delivery.checks.scanners import Advice, Opinion, Post
from mailroom.delivery.checks.spf import Address, Spf
from mailroom.delivery.rewrite import Span
from mailroom.delivery.spool import Spool
from mailroom.directory import policies
from mailroom.mime import fields
from mailroom.mime.scan import Part
from mailroom.storage.ports import Store

_LATER = 300  # seconds
_RECIPIENTS_MOST = 100  # that rspamd is told
_SPAM_MARKS = (b"x-spam", b"x-spam-score")

_FINE: Final = Opinion(Advice.ACCEPT)
_DONE = {"none": Advice.ACCEPT, "junk": Advice.JUNK, "refuse": Advice.REFUSE}
_WISHED = {Wish.NONE: Advice.ACCEPT, Wish.QUARANTINE: Advice.JUNK, Wish.REJECT: Advice.REFUSE}


@dataclass(frozen=True, slots=True)
class Client:
    """Who brings a mail: its address, and what it calls itself."""

    host: str
    hello: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a mail that is taken: fields to put before its header, octets of the header that go, whether it
    is junk, and whether its envelope's sender is told what became of it: somebody forged has sent nothing.
    """

    prefix: bytes = b""
    cuts: tuple[Span, ...] = ()
    junk: bool = False
    is_reported: bool = True


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges mail from outside. `post` reaches the administrator's own services."""

    store: Store
    names: Names
    hostname: str
    trusted: tuple[Network, ...]
    post: Post

    def trusts(self, client: Client | None) -> bool:
        """Whether the client comes from a network whose mail is not judged."""
        return client is not None and self._stranger(client) is None

    async def admit(self, client: Client | None, *, sender: str, recipient: str) -> None:
        """Let the client name this recipient. Raises `PolicyRefused`, `ComeAgain`, `Unavailable`."""
        address = self._stranger(client)
        if address is None:
            return
        rules = await self.store.read(policies.shown)
        if zone := await blocklists.listed(self.names, address, policies.items(rules["check.dnsbl"])):
            raise PolicyRefused(reason=f"{address} is listed by {zone}")
        if rules["check.greylist"] == policies.YES:
            await greylist.ask(self.store, address, sender=sender, recipient=recipient)

    async def judge(
        self, client: Client | None, spool: Spool, part: Part, *, sender: str, recipients: Sequence[str]
    ) -> Verdict:
        """What becomes of the finished spool's mail. Raises `PolicyRefused`, `ComeAgain`, `Unavailable`."""
        address = self._stranger(client)
        if client is None or address is None:
            return Verdict()
        if part.body_start > len(part.header):  # more than the scanner keeps, and than anybody means well with
            raise PolicyRefused(reason="its header is too large")
        mail = Mail(address, client.hello, sender, spool, part.body_start, fields.split(part.header))
        rules, now = await self.store.read(lambda tx: (policies.shown(tx), tx.now))
        found, spam, virus = await asyncio.gather(
            origin.prove(self.names, mail, trusted=policies.items(rules["check.arc_trusted"]), now=now),
            self._ask_rspamd(mail, recipients, rules["check.rspamd"]),
            _ask_clamd(mail, rules["check.clamav"]),
        )
        if rules["check.down"] == "later" and (spam is None or virus is None):
            raise ComeAgain(seconds=_LATER)
        opinions = [*_opinions(rules, found), spam or _FINE, virus or _FINE]
        worst = max(opinions, key=lambda one: one.advice.value)
        if worst.advice is Advice.REFUSE:
            raise PolicyRefused(reason=worst.reason)
        if worst.advice is Advice.LATER:
            raise ComeAgain(seconds=_LATER)
        said = results.field(self.hostname, origin.entries(mail, found))
        marks = _SPAM_MARKS if rules["check.rspamd"] else ()
        cuts = [
            (one.start, one.end) for one in mail.found if results.is_forged(one, self.hostname) or one.name in marks
        ]
        prefix = said + b"".join(one.fields for one in opinions)
        is_junk = worst.advice is Advice.JUNK
        return Verdict(prefix, tuple(cuts), junk=is_junk, is_reported=not is_junk and _is_sender_proven(mail, found))

    def _stranger(self, client: Client | None) -> Address | None:
        """The client's address, if mail from there is judged at all."""
        try:
            address = ipaddress.ip_address(client.host.partition("%")[0]) if client else None
        except ValueError:  # a local socket
            return None
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return None if address is None or any(address in one for one in self.trusted) else address

    async def _ask_rspamd(self, mail: Mail, recipients: Sequence[str], url: str) -> Opinion | None:
        if not url:
            return _FINE
        about = {
            "IP": str(mail.client),
            "Helo": mail.hello,
            "From": mail.sender,
            "Rcpt": ",".join(recipients[:_RECIPIENTS_MOST]),
            "MTA-Name": self.hostname,
        }
        return await scanners.rspamd(self.post, url, mail.spool, about=about)


async def _ask_clamd(mail: Mail, place: str) -> Opinion | None:
    return await scanners.clamd(place, mail.spool) if place else _FINE


def _is_sender_proven(mail: Mail, found: Origin) -> bool:
    """Whether the envelope's sender is no forgery."""
    is_author = found.dmarc.verdict is Dmarc.PASS and found.dmarc.domain == mail.identity
    return found.spf is Spf.PASS or is_author


def _opinions(rules: Mapping[str, str], found: Origin) -> list[Opinion]:
    """What the administrator has decided for what was found. Behind whom From's domain stands, that is forgiven SPF and
    signatures that broke on the way.
    """
    opinions: list[Opinion] = []
    if found.stands:
        return opinions
    if found.dmarc.verdict is Dmarc.FAIL:
        rule = rules["check.dmarc_fail"]
        advice = _WISHED[found.dmarc.wish] if rule == "published" else _DONE[rule]
        opinions.append(Opinion(advice, f"{found.dmarc.domain} does not stand behind it (DMARC)"))
    if found.spf is Spf.FAIL:
        opinions.append(Opinion(_DONE[rules["check.spf_fail"]], "its sender's domain forbids this host (SPF)"))
    if found.is_forged:
        opinions.append(Opinion(_DONE[rules["check.dkim_fail"]], "its signature is wrong (DKIM)"))
    return opinions

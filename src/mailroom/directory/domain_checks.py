# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Looking at what the DNS says of our domains: when somebody asks, and by itself when a look is due."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import dns.asyncresolver

from mailroom.core.clock import MINUTE
from mailroom.core.errors import NameTaken, NotFound
from mailroom.core.settings import Settings
from mailroom.directory import domains, policies, proof, queries, setup
from mailroom.directory.dkim_keys import DkimKey, DkimKeys, KeyState
from mailroom.directory.dns_records import Compared, DnsRecord, Purpose, compare
from mailroom.directory.domains import Look
from mailroom.directory.model import SYSTEM, Actor, Domain
from mailroom.storage.ports import Store

_AT_ONCE: Final = 20
_PUT_OFF: Final = 5 * MINUTE  # until another process looks, should we die meanwhile


@dataclass(frozen=True, slots=True)
class DomainChecks:
    """Looks at the records of domains, and writes down what they show."""

    store: Store
    keys: DkimKeys
    names: dns.asyncresolver.Resolver
    settings: Settings

    async def wanted(self, name: str) -> Sequence[DnsRecord]:
        """The records that the domain is to have. Raises `NotFound`."""
        keys = await self.keys.ensure(name)
        mode = await self.store.read(lambda tx: policies.get(tx, "mta_sts"))
        return records(keys[0].domain, self.settings, keys, mta_sts=mode)

    async def compare(self, wanted: Sequence[DnsRecord]) -> list[Compared]:
        """What the DNS has in the place of each record."""
        return await compare(self.names, wanted)

    async def check(self, by: Actor, name: str) -> Look:
        """Look now. Raises `NotFound`, `NoPermission`; `NameTaken` where another organisation has proven it before."""
        domain = await self.store.write(lambda tx: domains.verify(tx, by, name))
        return await self._look(by, domain)

    async def due(self) -> int:
        """Look at the domains whose time has come; how many there were."""
        found = await self.store.read(lambda tx: queries.domains.due(tx, _AT_ONCE))
        await asyncio.gather(*(self._look_if_due(domain) for domain in found))
        return len(found)

    async def _look_if_due(self, domain: Domain) -> None:
        if await self.store.write(lambda tx: queries.domains.put_off(tx, domain.id, tx.now + _PUT_OFF)):
            try:
                await self._look(SYSTEM, domain)
            except (NotFound, NameTaken):  # removed, or lost to another organisation, meanwhile: it waits to be asked
                return

    async def _look(self, by: Actor, domain: Domain) -> Look:
        ours = self.settings.mx_hosts or (self.settings.hostname,)
        found, compared = await asyncio.gather(
            proof.look(self.names, domain.name, ours=ours), compare(self.names, await self.wanted(domain.name))
        )
        resolver = self.settings.resolver or " ".join(map(str, self.names.nameservers))
        note = partial(domains.note, by=by, name=domain.name, proof_=found, records=compared, resolver=resolver)
        await self.store.write(note)
        return await self.store.read(lambda tx: domains.look(tx, domain.name))


def records(name: str, settings: Settings, keys: Sequence[DkimKey], *, mta_sts: str) -> list[DnsRecord]:
    """The records that bring a domain's mail here, tell others that we may send as it, what signs it, and where mail
    programs find us.
    """
    hosts = settings.mx_hosts or (settings.hostname,)
    return [
        *(DnsRecord(Purpose.MX, "MX", name, f"{10 * place} {host}.") for place, host in enumerate(hosts, 1)),
        DnsRecord(Purpose.SPF, "TXT", name, "v=spf1 mx ~all"),
        *(DnsRecord(Purpose.DKIM, "TXT", key.name, key.record) for key in keys if key.state is not KeyState.RETIRED),
        DnsRecord(Purpose.DMARC, "TXT", f"_dmarc.{name}", f"v=DMARC1; p=none; rua=mailto:postmaster@{name}"),
        DnsRecord(Purpose.MTA_STS, "TXT", f"_mta-sts.{name}", setup.sts_record(settings, mta_sts)),
        DnsRecord(Purpose.TLS_RPT, "TXT", f"_smtp._tls.{name}", f"v=TLSRPTv1; rua=mailto:postmaster@{name}"),
        *(DnsRecord(Purpose.SETUP, "SRV", place, value) for place, value in setup.srv_records(name, settings)),
        *(
            DnsRecord(Purpose.SETUP, "CNAME", f"{host}.{name}", f"{setup.web_host(settings)}.")
            for host in ("autoconfig", "autodiscover", "mta-sts")
        ),
    ]

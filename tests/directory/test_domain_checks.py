# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Looks at a domain's records against a real name server on loopback: what they change, what they show, who hears."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from mailroom.core.clock import DAY, HOUR, MINUTE
from mailroom.core.errors import InvalidValue, NoPermission, NotFound
from mailroom.core.settings import Settings
from mailroom.directory import audit, domains, queries, rights
from mailroom.directory.dkim_keys import DkimKeys
from mailroom.directory.dns_records import Compared, DnsRecord, Purpose, Verdict, compare
from mailroom.directory.domain_checks import DomainChecks
from mailroom.directory.domains import Look
from mailroom.directory.model import SYSTEM, DomainState
from mailroom.directory.proof import Finding
from mailroom.events import outbox
from mailroom.events.facts import DomainAbnormal
from mailroom.storage.ports import Store, Tx
from mailroom.storage.seal import Seal
from tests import dns, make

NAME = "shop.example"
HOST = "mx.mail.example"


@dataclass(frozen=True, slots=True)
class Town:
    """A store with the domain `shop.example`, pending, and the name server that knows of it."""

    store: Store
    names: dns.Names
    checks: DomainChecks
    organisation: make.Organisation

    async def check(self) -> Look:
        return await self.checks.check(SYSTEM, NAME)

    async def look(self) -> Look:
        return await self.store.read(lambda tx: domains.look(tx, NAME))

    async def facts(self) -> list[Any]:
        claimed = await self.store.write(lambda tx: outbox.claim(tx, lease="test", until=tx.now + DAY, limit=10))
        return [one.fact for one in claimed]


@pytest.fixture
async def town(store: Store, tmp_path: Path) -> AsyncIterator[Town]:
    organisation = await make.organisation(store)
    await store.write(lambda tx: domains.add(tx, SYSTEM, organisation.id, NAME))
    settings = Settings(hostname=HOST, mx_hosts=(HOST,))
    async with dns.serving() as names:
        keys = DkimKeys(store, Seal.open(tmp_path / "key"))
        yield Town(store, names, DomainChecks(store, keys, names.resolver, settings), organisation)


async def test_a_domain_is_proven_by_its_mx_records(town: Town) -> None:
    town.names.put(NAME, "MX", f"10 {HOST}.")
    look = await town.check()
    assert (look.domain.state, look.finding, look.hosts) == (DomainState.ACTIVE, Finding.PROVEN, (HOST,))
    assert look.checked_at is not None
    assert look.resolver
    assert await town.look() == look
    actions = [one.action for one in await town.store.read(lambda tx: audit.entries(tx, before=1 << 60, limit=9))]
    assert actions[:3] == ["domain.check", "domain.verify", "domain.add"]


async def test_each_fault_of_the_records_is_told_apart(town: Town) -> None:
    town.names.put(NAME, "TXT", '"nothing"')
    assert (await town.check()).finding is Finding.NO_MX
    town.names.put(NAME, "MX", f"10 {HOST}.", "20 mx.elsewhere.example.")
    look = await town.check()
    assert (look.finding, look.foreign) == (Finding.FOREIGN_MX, ("mx.elsewhere.example",))
    assert "mx.elsewhere.example" in look.reason("zh")
    town.names.drop(NAME)
    assert (await town.check()).finding is Finding.NO_DOMAIN
    town.names.broken.add(NAME)
    assert (await town.check()).finding is Finding.BROKEN
    town.names.silent.add(NAME)
    look = await town.check()
    assert (look.finding, look.domain.state) == (Finding.NO_ANSWER, DomainState.VERIFYING)
    assert look.standing.check_at == (look.checked_at or 0) + 10 * MINUTE


async def test_a_domain_that_is_looked_at_is_proven_once_its_records_are_there(town: Town) -> None:
    await town.store.write(lambda tx: domains.verify(tx, SYSTEM, NAME))
    assert await town.checks.due() == 1
    assert (await town.look()).domain.state is DomainState.VERIFYING
    assert await town.checks.due() == 0
    town.names.put(NAME, "MX", f"10 {HOST}.")
    await _due_now(town)
    assert await town.checks.due() == 1
    assert (await town.look()).domain.state is DomainState.ACTIVE


async def _due_now(town: Town) -> None:
    """As if the time of the next look had come: asking for one is that."""
    await town.store.write(lambda tx: domains.verify(tx, SYSTEM, NAME))


async def test_a_domain_that_works_fails_for_a_day_before_anybody_is_told_and_works_on(town: Town) -> None:
    town.names.put(NAME, "MX", f"10 {HOST}.")
    await town.check()
    town.names.put(NAME, "MX", "10 mx.elsewhere.example.")
    assert (await town.check()).domain.state is DomainState.ACTIVE
    await town.check()

    def long_ago(tx: Tx) -> None:
        domain_id = domains.get(tx, NAME).id
        standing = queries.domains.standing(tx, domain_id)
        queries.domains.stand(tx, domain_id, replace(standing, failing_since=tx.now - DAY))

    await town.store.write(long_ago)
    look = await town.check()
    assert look.domain.state is DomainState.ABNORMAL
    assert look.domain.state.works
    assert look.standing.check_at == (look.checked_at or 0) + HOUR
    assert await town.facts() == [
        DomainAbnormal(name=NAME, finding=Finding.FOREIGN_MX.value, foreign="mx.elsewhere.example")
    ]
    await town.check()
    assert await town.facts() == []  # told once
    town.names.put(NAME, "MX", f"10 {HOST}.")
    assert (await town.check()).domain.state is DomainState.ACTIVE


async def test_a_disabled_domain_is_not_looked_at_and_an_enabled_one_at_once(town: Town) -> None:
    town.names.put(NAME, "MX", f"10 {HOST}.")
    await town.check()
    await town.store.write(lambda tx: domains.disable(tx, SYSTEM, NAME))
    assert await town.checks.due() == 0
    assert (await town.check()).domain.state is DomainState.DISABLED
    await town.store.write(lambda tx: domains.enable(tx, SYSTEM, NAME))
    assert await town.checks.due() == 1
    assert (await town.look()).domain.state is DomainState.ACTIVE


async def test_a_domain_that_was_removed_while_it_was_looked_at_is_gone(town: Town) -> None:
    await town.store.write(lambda tx: domains.verify(tx, SYSTEM, NAME))
    await town.store.write(lambda tx: domains.remove(tx, SYSTEM, NAME))
    assert await town.checks.due() == 0
    with pytest.raises(NotFound):
        await town.check()


async def test_only_who_administers_a_domain_may_have_it_looked_at(town: Town) -> None:
    def asks(tx: Tx, userid: str) -> None:
        domains.verify(tx, rights.of(tx, town.organisation.members[userid]), NAME)

    with pytest.raises(NoPermission):
        await town.store.write(lambda tx: asks(tx, "bob"))
    bob = town.organisation.members["bob"]
    await town.store.write(lambda tx: rights.administer(tx, bob, [domains.get(tx, NAME)]))
    await town.store.write(lambda tx: asks(tx, "bob"))
    await town.store.write(lambda tx: asks(tx, "amy"))
    await town.store.write(lambda tx: domains.remove(tx, SYSTEM, NAME))  # and his office goes with it


async def test_the_host_of_a_web_site_is_no_mail_domain(town: Town) -> None:
    with pytest.raises(InvalidValue, match="leave out www"):
        await town.store.write(lambda tx: domains.add(tx, SYSTEM, town.organisation.id, "www.corp.example"))


async def test_every_record_to_set_is_compared_with_the_dns(town: Town) -> None:
    wanted = await town.checks.wanted(NAME)
    look = await town.check()
    assert [one.record for one in look.records] == list(wanted)
    assert {one.verdict for one in look.records} == {Verdict.MISSING}
    for record in wanted:
        value = f'"{record.value[:200]}" "{record.value[200:]}"' if record.type == "TXT" else record.value
        kept = town.names.records.get(record.name, {}).get(record.type, [])
        town.names.put(record.name, record.type, *kept, value)
    look = await town.check()
    assert {one.verdict for one in look.records} == {Verdict.GOOD}
    assert {one.record.purpose for one in look.records} >= {Purpose.MX, Purpose.SPF, Purpose.DKIM, Purpose.DMARC}


@pytest.mark.parametrize(
    ("record", "there", "verdict"),
    [
        (DnsRecord(Purpose.SPF, "TXT", NAME, "v=spf1 mx ~all"), ['"v=spf1 ip4:1.2.3.4 MX -all"'], Verdict.GOOD),
        (DnsRecord(Purpose.SPF, "TXT", NAME, "v=spf1 mx ~all"), ['"v=spf1 -mx ~all"'], Verdict.DIFFERENT),
        (DnsRecord(Purpose.SPF, "TXT", NAME, "v=spf1 mx ~all"), ['"v=spf1 -all"'], Verdict.DIFFERENT),
        (DnsRecord(Purpose.SPF, "TXT", NAME, "v=spf1 mx ~all"), ['"v=spf1 mx"', '"v=spf1 mx -all"'], Verdict.DIFFERENT),
        (DnsRecord(Purpose.SPF, "TXT", NAME, "v=spf1 mx ~all"), ['"other"'], Verdict.MISSING),
        (DnsRecord(Purpose.DKIM, "TXT", NAME, "v=DKIM1; k=rsa; p=AAAA"), ['"p=AA AA; k=rsa"'], Verdict.GOOD),
        (DnsRecord(Purpose.DKIM, "TXT", NAME, "v=DKIM1; k=rsa; p=AAAA"), ['"k=rsa; p=BBBB"'], Verdict.DIFFERENT),
        (DnsRecord(Purpose.DMARC, "TXT", NAME, "v=DMARC1; p=none"), ['"v=DMARC1; p=reject"'], Verdict.GOOD),
        (DnsRecord(Purpose.MTA_STS, "TXT", NAME, "v=STSv1; id=1"), ['"v=STSv1;id=1;"'], Verdict.GOOD),
        (DnsRecord(Purpose.MTA_STS, "TXT", NAME, "v=STSv1; id=1"), ['"v=STSv1; id=2"'], Verdict.DIFFERENT),
        (DnsRecord(Purpose.MX, "MX", NAME, "10 mx.a.test."), ["77 MX.a.test."], Verdict.GOOD),
        (DnsRecord(Purpose.MX, "MX", NAME, "10 mx.a.test."), ["10 mx.b.test."], Verdict.DIFFERENT),
        (DnsRecord(Purpose.SETUP, "SRV", NAME, "0 1 993 mail.a.test."), ["5 9 993 mail.a.test."], Verdict.GOOD),
        (DnsRecord(Purpose.SETUP, "SRV", NAME, "0 1 993 mail.a.test."), ["0 1 143 mail.a.test."], Verdict.DIFFERENT),
        (DnsRecord(Purpose.SETUP, "CNAME", NAME, "mail.a.test."), ["mail.a.test."], Verdict.GOOD),
    ],
)
async def test_a_record_is_good_when_it_does_what_ours_would(
    record: DnsRecord, there: list[str], verdict: Verdict
) -> None:
    async with dns.serving() as names:
        names.put(NAME, record.type, *there)
        [compared] = await compare(names.resolver, [record])
        assert compared.verdict is verdict
        assert Compared.from_json(compared.to_json()) == compared
        names.silent.add(NAME)
        [compared] = await compare(names.resolver, [record])
        assert compared.verdict is Verdict.UNKNOWN

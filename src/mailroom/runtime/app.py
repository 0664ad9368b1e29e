# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The house, put together from the settings: what every verb of the command line and every server works with."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import random
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import dns.asyncresolver
import dns.flags
import dns.resolver

from mailroom.core import clock, ids
from mailroom.core.errors import InvalidValue, NoSpace
from mailroom.core.ids import ContentId
from mailroom.core.settings import Settings
from mailroom.delivery import outgoing
from mailroom.delivery.accept import Acceptance
from mailroom.delivery.answers import Writer
from mailroom.delivery.checks.names import Names
from mailroom.delivery.judge import Judge
from mailroom.delivery.letters import Letters
from mailroom.delivery.posting import Posting
from mailroom.delivery.returns import Returns
from mailroom.delivery.signing import Signer
from mailroom.delivery.srs import Srs
from mailroom.delivery.sts_policies import StsPolicies
from mailroom.delivery.submit import Submission
from mailroom.directory import credentials, proof
from mailroom.directory.brake import Brake
from mailroom.directory.clients import ClientPasswords
from mailroom.directory.credentials import Passwords
from mailroom.directory.dkim_keys import DkimKeys
from mailroom.directory.domain_checks import DomainChecks
from mailroom.directory.logins import Logins
from mailroom.mailboxes import backup, export, offboard, purge
from mailroom.mailboxes.backup import Backups
from mailroom.mailboxes.contents import Bodies
from mailroom.mailboxes.export import Exports
from mailroom.mailboxes.offboard import Offboard
from mailroom.mailboxes.purge import Purge
from mailroom.messaging import senders as senders_
from mailroom.messaging.dispatch import Dispatch
from mailroom.messaging.inquiries import Inquiries
from mailroom.messaging.model import Origin
from mailroom.messaging.senders import Senders
from mailroom.messaging.tokens import SharedTokens
from mailroom.notify import calls, compose
from mailroom.notify.alarms import Alarms
from mailroom.notify.compose import Composer
from mailroom.notify.linking import Linking
from mailroom.notify.owners import Owners
from mailroom.notify.settings import NotifySettings
from mailroom.notify.trials import Trials
from mailroom.runtime import reactions
from mailroom.runtime.introspection import Introspection
from mailroom.runtime.scanning import OwnServices
from mailroom.runtime.workers import Bin, Collect, Delays, Publish, React, Watch, Work
from mailroom.senders.catalogue import open_kinds
from mailroom.senders.contract import Event, Heard, Mails, Reply, SenderKind, Tools
from mailroom.senders.egress import Egress
from mailroom.senders.http import Http, Resolver
from mailroom.storage.engines import open_blobs, open_store
from mailroom.storage.ports import Store, Tx
from mailroom.storage.seal import Seal


@dataclass(frozen=True, slots=True)
class App:
    """Engines and use cases. It holds nothing that must not be lost."""

    settings: Settings
    seal: Seal
    store: Store
    bodies: Bodies
    passwords: Passwords
    logins: Logins
    client_passwords: ClientPasswords
    senders: Senders
    notify: NotifySettings
    trials: Trials
    linking: Linking
    letters: Letters
    dkim_keys: DkimKeys
    signer: Signer
    posting: Posting
    acceptance: Acceptance
    submission: Submission
    dispatch: Dispatch
    react: React
    inquiries: Inquiries
    delays: Delays
    publish: Publish
    collect: Collect
    exports: Exports
    work: Work
    checks: DomainChecks
    watch: Watch
    bin: Bin


@contextlib.asynccontextmanager
async def open_app(settings: Settings) -> AsyncIterator[App]:
    """Open the store (made and migrated if need be), and close it at the end. Raises `InvalidValue`, `Unavailable`,
    `NoSpace`.
    """
    try:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        spools = settings.data / "incoming"
        spools.mkdir(mode=0o700, exist_ok=True)
        (settings.data / "exports").mkdir(mode=0o700, exist_ok=True)
    except OSError as fault:
        if fault.errno == errno.ENOSPC:
            raise NoSpace from fault
        raise InvalidValue(name="data", reason=str(fault)) from fault
    names = _resolver(settings)
    blobs = open_blobs(settings.blobs_url)
    store = open_store(settings.database_url)
    egress = Egress(settings.egress.allow)
    http = Http(egress, Resolver(names) if settings.resolver else None)
    trust = ssl.create_default_context()
    policy_http = Http(egress, Resolver(names), trust)
    bodies = Bodies(store, blobs)
    own_services = OwnServices()
    mails = Mails(
        octets=lambda number: bodies.read(ContentId(number)),
        resolver=_resolver(settings),
        http=policy_http,
        validates=_validates(names, settings),
        policies=StsPolicies(store),
        trust=trust,
        hostname=settings.hostname,
        names=frozenset(name.lower() for name in settings.mx_hosts),
        port=settings.mx_port,
        sts_port=settings.sts_port,
    )
    kinds: Mapping[str, SenderKind] = {}
    try:
        seal = _open_seal(settings.data / "secret.key", *await store.read(_sealed))
        kinds = open_kinds(Tools(http, mails, SharedTokens(store, seal, clock.now), partial(_report, store)))
        senders = Senders(kinds, seal)
        await outgoing.use(store, senders, settings.smarthost)
        passwords = Passwords()
        dkim_keys = DkimKeys(store, seal)
        checks = DomainChecks(store, dkim_keys, _resolver(settings), settings)
        letters = Letters(bodies, spools, settings.hostname, ids.new, settings.limits.disk_reserve)
        exports = Exports(store, bodies, settings.data / "exports", settings.limits.disk_reserve)
        # Names of its own: it remembers answers.
        judge = Judge(store, Names(_resolver(settings)), settings.hostname, settings.trusted, own_services.post)
        signer = Signer(dkim_keys)
        writer = Writer(settings.hostname, ids.new, signer.sign_ours)
        posting = Posting(Srs(seal.derive("srs")), writer, seal.derive("X-Loop"))
        returns = Returns(settings.hostname, posting)
        alarms = Alarms(settings.hostname)
        public_url = settings.public_url.rstrip("/")
        composer = Composer(public_url, seal.derive(compose.CODES))
        yield App(
            settings=settings,
            seal=seal,
            store=store,
            bodies=bodies,
            passwords=passwords,
            logins=Logins(
                store,
                passwords,
                seal,
                Brake(store),
                clock.now,
                introspect=Introspection(http, settings.oauth) if settings.oauth.introspection else None,
            ),
            client_passwords=ClientPasswords(store, passwords, seal),
            senders=senders,
            notify=NotifySettings(senders),
            trials=Trials(store, senders, clock.now, ids.new),
            linking=Linking(store, senders, seal, public_url, clock.now, ids.new),
            letters=letters,
            dkim_keys=dkim_keys,
            signer=signer,
            posting=posting,
            acceptance=Acceptance(store, letters, posting, returns, judge),
            submission=Submission(store, letters, posting, returns, signer, settings.limits),
            dispatch=Dispatch(
                store=store,
                senders=senders,
                clock=clock.now,
                new_id=ids.new,
                chance=random.random,
                over=outgoing.release,
                prepare={
                    Origin.MAIL: outgoing.prepare,
                    Origin.NOTICE: composer.notices,
                    Origin.CODE: composer.codes,
                },
            ),
            react=React(
                store,
                reactions.table(alarms=alarms, owners=Owners(settings.hostname), returns=returns),
                ids.new,
            ),
            inquiries=Inquiries(store, senders),
            delays=Delays(store, returns),
            publish=Publish(dkim_keys, names),
            collect=Collect(store, bodies, [spools, exports.folder], clock.now),
            checks=checks,
            watch=Watch(store, checks),
            bin=Bin(store, alarms),
            exports=exports,
            work=Work(
                store,
                {
                    purge.KIND: Purge(store),
                    offboard.KIND: Offboard(store),
                    backup.KIND: Backups(store),
                    export.KIND: exports,
                },
                ids.new,
            ),
        )
    finally:
        for kind in kinds.values():
            await kind.close()
        await http.close()
        await policy_http.close()
        await own_services.close()
        await store.close()


async def _report(store: Store, code: str, events: Sequence[Event]) -> None:
    """Heed what a sender has heard on a connection of its own; durable."""
    await store.write(lambda tx: calls.hear(tx, code, Heard(Reply(), tuple(events))))


def _resolver(settings: Settings) -> dns.asyncresolver.Resolver:
    try:
        names = proof.resolver(settings.resolver)
    except dns.resolver.NoResolverConfiguration:  # as RFC 1034 §5.3.1 had it: there is one on this machine
        names = dns.asyncresolver.Resolver(configure=False)
        names.nameservers = ["127.0.0.1"]
    names.use_edns(0, dns.flags.DO, 1232)  # asks for the word on DNSSEC; 1232: the DNS flag day of 2020
    return names


def _validates(names: dns.asyncresolver.Resolver, settings: Settings) -> bool:
    """Whether to believe the resolver that an answer was validated: when it was chosen, or is on this machine."""
    return bool(settings.resolver) or all(
        isinstance(server, str) and ipaddress.ip_address(server).is_loopback for server in names.nameservers
    )


def _sealed(tx: Tx) -> tuple[int, Sequence[bytes]]:
    samples = [*senders_.sealed(tx), *credentials.sealed(tx)]
    return len(samples) + credentials.count_sealed(tx), samples


def _open_seal(path: Path, sealed: int, samples: Sequence[bytes]) -> Seal:
    # A key that is made anew would open none of the secrets that are there.
    if sealed and not path.exists():
        raise InvalidValue(name=str(path), reason="is missing; without it the secrets in the store cannot be read")
    seal = Seal.open(path)
    if not all(map(seal.is_ours, samples)):
        raise InvalidValue(name=str(path), reason="is another key than the one that sealed the secrets in the store")
    return seal

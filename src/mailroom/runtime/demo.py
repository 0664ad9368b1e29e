# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What `mailroom serve --demo` makes, once, so that there is something to see: a domain, members, a public mailbox, and
a push URL at the sandbox.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from pathlib import Path

from mailroom.core.errors import InvalidValue
from mailroom.core.secrets import Secret
from mailroom.core.settings import Egress, Settings
from mailroom.directory import addresses, domains, members
from mailroom.directory.model import SYSTEM, DomainState, Role, Users, Verifiers
from mailroom.mailboxes import create
from mailroom.protocols.listener import parse_where
from mailroom.runtime.app import App
from mailroom.storage.ports import Tx

DOMAIN = "demo.test"
MEMBERS = {"admin": Role.ADMINISTRATOR, "alice": Role.MEMBER, "bob": Role.MEMBER, "carol": Role.MEMBER}
PUBLIC = {"support": ("alice", "bob")}
SANDBOX = "127.0.0.1:8026"
# The receiver's secret; a demo's only, like its passwords.
PUSH_SECRET = "demo-secret"  # noqa: S105 # known to all, and meant to be

_DATA = Path("var/demo")


def settings_for(settings: Settings) -> Settings:
    """The settings with the demo's defaults. Raises `InvalidValue` for an address that others could reach: the demo's
    passwords are known to all.
    """
    for name in dataclasses.fields(settings.listen):
        where: str = getattr(settings.listen, name.name)
        if where and not _is_loopback(parse_where(where)[0]):
            raise InvalidValue(name=f"listen.{name.name}", reason=f"{where}: the demo listens on loopback only")
    if settings.data == Settings().data:
        settings = dataclasses.replace(settings, data=_DATA)
    if not settings.egress.allow:
        settings = dataclasses.replace(settings, egress=Egress(allow=(ipaddress.ip_network("127.0.0.0/8"),)))
    return settings


def _is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return host is not None and ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def furnish(app: App, *, push_url: str) -> None:
    """Make what the demo shows, unless it is there. Raises `InvalidValue`, and changes nothing, where the store is
    somebody's: the demo's passwords are known to all.
    """
    if await app.store.read(domains.every):
        await app.store.read(_ask_whose)
    else:
        hashes = {userid: await app.logins.hash(userid, Secret(f"demo-{userid}")) for userid in MEMBERS}
        await app.store.write(lambda tx: _make(app, tx, hashes))
    await app.store.write(lambda tx: app.notify.change(tx, "push_url", push_url))


def _ask_whose(tx: Tx) -> None:
    if [domain.name for domain in domains.every(tx)] != [DOMAIN]:
        raise InvalidValue(name="data", reason="this is not a demo's store; give the demo a folder of its own")


def _make(app: App, tx: Tx, hashes: dict[str, Verifiers]) -> None:
    organisation_id = members.found_organisation(tx, "Demo")
    domains.add(tx, SYSTEM, organisation_id, DOMAIN, state=DomainState.ACTIVE)
    made = {
        userid: create.member(
            tx, SYSTEM, organisation_id, userid, name=userid.capitalize(), password_hash=hashes[userid], role=role
        )
        for userid, role in MEMBERS.items()
    }
    members.mark_creator(tx, made["admin"])
    for local, users in PUBLIC.items():
        address = addresses.parse_new(f"{local}@{DOMAIN}")
        create.public(
            tx,
            SYSTEM,
            organisation_id,
            address,
            name=local.capitalize(),
            users=Users(tuple(made[userid] for userid in users)),
        )
    app.notify.change(tx, "push_secret", PUSH_SECRET)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What `mailroom serve --demo` makes, once, so that there is something to see: a domain, members, a public mailbox, and
at the sandbox a push URL, accounts with the doubles of the providers, and phones that ring.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Mapping
from pathlib import Path

from mailroom.core.errors import InvalidValue
from mailroom.core.secrets import Secret
from mailroom.core.settings import Egress, Settings
from mailroom.directory import addresses, domains, members
from mailroom.directory.model import SYSTEM, DomainState, Member, Role, Users, Verifiers
from mailroom.mailboxes import create
from mailroom.notify import linking, preferences
from mailroom.notify.model import Way
from mailroom.protocols.listener import parse_where
from mailroom.runtime.app import App
from mailroom.sandbox.server import Sandbox
from mailroom.storage.ports import Tx

DOMAIN = "demo.test"
MEMBERS = {"admin": Role.ADMINISTRATOR, "alice": Role.MEMBER, "bob": Role.MEMBER, "carol": Role.MEMBER}
PUBLIC = {"support": ("alice", "bob")}
SANDBOX = "127.0.0.1:8026"
# The receiver's secret; a demo's only, like its passwords.
PUSH_SECRET = "demo-secret"  # noqa: S105 # known to all, and meant to be
CALLBACK_KEY = "demo-callback-key"  # likewise

# Who is told where, with the address that the provider knows him by.
PHONES = {
    "alice": {Way.SMS: "+8613900000001", Way.WECHAT: "oAlice"},
    "bob": {Way.DINGTALK: "bob", Way.FEISHU: "ou_bob"},
}
_CHOICES = {
    "enabled": "yes",
    "mobile_transport": "sms_gateway",
    "wechat_mode": "service_account",
    "dingtalk.enabled": "yes",
    "feishu.enabled": "yes",
    "content_sms": "{fromname}: {subject}",
}

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


async def furnish(app: App) -> None:
    """Make what the demo shows, unless it is there. Raises `InvalidValue`, and changes nothing, where the store is
    somebody's: the demo's passwords are known to all.
    """
    if await app.store.read(domains.every):
        await app.store.read(_ask_whose)
    else:
        hashes = {userid: await app.logins.hash(userid, Secret(f"demo-{userid}")) for userid in MEMBERS}
        await app.store.write(lambda tx: _make(tx, hashes))


async def connect(app: App, box: Sandbox, *, callbacks: str) -> None:
    """Send pushes and notices to the sandbox, whose providers call back at the URL `callbacks`."""
    box.receivers.trust("push", PUSH_SECRET)
    push = {"push_url": box.webhook("push"), "push_secret": PUSH_SECRET}
    values = push | dict(accounts(box, callbacks)) | _CHOICES
    await app.store.write(lambda tx: app.notify.change_all(tx, SYSTEM, values))


def accounts(box: Sandbox, callbacks: str) -> Mapping[str, str]:
    """The settings of an account with each of the providers, at the sandbox. From now on its doubles call there."""
    for double in box.doubles.values():
        double.callback = f"{callbacks}/callbacks/notice-{double.name}"
    wechat, wecom, dingtalk, feishu, sms = (
        box.doubles[name] for name in ("wechat", "wecom", "dingtalk", "feishu", "sms_gateway")
    )
    sms.callback += f"/{CALLBACK_KEY}"
    of = {
        "service_account": {
            "app_id": wechat.set["app_id"],
            "app_secret": wechat.set["app_secret"],
            "template_id": next(iter(wechat.set["templates"])),
            "callback_token": wechat.set["token"],
            "aes_key": wechat.set["aes_key"],
            "base_url": wechat.where,
        },
        "wecom": {
            "corp_id": wecom.set["corp_id"],
            "agent_id": wecom.set["agent_id"],
            "corp_secret": wecom.set["secret"],
            "callback_token": wecom.set["token"],
            "aes_key": wecom.set["aes_key"],
            "base_url": wecom.where,
            "login_url": f"{wecom.where}/wwlogin/sso/login",
        },
        "dingtalk": {
            "app_key": dingtalk.set["app_key"],
            "app_secret": dingtalk.set["app_secret"],
            "agent_id": dingtalk.set["agent_id"],
            "callback_token": dingtalk.set["callback_token"],
            "aes_key": dingtalk.set["aes_key"],
            "base_url": dingtalk.where,
            "api_url": dingtalk.where,
            "login_url": dingtalk.where,
        },
        "feishu": {
            "app_id": feishu.set["app_id"],
            "app_secret": feishu.set["app_secret"],
            "encrypt_key": feishu.set["encrypt_key"],
            "verification_token": feishu.set["verification_token"],
            "base_url": feishu.where,
            "login_url": feishu.where,
        },
        "sms_gateway": {
            "provider": "http",
            "url": f"{sms.where}/number",
            "params": "u={account}\np={password}\nto={mobile}\ntext={content}",
            "account": sms.set["account"],
            "password": sms.set["password"],
            "sign": "Mailroom",
            "success": "regex: ^[0-9]+$",
            "id": "regex: ^([0-9]+)$",
            "errors": "^-2 -> gone\n^-4 -> opted_out\n^-5 -> content\n^-6 -> busy 10\n^-[13] -> account",
            "receipts": "push",
            "callback_key": CALLBACK_KEY,
        },
    }
    return {f"{name}.{field}": str(value) for name, account in of.items() for field, value in account.items()}


def _ask_whose(tx: Tx) -> None:
    if [domain.name for domain in domains.every(tx)] != [DOMAIN]:
        raise InvalidValue(name="data", reason="this is not a demo's store; give the demo a folder of its own")


def _make(tx: Tx, hashes: dict[str, Verifiers]) -> None:
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
    for userid, phones in PHONES.items():
        _link(tx, made[userid], phones)


def _link(tx: Tx, member: Member, phones: Mapping[Way, str]) -> None:
    for way, address in phones.items():
        linking.vouch(tx, member, way, address)
    own = preferences.of(tx, member)[0]
    preferences.change(tx, member, own.mailbox_id, on=dict.fromkeys(phones, True), only_from=(), quiet=None)

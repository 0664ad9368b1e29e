# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""An organisation whose administrator has set up every way of telling people, through kinds that say what they are
told, and members whose phones they reach.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from mailroom.core.ids import MailboxId
from mailroom.delivery.accept import Acceptance
from mailroom.delivery.returns import Returns
from mailroom.directory.model import SYSTEM, Member
from mailroom.messaging import log
from mailroom.messaging.dispatch import Dispatch
from mailroom.messaging.model import Entry, Origin
from mailroom.messaging.senders import Senders
from mailroom.notify import compose, linking, preferences, settings
from mailroom.notify.alarms import Alarms
from mailroom.notify.compose import Composer
from mailroom.notify.linking import Linking
from mailroom.notify.model import Way
from mailroom.notify.owners import Owners
from mailroom.notify.settings import NotifySettings
from mailroom.runtime import reactions
from mailroom.runtime.workers import React
from mailroom.senders.contract import Account, Linked, Offer, Parcel, Refused, Scanned, SenderKind, TryLater
from mailroom.senders.webhook.manifest import MANIFEST as WEBHOOK
from mailroom.storage.ports import Store, Tx
from mailroom.storage.seal import Seal
from tests import make
from tests.messaging import kinds
from tests.messaging.kinds import Told
from tests.stores import Watch

PUBLIC_URL = "https://mail.corp.example"
NUMBER = "+8613900000001"
_REACHES = {
    "sms_gateway": "sms",
    "sms_aliyun": "sms",
    "sms_modem": "sms",
    "wechat": "wechat",
    "wecom": "wecom",
    "dingtalk": "dingtalk",
    "feishu": "feishu",
}
EVERY_WAY = {
    "enabled": "yes",
    "mobile_transport": "sms_gateway",
    "sms_gateway.url": "x:",
    "wechat_mode": "wecom",
    "wecom.url": "x:",
    "dingtalk.enabled": "yes",
    "dingtalk.url": "x:",
    "feishu.enabled": "yes",
    "feishu.url": "x:",
}


@dataclass(slots=True)
class Friend(Told):
    """A kind by which people link their accounts; who comes back with the code `<id>` is `<id>`."""

    offers: list[Offer | Refused | TryLater] = field(default_factory=list)

    async def offer(self, account: Account, *, scene: str, back: str) -> Offer | Refused | TryLater:
        assert len(scene) <= 32
        assert scene.isalnum()
        if self.offers:
            return self.offers.pop()
        return Offer(f"{account.settings['url']}?state={scene}&back={back}", scan=self.manifest.kind == "wechat")

    async def linked(self, account: Account, *, said: Mapping[str, str], back: str) -> Linked | Refused | TryLater:
        assert account.settings
        assert back.startswith(PUBLIC_URL)
        code = said.get("code", "")
        return Linked(code, code.title()) if code else Refused("40029", "invalid code")


def every_kind() -> dict[str, SenderKind]:
    """One of each."""
    made: dict[str, SenderKind] = {"webhook": Told(WEBHOOK)}
    for name, reach in _REACHES.items():
        manifest = replace(kinds.MANIFEST, kind=name, reach=reach)
        made[name] = Told(manifest) if reach == "sms" else Friend(manifest)
    return made


@dataclass(frozen=True)
class Bureau:
    """The organisation, and what happens in it."""

    store: Store
    made: make.Organisation
    acceptance: Acceptance
    senders: Senders
    settings: NotifySettings
    linking: Linking
    react: React
    dispatch: Dispatch
    watch: Watch

    def kind(self, name: str) -> Told:
        kind = self.senders.kinds[name]
        assert isinstance(kind, Told)
        return kind

    def member(self, userid: str) -> Member:
        return self.made.members[userid]

    async def change(self, values: Mapping[str, str]) -> None:
        await self.store.write(partial(self.settings.change_all, by=SYSTEM, values=values))

    async def link(self, userid: str, way: Way, address: str = "") -> None:
        """Prove a number or an account, as the member does."""
        member = self.member(userid)
        if way is Way.SMS:
            await self.linking.send_code(member, address or NUMBER)
            await self.linking.prove(member, await self.sent_code())
            return
        begun = await self.linking.begin(member, way)
        scene = begun.url.partition("state=")[2].partition("&")[0]
        if begun.scan:
            sender = next(one for one in await self.store.read(self._senders) if one.kind == way.value)
            await self.store.write(lambda tx: linking.heard(tx, sender, Scanned(scene, address or userid)))
        else:
            await self.linking.back(member, way, {"state": scene, "code": address or userid})
        await self.store.write(lambda tx: linking.confirm(tx, member, way))

    def _senders(self, tx: Tx) -> Sequence[Any]:
        return [one for kind in _REACHES if (one := settings.sender(tx, kind)) is not None]

    async def sent_code(self) -> str:
        """What the last SMS with a code says."""
        await self.round()
        values: Mapping[str, str] = self.kind("sms_gateway").parcels[-1].content["values"]
        return values["code"]

    async def switch(
        self, userid: str, mailbox: str, *ways: Way, to: bool = True, only_from: Sequence[str] = (), quiet: Any = None
    ) -> None:
        """Choose, as the member does."""
        member, mailbox_id = self.member(userid), self.made.mailboxes[mailbox]
        on = dict.fromkeys(ways, to)
        await self.store.write(
            lambda tx: preferences.change(tx, member, mailbox_id, on=on, only_from=only_from, quiet=quiet)
        )

    async def deliver(self, octets: bytes | None = None, *to: str) -> None:
        """A mail comes in, and all react."""
        await make.delivered(self.acceptance, make.mail() if octets is None else octets, *(to or ("amy@corp.example",)))
        await self.settle()

    async def settle(self) -> None:
        """Have all that has happened heeded."""
        while await self.react.once():
            pass

    async def round(self) -> int:
        """Send what is due, and have it heeded; how much it was."""
        begun = await kinds.round_(self.dispatch)
        await self.settle()
        return begun

    def later(self, milliseconds: int) -> None:
        """Time passes."""
        self.watch.now += milliseconds

    def parcels(self, kind: str) -> Sequence[Parcel]:
        """What a kind was given, but for codes."""
        return [one for one in self.kind(kind).parcels if one.content.get("use") != "code"]

    async def entries(self, *origins: Origin) -> Sequence[Entry]:
        """The log, the oldest first."""
        wanted = origins or (Origin.NOTICE,)
        return list(reversed(await self.store.read(lambda tx: log.entries(tx, origins=wanted, limit=1000))))

    async def states(self) -> list[tuple[str, str, str]]:
        """Kind, state and reason of each notice, the oldest first."""
        return [(one.kind, one.state.value, one.reason) for one in await self.entries()]

    async def used(self, userid: str) -> int:
        """How many SMS of today's."""
        return await self.store.read(lambda tx: preferences.sms_today(tx, self.member(userid)))

    def mailbox(self, name: str) -> MailboxId:
        return self.made.mailboxes[name]


async def bureau(store: Store, watch: Watch, folder: Path, settings: Mapping[str, str] | None = None) -> Bureau:
    """Open it."""
    made = await make.organisation(store, public={"sales": ["amy", "bob"]})
    seal = Seal.open(folder / "secret.key")
    senders = Senders(every_kind(), seal)
    new_ids = map("{:026}".format, itertools.count(1))
    composer = Composer(PUBLIC_URL, seal.derive(compose.CODES))
    opened = Bureau(
        store=store,
        made=made,
        acceptance=make.acceptance(store, folder),
        senders=senders,
        settings=NotifySettings(senders),
        linking=Linking(store, senders, seal, PUBLIC_URL, watch, new_ids.__next__),
        react=React(
            store,
            reactions.table(
                alarms=Alarms("mx.corp.example"),
                owners=Owners("mx.corp.example"),
                returns=Returns("mx.corp.example", make.posting()),
            ),
            new_ids.__next__,
        ),
        dispatch=kinds.dispatch(store, senders, watch, {Origin.NOTICE: composer.notices, Origin.CODE: composer.codes}),
        watch=watch,
    )
    await opened.change(EVERY_WAY if settings is None else settings)
    return opened

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A town whose people have phones: what they, the administrator and the providers do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from mailroom.directory import access, members
from mailroom.directory.model import SYSTEM, Member
from mailroom.events import outbox
from mailroom.mailboxes import change
from mailroom.mailboxes.change import How
from mailroom.mailboxes.model import Flag, Folder, Marks
from mailroom.mailboxes.uids import EVERY
from mailroom.messaging import log, send
from mailroom.messaging.model import Entry
from mailroom.messaging.senders import Health
from mailroom.messaging.states import State
from mailroom.notify import linking, preferences
from mailroom.notify.model import Link, Quiet, Way
from mailroom.runtime import demo
from mailroom.sandbox.double import Double
from mailroom.sandbox.phones import Arrival
from mailroom.storage.ports import Tx
from tests import make
from tests.walks.town import Town

T = TypeVar("T")

NUMBER = "+8613900000001"


@dataclass(frozen=True, slots=True)
class Street:
    """A town, and the doubles of the providers with an account at each."""

    town: Town

    async def set(self, values: Mapping[str, str]) -> None:
        """The administrator changes settings."""
        await self.town.app.store.write(lambda tx: self.town.app.notify.change_all(tx, SYSTEM, values))

    async def open(self) -> None:
        """Accounts with all providers are entered, and the master switch is put on; which ways there are is left."""
        callbacks = f"http://127.0.0.1:{self.town.server.ports['http']}"
        await self.set({**demo.accounts(self.town.sandbox, callbacks), "enabled": "yes"})

    def double(self, name: str) -> Double:
        """A provider."""
        return self.town.sandbox.doubles[name]

    async def link(self, userid: str, way: Way, address: str) -> None:
        """A member has linked his phone, and hears of his own mailbox there."""

        def work(tx: Tx) -> None:
            member = members.get(tx, userid)
            linking.vouch(tx, member, way, address)

        await self.town.app.store.write(work)
        await self.prefer(userid, on={way: True})

    async def prefer(
        self,
        userid: str,
        *,
        on: Mapping[Way, bool] | None = None,
        mailbox: str = "",
        only_from: Sequence[str] = (),
        quiet: Quiet | None = None,
    ) -> None:
        """A member says how he wants to hear of his own mailbox, or another that he uses."""

        def work(tx: Tx) -> None:
            member = members.get(tx, userid)
            of = next(
                one for one in preferences.of(tx, member) if one.address == mailbox or (one.is_own and not mailbox)
            )
            preferences.change(tx, member, of.mailbox_id, on=on or {}, only_from=only_from, quiet=quiet)

        await self.town.app.store.write(work)

    async def mail(self, subject: str = "Hello", *, to: str = "amy@corp.example", **more: Any) -> None:
        """A stranger writes."""
        await self.town.send(make.mail(subject=subject, to=to, message_id=f"<{subject}@out.example>", **more), [to])

    async def rang(self, count: int, provider: str, to: str = "", *, patience: float = 30) -> Sequence[Arrival]:
        """What a provider has brought, once it is so much; it must not be more."""
        async with asyncio.timeout(patience):
            arrived = await self.town.sandbox.phones.arrived(count, provider, to)
        assert len(arrived) == count, arrived
        return arrived

    async def log(self, *states: State) -> Sequence[Entry]:
        """What the log has of notices, the oldest first."""
        found = await self.town.app.store.read(partial(log.entries, states=states or tuple(State), limit=100))
        return [one for one in reversed(found) if one.sender != "push"]

    async def logged(self, *states: State, count: int = 1) -> Sequence[Entry]:
        """The same, once there are so many in these states."""
        await self.until(lambda: self._has(states, count))
        return await self.log(*states)

    async def _has(self, states: Sequence[State], count: int) -> bool:
        return len(await self.log(*states)) >= count

    async def until(self, so: Callable[[], Awaitable[bool]]) -> None:
        """Wait until it is so."""
        async with asyncio.timeout(30):
            with self.town.app.store.hints.listen(outbox.TOPIC) as ear:
                while not await so():
                    await ear.wait(0.02)

    async def at_once(self, entry: Entry) -> None:
        """What waits is due now."""
        await self.town.app.store.write(lambda tx: send.try_at_once(tx, entry.id))

    async def used(self, userid: str) -> int:
        """How many of today's SMS a member has used."""
        return await self._of(userid, preferences.sms_today)

    async def links(self, userid: str) -> Sequence[Link]:
        """A member's numbers and accounts."""
        return await self._of(userid, preferences.links)

    async def count(self, userid: str) -> int:
        """How many mails are in a member's inbox."""
        return (await self._of(userid, _inbox)).mails

    async def read_all(self, userid: str) -> None:
        """A member reads his mail."""
        inbox = await self._of(userid, _inbox)
        await self.town.app.store.write(lambda tx: change.mark(tx, inbox.id, EVERY, How.ADD, Marks(Flag.SEEN)))

    async def faulty(self, sender: str) -> bool:
        """Whether an administrator has to see to a sender."""
        found = await self.town.app.store.read(self.town.app.notify.health)
        return found[sender][0] is Health.ERROR

    async def _of(self, userid: str, what: Callable[[Tx, Member], T]) -> T:
        return await self.town.app.store.read(lambda tx: what(tx, members.get(tx, userid)))


def _inbox(tx: Tx, member: Member) -> Folder:
    own = access.own_mailbox(tx, member.id)
    assert own is not None
    return make.folder(tx, own)

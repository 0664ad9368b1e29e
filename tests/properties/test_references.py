# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever mails come, leave, fail, are given up and are told of, in any order: each content counts just those that
hold it, and once nothing is under way the outbox holds nothing.
"""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as some

from mailroom.core import ids
from mailroom.core.clock import HOUR
from mailroom.core.errors import Refusal
from mailroom.delivery import bounces, outgoing
from mailroom.delivery.posting import Addressee, Envelope
from mailroom.delivery.submit import Submission
from mailroom.directory.model import SYSTEM, Principal
from mailroom.events.facts import MailArrived, RecipientSettled, SenderDisabled
from mailroom.mailboxes import quota
from mailroom.mailboxes.model import MailboxStatus
from mailroom.messaging.dispatch import Dispatch
from mailroom.messaging.states import State
from mailroom.runtime.reactions import Reaction
from mailroom.runtime.workers import React
from mailroom.senders.contract import Refused, Sent, TryLater
from mailroom.senders.email.manifest import MANIFEST as EMAIL
from mailroom.storage.engines import open_store
from mailroom.storage.ports import Store
from tests import make
from tests.delivery import town as town_
from tests.delivery.town import Town
from tests.messaging import kinds
from tests.messaging.kinds import Told
from tests.stores import Watch

MANIFEST = dataclasses.replace(EMAIL, fields=kinds.MANIFEST.fields)
AMY = "amy@corp.example"
OUTSIDE = ("zoe@out.example", "eve@far.example")
ADDRESSES = (AMY, "bob@corp.example", "carol@corp.example", "all@corp.example", "none@corp.example", *OUTSIDE)

chosen = some.lists(some.sampled_from(ADDRESSES), min_size=1, max_size=3, unique=True)
senders = some.sampled_from(["", *ADDRESSES])
notify = some.sampled_from([frozenset(), frozenset({"NEVER"}), frozenset({"SUCCESS", "FAILURE"})])
envelopes = some.tuples(senders, chosen, notify, some.sampled_from(["", "FULL", "HDRS"]))
sizes = some.sampled_from([300, 100_000])
answers = some.sampled_from([Sent("id", "250", "ok"), Refused("550", "5.1.1 no"), TryLater("451", "4.4.1 no answer")])
steps = some.one_of(
    some.tuples(some.just("arrive"), envelopes, sizes),
    some.tuples(some.just("submit"), envelopes, some.booleans()),
    some.tuples(some.just("answers"), some.lists(answers, max_size=3)),
    some.tuples(some.sampled_from(["send", "react", "wait", "late", "cancel"])),
    some.tuples(some.just("room"), some.sampled_from([0, 1, 50_000])),
    some.tuples(some.just("disable"), some.booleans()),
)


@dataclass
class Walk:
    """A town with its way out, and time."""

    town: Town
    submission: Submission
    dispatch: Dispatch
    react: React
    kind: Told
    watch: Watch

    async def take(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("arrive", (sender, to, asked, ret), size):
                await self.arrive(self.envelope(sender, to, asked, ret), size)
            case ("submit", (_, to, asked, ret), blind):
                await self.submit(self.envelope(AMY, to, asked, ret), blind=bool(blind))
            case ("answers", list(turns)):
                self.kind.answers = {address: list(turns) for address in OUTSIDE}
            case ("send",):
                await kinds.round_(self.dispatch)
            case ("react",):
                await self.react.once()
            case ("wait",):
                self.watch.now += 5 * HOUR
            case ("late",):
                await self.town.store.write(self.submission.returns.late)
            case ("cancel",):
                await self.cancel()
            case ("room", int(size)):
                bob = self.town.made.mailboxes["bob"]
                await self.town.store.write(lambda tx: quota.change(tx, SYSTEM, bob, size))
            case ("disable", bool(works)):
                status = MailboxStatus.ACTIVE if works else MailboxStatus.DISABLED
                carol = self.town.made.mailboxes["carol"]
                await self.town.store.write(lambda tx: quota.change_status(tx, SYSTEM, carol, status))

    def envelope(self, sender: str, to: list[str], asked: frozenset[str], ret: str) -> Envelope:
        return Envelope(sender, tuple(Addressee(one, notify=asked) for one in to), ret=ret)

    async def arrive(self, envelope: Envelope, size: int) -> None:
        octets = make.mail(sender="x@out.example", to=AMY, message_id=f"<{ids.new()}@x>", size=size)
        with self.town.acceptance.spool() as spool, suppress(Refusal):
            spool.write(octets)
            await self.town.acceptance.accept(envelope, spool)

    async def submit(self, envelope: Envelope, *, blind: bool) -> None:
        principal = Principal(self.town.made.mailboxes["amy"], AMY, self.town.made.members["amy"])
        more = ["Bcc: carol@corp.example"] if blind else []
        with self.submission.spool() as spool, suppress(Refusal):
            spool.write(make.mail(sender=AMY, to="bob@corp.example", message_id="", more=more))
            await self.submission.submit(principal, envelope, spool)

    async def cancel(self) -> None:
        queued = [entry.id for entry in await kinds.entries(self.town.store) if entry.state is State.QUEUED]
        if queued:
            await self.town.store.write(partial(outgoing.cancel, recipient_id=queued[0]))

    async def finish(self) -> None:
        """Answer everything, until nothing is due any more."""
        self.kind.answers = {}
        while await kinds.round_(self.dispatch) + await self.react.once():
            self.watch.now += 5 * HOUR


async def begin(store: Store, folder: Path, watch: Watch) -> Walk:
    """Bob forwards and keeps nothing, Carol replies, one group has everybody and one nobody; mail leaves by `Told`."""
    town = await town_.found(store, folder)
    await town.group("all", AMY, "bob@corp.example", "carol@corp.example", *OUTSIDE)
    await town.group("none", "gone@corp.example")
    await town.forward("bob", "carol@corp.example", "zoe@out.example", keeps=False)
    await town.reply("carol")
    submission = make.submission(store, folder)
    kind = Told(MANIFEST)
    reactions = {
        RecipientSettled: (Reaction("return", submission.returns.settled),),
        MailArrived: (Reaction("bounce", bounces.arrived),),
        SenderDisabled: (),
    }
    dispatch = kinds.dispatch(store, kinds.senders(folder, kind), watch)
    return Walk(town, submission, dispatch, React(store, reactions, ids.new), kind, watch)


def test_every_content_counts_those_who_hold_it(sqlite_url: str, tmp_path: Path) -> None:
    with asyncio.Runner() as runner:

        async def opened() -> Walk:
            watch = Watch()
            return await begin(open_store(sqlite_url, watch), tmp_path, watch)

        walk = runner.run(opened())

        async def go(taken: list[tuple[Any, ...]]) -> None:
            for step in taken:
                await walk.take(step)
                assert await walk.town.is_counted(), step
            await walk.finish()
            assert await walk.town.is_counted()
            assert await walk.town.held() == 0

        @settings(max_examples=40, deadline=None)
        @given(some.lists(steps, max_size=12))
        def run(taken: list[tuple[Any, ...]]) -> None:
            runner.run(go(taken))

        try:
            run()
        finally:
            runner.run(walk.town.store.close())

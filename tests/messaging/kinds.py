# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A sender kind that does as it is told, and a dispatch around it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mailroom.core.clock import MINUTE, SECOND
from mailroom.core.ids import SenderId
from mailroom.core.secrets import Secret
from mailroom.delivery import outgoing
from mailroom.messaging import log, queries, send
from mailroom.messaging.dispatch import Dispatch, Prepares
from mailroom.messaging.model import Draft, Entry, Origin, Sender
from mailroom.messaging.send import Target
from mailroom.messaging.senders import Senders
from mailroom.senders.contract import (
    Account,
    Call,
    Event,
    Field,
    Forged,
    Heard,
    Left,
    Manifest,
    News,
    Outcome,
    Parcel,
    Question,
    Reply,
    Reported,
    Sent,
    Shape,
    Words,
    always,
)
from mailroom.storage.ports import Store, Tx
from mailroom.storage.seal import Seal

_W = Words("x", "x")
MANIFEST = Manifest(
    kind="told",
    title=_W,
    fields=(
        Field(name="url", shape=Shape.URL, title=_W, help=_W, required=True),
        Field(name="secret", shape=Shape.SECRET, title=_W, help=_W),
    ),
    retries=(10 * SECOND, MINUTE),
    jitter=0.5,
    timeout=10 * SECOND,
    concurrency=3,
    idempotent=always,
)

Answer = Outcome | Exception | asyncio.Event


@dataclass(slots=True)
class Told:
    """Gives the answer for an address, a list of them in turn; an event is waited for. Else: sent."""

    manifest: Manifest = MANIFEST
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    parcels: list[Parcel] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    under_way: int = 0
    most: int = 0
    began: asyncio.Condition = field(default_factory=asyncio.Condition)

    def check(self, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> None:
        self.manifest.check(settings, secrets)

    async def send(self, account: Account, parcel: Parcel) -> Outcome:
        self.parcels.append(parcel)
        self.accounts.append(account)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        async with self.began:
            self.began.notify_all()
        try:
            turn = self.answers.get(parcel.address)
            answer = turn.pop(0) if turn else Sent("id", "200")
            if isinstance(answer, asyncio.Event):
                await answer.wait()
                return Sent("id", "200")
            if isinstance(answer, Exception):
                raise answer
            return answer
        finally:
            self.under_way -= 1

    async def close(self) -> None:
        self.parcels.clear()

    async def sending(self, parcels: int) -> None:
        """Wait until so many parcels have come in all."""
        async with asyncio.timeout(20), self.began:
            await self.began.wait_for(lambda: len(self.parcels) >= parcels)


@dataclass(slots=True)
class Talking(Told):
    """Also hears what is said in the bodies of calls, one receipt a line (`id address news`), and answers questions."""

    said: list[Reported] = field(default_factory=list)
    asked: list[list[Question]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def hear(self, account: Account, call: Call) -> Heard | Forged:
        self.calls.append(call)
        if call.rest != account.secrets["secret"].reveal():
            return Forged(f"{call.rest} is not {account.secrets['secret'].reveal()}")
        lines = [line.split(" ") for line in call.body.decode().splitlines()]
        events: list[Event] = [Reported(id_, News(news), address=address) for id_, address, news in lines]
        if "left" in call.query:
            events.append(Left(call.query["left"]))
        return Heard(Reply(202, b"heard"), tuple(events), call.headers.get("Call-Id", ""))

    async def ask(self, _account: Account, questions: Sequence[Question]) -> Sequence[Reported]:
        self.asked.append(list(questions))
        if not self.said:
            raise RuntimeError("a bug of the kind")
        return [said for said in self.said if said.provider_id in {one.provider_id for one in questions}]


def senders(folder: Path, kind: Told) -> Senders:
    return Senders({kind.manifest.kind: kind}, Seal.open(folder / "secret.key"))


def dispatch(store: Store, ways: Senders, clock: Callable[[], int], prepare: Prepares | None = None) -> Dispatch:
    leases = map("lease-{}".format, itertools.count(1))
    prepare = {Origin.MAIL: outgoing.prepare, **(prepare or {})}
    return Dispatch(store, ways, clock, leases.__next__, lambda: 0.5, outgoing.release, prepare)


def save(tx: Tx, ways: Senders, code: str = "way") -> SenderId:
    return ways.save(
        tx, code=code, name="A way", kind="told", settings={"url": "x:"}, secrets={"secret": Secret("s3cret")}
    )


def enqueue(tx: Tx, sender_id: SenderId, *addresses: str) -> None:
    draft = Draft(Origin.NOTICE, {"text": "王 Hi"}, trace="<1@out.example>")
    send.enqueue(tx, draft, [Target(sender_id, address) for address in addresses])


def sender(tx: Tx, sender_id: SenderId) -> Sender:
    return queries.senders.lock(tx, sender_id)


async def entries(store: Store) -> list[Entry]:
    """All recipients, the oldest first."""
    return list(reversed(await store.read(lambda tx: log.entries(tx, limit=1000))))


async def states(store: Store) -> dict[str, str]:
    """Where each address stands."""
    return {entry.address: entry.state.value for entry in await entries(store)}


async def round_(dispatch: Dispatch) -> int:
    """Begin what is due, and wait for its end; how much it was."""
    begun = await dispatch._turn()
    while dispatch._tasks:
        await asyncio.wait(dispatch._tasks)
    await dispatch._write_down(dispatch._take())
    return begun

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The inbound verb: who is known here, and what is true once a mail has been accepted."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import pytest

from mailroom.core.errors import (
    DomainNotActive,
    InvalidAddress,
    MailboxDisabled,
    MailLoop,
    NoSpace,
    NotFound,
    OverQuota,
    Refusal,
    RelayDenied,
    Unavailable,
)
from mailroom.core.ids import MailboxId, Modseq
from mailroom.delivery.accept import Acceptance
from mailroom.delivery.posting import Envelope, Local
from mailroom.delivery.spool import SMALL, Spool
from mailroom.directory import addresses, domains, members
from mailroom.directory.model import SYSTEM, DomainState, MemberStatus
from mailroom.events import outbox
from mailroom.events.facts import Fact, MailArrived
from mailroom.mailboxes import create, quota, read
from mailroom.mailboxes.model import Content, MailboxStatus
from mailroom.storage.engines.files import Files
from mailroom.storage.ports import Hints, Store, Tx, Work
from tests import make

ID = "0" * 26
T = TypeVar("T")


@pytest.fixture
def acceptance(store: Store, tmp_path: Path) -> Acceptance:
    return make.acceptance(store, tmp_path, new_id=lambda: ID)


def town(tx: Tx) -> make.Organisation:
    """An organisation with one thing of every sort."""
    made = make.organise(tx, public={"sales": ["bob"]})
    create.alias(tx, SYSTEM, made.mailboxes["bob"], addresses.parse_new("robert@corp.example"))
    for state in DomainState:
        domains.add(tx, SYSTEM, made.id, f"{state}.example", state=state)
        if state.value != "pending":
            create.alias(tx, SYSTEM, made.mailboxes["bob"], addresses.parse_new(f"bob@{state}.example"))
    quota.change(tx, SYSTEM, made.mailboxes["sales"], 1000)
    quota.change_status(tx, SYSTEM, made.mailboxes["carol"], MailboxStatus.DISABLED)
    return made


FOUND = {
    "bob@corp.example": "bob",
    "BOB@Corp.Example": "bob",
    '"bob"@corp.example': "bob",
    "bob+news@corp.example": "bob",
    "robert@corp.example": "bob",
    "robert+x@corp.example": "bob",
    "bob@active.example": "bob",
    "bob@abnormal.example": "bob",
    "sales@corp.example": "sales",
    "postmaster": "amy",
    "PostMaster": "amy",
    "postmaster@corp.example": "amy",
    "Postmaster@active.example": "amy",
    "abuse@corp.example": "amy",
    "Abuse@active.example": "amy",
}
REFUSED: dict[str, type[Refusal]] = {
    "dave@corp.example": NotFound,
    "dave": InvalidAddress,
    "@corp.example": InvalidAddress,
    "bob@other.example": RelayDenied,
    "bob@corp.example.evil.example": RelayDenied,
    "postmaster@other.example": RelayDenied,
    "abuse": InvalidAddress,
    "dave@pending.example": DomainNotActive,
    "postmaster@pending.example": DomainNotActive,
    "bob@verifying.example": DomainNotActive,
    "bob@disabled.example": DomainNotActive,
    "carol@corp.example": MailboxDisabled,
}


async def test_an_address_of_ours_leads_to_its_mailbox(store: Store, acceptance: Acceptance) -> None:
    made = await store.write(town)
    found = {address: await acceptance.find(address, size=0) for address in FOUND}
    assert {one.address: one.whom for one in found.values()} == {
        address: Local(made.mailboxes[name], has_rules=False) for address, name in FOUND.items()
    }


async def test_an_address_that_takes_no_mail_says_why(store: Store, acceptance: Acceptance) -> None:
    await store.write(town)
    for address, refusal in REFUSED.items():
        with pytest.raises(refusal):
            await acceptance.find(address, size=0)


async def test_room_is_asked_for_by_size(store: Store, acceptance: Acceptance) -> None:
    await store.write(town)
    await acceptance.find("sales@corp.example", size=1000)
    with pytest.raises(OverQuota):
        await acceptance.find("sales@corp.example", size=1001)


async def test_the_postmaster_is_the_first_administrator_who_is_there(store: Store, acceptance: Acceptance) -> None:
    await make.organisation(store)
    await store.write(lambda tx: members.change_status(tx, SYSTEM, "amy", MemberStatus.DISABLED))
    for office in ("postmaster", "abuse@corp.example"):
        with pytest.raises(NotFound):
            await acceptance.find(office, size=0)


async def test_an_office_that_somebody_holds_is_his(store: Store, acceptance: Acceptance) -> None:
    made = await make.organisation(store)
    await store.write(
        lambda tx: create.alias(tx, SYSTEM, made.mailboxes["bob"], addresses.parse_new("abuse@corp.example"))
    )
    assert (await acceptance.find("abuse@corp.example", size=0)).whom == Local(made.mailboxes["bob"], has_rules=False)


async def test_the_reserve_of_the_disk_stays_free(store: Store, tmp_path: Path) -> None:
    await make.organisation(store)
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(NoSpace):
        await make.acceptance(store, tmp_path, reserve=2 * free).find("amy@corp.example", size=0)
    with pytest.raises(NoSpace):
        await make.acceptance(store, tmp_path).find("amy@corp.example", size=2 * free)


async def facts(store: Store) -> Sequence[Fact]:
    claimed = await store.write(lambda tx: outbox.claim(tx, lease="test", until=tx.now + 1, limit=100))
    return [each.fact for each in claimed]


async def inbox(store: Store, mailbox_id: MailboxId) -> list[Content]:
    def look(tx: Tx) -> list[Content]:
        folder = make.folder(tx, mailbox_id)
        changes = read.changes(tx, folder.id, since=Modseq(0))
        assert (folder.mails, folder.unseen) == (len(changes.changed),) * 2
        return [read.content(tx, mail.content_id) for mail in changes.changed]

    return await store.read(look)


@pytest.mark.parametrize("size", [0, SMALL, SMALL + 1, 3_000_000])
async def test_a_mail_reads_back_octet_by_octet(store: Store, acceptance: Acceptance, size: int) -> None:
    amy = (await make.organisation(store)).mailboxes["amy"]
    octets = make.mail(size=size)
    await make.delivered(acceptance, octets, "amy@corp.example")
    [content] = await inbox(store, amy)
    assert await make.octets_of(acceptance.letters.bodies, content.id) == octets
    assert (content.size, content.message_id, content.subject) == (len(octets), "<1@out.example>", "Hello")
    assert isinstance(acceptance.letters.bodies.blobs, Files)
    kept = [each for each in acceptance.letters.bodies.blobs.folder.rglob("*") if each.is_file()]
    assert len(kept) == (1 if len(octets) > SMALL else 0)
    assert list(acceptance.letters.folder.iterdir()) == []


async def test_two_mailboxes_share_one_content_and_each_has_its_fact(store: Store, acceptance: Acceptance) -> None:
    made = (await make.organisation(store)).mailboxes
    await make.delivered(acceptance, make.mail(), "bob@corp.example", "amy@corp.example", sender="")
    [amys], [bobs] = await inbox(store, made["amy"]), await inbox(store, made["bob"])
    assert amys == bobs
    arrived = await facts(store)
    assert all(isinstance(each, MailArrived) for each in arrived)
    assert {(each.mailbox_id, each.content_id, each.uid, each.envelope_from) for each in arrived} == {  # type: ignore[union-attr]  # just asserted
        (made["amy"], amys.id, 1, ""),
        (made["bob"], amys.id, 1, ""),
    }


async def test_two_addresses_of_one_mailbox_are_one_mail(store: Store, acceptance: Acceptance) -> None:
    made = await store.write(town)
    to = ["bob@corp.example", "robert@corp.example", "bob+x@corp.example"]
    await make.delivered(acceptance, make.mail(), *to)
    assert len(await inbox(store, made.mailboxes["bob"])) == 1
    assert await make.delivered_each(acceptance, make.mail(), *to) == dict.fromkeys(to, "")
    assert len(await inbox(store, made.mailboxes["bob"])) == 2
    assert len(await facts(store)) == 2


@pytest.mark.parametrize("size", [0, SMALL - 10, 200_000])
@pytest.mark.parametrize("more", [(), ("Message-ID:",), ("Message-ID:  \r\n",)], ids=["none", "empty", "blank"])
async def test_a_mail_without_a_message_id_is_given_one(
    store: Store, acceptance: Acceptance, size: int, more: Sequence[str]
) -> None:
    amy = (await make.organisation(store)).mailboxes["amy"]
    octets = make.mail(message_id="", more=more, size=size)
    await make.delivered(acceptance, octets, "amy@corp.example")
    [content] = await inbox(store, amy)
    assert content.message_id == f"<{ID}@mx.corp.example>"
    expected = f"Message-ID: <{ID}@mx.corp.example>\r\n".encode() + octets
    assert await make.octets_of(acceptance.letters.bodies, content.id) == expected
    assert content.size == len(expected)
    assert list(acceptance.letters.folder.iterdir()) == []


@pytest.mark.parametrize(("hops", "loops"), [(100, False), (101, True)])
async def test_a_mail_that_goes_round_in_circles_is_refused(
    *, store: Store, acceptance: Acceptance, hops: int, loops: bool
) -> None:
    amy = (await make.organisation(store)).mailboxes["amy"]
    octets = make.mail(more=["Received: from a by b; Thu, 1 Jan 2026 00:00:00 +0000"] * hops)
    if loops:
        with pytest.raises(MailLoop):
            await make.delivered(acceptance, octets, "amy@corp.example")
    else:
        await make.delivered(acceptance, octets, "amy@corp.example")
    assert len(await inbox(store, amy)) == (0 if loops else 1)


@pytest.mark.parametrize("size", [1000, 100_000])
async def test_the_last_mail_may_pass_the_quota_and_then_the_mailbox_is_full(
    store: Store, acceptance: Acceptance, size: int
) -> None:
    made = (await make.organisation(store)).mailboxes
    await store.write(lambda tx: quota.change(tx, SYSTEM, made["bob"], size - 1))
    destinations = tuple([await acceptance.find(f"{name}@corp.example", size=0) for name in ("amy", "bob")])
    with Spool(acceptance.letters.folder) as spool:
        spool.write(make.mail(size=size))
        await acceptance.accept(Envelope("", destinations), spool)
    assert [len(await inbox(store, made[name])) for name in ("amy", "bob")] == [1, 1]
    with pytest.raises(OverQuota):
        await acceptance.find("bob@corp.example", size=0)


@pytest.mark.parametrize("size", [1000, 100_000])
async def test_all_or_nothing_when_one_of_two_has_no_room(store: Store, acceptance: Acceptance, size: int) -> None:
    made = (await make.organisation(store)).mailboxes
    await make.delivered(acceptance, make.mail(), "bob@corp.example")
    before, _ = await inbox(store, made["bob"]), await facts(store)
    octets = make.mail(size=size)
    destinations = tuple([await acceptance.find(f"{name}@corp.example", size=0) for name in ("amy", "bob")])
    await store.write(lambda tx: quota.change(tx, SYSTEM, made["bob"], 1))  # after it was asked
    with Spool(acceptance.letters.folder) as spool:
        spool.write(octets)
        with pytest.raises(OverQuota):
            await acceptance.accept(Envelope("", destinations), spool)
    assert await inbox(store, made["amy"]) == []
    assert (await inbox(store, made["bob"]), await facts(store)) == (before, [])
    assert (await store.read(lambda tx: read.mailbox(tx, made["amy"]))).used == 0
    assert list(acceptance.letters.folder.iterdir()) == []


@pytest.mark.parametrize("size", [1000, 100_000])
async def test_each_by_itself_when_one_of_two_has_no_room(store: Store, acceptance: Acceptance, size: int) -> None:
    made = (await make.organisation(store)).mailboxes
    await make.delivered(acceptance, make.mail(), "bob@corp.example")
    octets = make.mail(size=size)
    to = ("amy@corp.example", "bob@corp.example", "bob+x@corp.example", "carol@corp.example")
    destinations = tuple([await acceptance.find(address, size=0) for address in to])
    await store.write(lambda tx: quota.change(tx, SYSTEM, made["bob"], 1))  # after it was asked
    with Spool(acceptance.letters.folder) as spool:
        spool.write(octets)
        answers = await acceptance.accept_each(Envelope("", destinations), spool)
    said = {one.address: refusal.code if refusal else "" for one, refusal in answers.items()}
    assert said == dict(zip(to, ("", "over_quota", "over_quota", ""), strict=True))
    found = [len(await inbox(store, made[name])) for name in ("amy", "bob", "carol")]
    assert (found, len(await facts(store))) == ([1, 1, 1], 3)
    [content] = await inbox(store, made["carol"])
    assert await make.octets_of(acceptance.letters.bodies, content.id) == octets


@dataclass
class Forgetful:
    """A store whose connection breaks in every commit: it is kept, and nobody can tell."""

    store: Store

    @property
    def hints(self) -> Hints:
        return self.store.hints

    async def read(self, work: Work[T]) -> T:
        return await self.store.read(work)

    async def glance(self, work: Work[T]) -> T:
        return await self.store.glance(work)

    async def write(self, work: Work[T]) -> T:
        await self.store.write(work)
        raise Unavailable(what="database")

    async def close(self) -> None:
        await self.store.close()


async def test_what_may_have_been_kept_for_all_is_not_kept_for_each_again(store: Store, acceptance: Acceptance) -> None:
    made = (await make.organisation(store)).mailboxes
    broken = replace(acceptance, store=Forgetful(store))
    answers = await make.delivered_each(broken, make.mail(), "amy@corp.example", "bob@corp.example")
    assert set(answers.values()) == {"unavailable"}
    assert [len(await inbox(store, made[name])) for name in ("amy", "bob")] == [1, 1]


async def test_a_loop_is_everyones_answer(store: Store, acceptance: Acceptance) -> None:
    await make.organisation(store)
    octets = make.mail(more=["Received: x"] * 101)
    answers = await make.delivered_each(acceptance, octets, "amy@corp.example", "bob@corp.example")
    assert set(answers.values()) == {"mail_loop"}


async def test_a_body_store_that_is_away_means_later_and_leaves_nothing(store: Store, acceptance: Acceptance) -> None:
    amy = (await make.organisation(store)).mailboxes["amy"]
    assert isinstance(acceptance.letters.bodies.blobs, Files)
    blobs = acceptance.letters.bodies.blobs.folder
    shutil.rmtree(blobs)
    blobs.write_text("no folder any more")
    with pytest.raises(Unavailable):
        await make.delivered(acceptance, make.mail(size=100_000), "amy@corp.example")
    assert (await inbox(store, amy), await facts(store), list(acceptance.letters.folder.iterdir())) == ([], [], [])
    await make.delivered(acceptance, make.mail(), "amy@corp.example")  # small ones need it not
    blobs.unlink()
    await make.delivered(acceptance, make.mail(size=100_000), "amy@corp.example")
    assert len(await inbox(store, amy)) == 2


async def test_a_mailbox_that_was_disabled_meanwhile_takes_nothing(store: Store, acceptance: Acceptance) -> None:
    amy = (await make.organisation(store)).mailboxes["amy"]
    destination = await acceptance.find("amy@corp.example", size=0)
    await store.write(lambda tx: quota.change_status(tx, SYSTEM, amy, MailboxStatus.DISABLED))
    with Spool(acceptance.letters.folder) as spool:
        spool.write(make.mail())
        with pytest.raises(MailboxDisabled):
            await acceptance.accept(Envelope("", (destination,)), spool)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The outbound verb: who may send as whom, what leaves, and what is true once a mail has been handed in."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import Column, select

from mailroom.core.clock import HOUR
from mailroom.core.errors import (
    DomainNotActive,
    InvalidAddress,
    MailboxDisabled,
    MailLoop,
    MalformedMail,
    NotFound,
    OverQuota,
    Refusal,
    SenderNotAllowed,
    SendingLimit,
    Unavailable,
)
from mailroom.core.ids import ContentId
from mailroom.core.settings import Limits
from mailroom.delivery import posting
from mailroom.delivery.posting import Addressee, Envelope
from mailroom.delivery.spool import SMALL
from mailroom.delivery.submit import Submission
from mailroom.directory import addresses, dkim_keys, domains, groups, members, policies, users
from mailroom.directory.model import SYSTEM, DomainState, MemberStatus, Principal, Users
from mailroom.mailboxes import create, quota, read
from mailroom.mailboxes.model import Flag, FolderRole, Mail, MailboxStatus
from mailroom.storage import schema
from mailroom.storage.ports import Row, Store, Tx
from tests import make
from tests.stores import Watch

AMY = "Amy <amy@corp.example>"
BODY = b"..\r\n.\r\n"


@dataclass
class Office:
    """An organisation whose members send; `sales` is used by amy and bob, `board` by bob."""

    submission: Submission
    made: make.Organisation

    @property
    def store(self) -> Store:
        return self.submission.store

    def who(self, name: str) -> Principal:
        """A member, or a public mailbox by a client password of its own."""
        return Principal(self.made.mailboxes[name], f"{name}@{make.DOMAIN}", self.made.members.get(name))

    async def send(self, name: str, octets: bytes, *to: str, sender: str | None = None, **more: Any) -> None:
        """Hand in a mail, as by SMTP."""
        principal = self.who(name)
        sender = principal.address if sender is None else sender
        await self.submission.sender(principal, sender)
        found = [
            await self.submission.recipient(principal, one, size=len(octets), sender=sender, before=before)
            for before, one in enumerate(to)
        ]
        with self.submission.spool() as spool:
            spool.write(b"Received: by mx.corp.example\r\n" + octets)
            await self.submission.submit(principal, Envelope(sender, tuple(found), **more), spool)

    async def mails(self, name: str, role: FolderRole = FolderRole.INBOX) -> Sequence[tuple[Mail, bytes]]:
        """What lies in a folder, and its octets."""

        def look(tx: Tx) -> Sequence[Mail]:
            folder = make.folder(tx, self.made.mailboxes[name], role)
            return [one.mail for one in read.headlines(tx, folder.id, limit=100)]

        bodies = self.submission.letters.bodies
        return [(one, await make.octets_of(bodies, one.content_id)) for one in await self.store.read(look)]

    async def rows(self, *columns: Column[Any]) -> Sequence[Row]:
        """These columns of all rows of a table."""
        return await self.store.read(lambda tx: tx.all(select(*columns)))

    async def outgoing(self) -> Sequence[bytes]:
        """The octets of the mails on their way out."""
        found = await self.rows(schema.outgoing.c.content_id)
        return [await make.octets_of(self.submission.letters.bodies, ContentId(row[0])) for row in found]


def furnish(tx: Tx) -> make.Organisation:
    made = make.organise(tx, public={"sales": ["amy", "bob"], "board": ["bob"]})
    create.alias(tx, SYSTEM, made.mailboxes["amy"], addresses.parse_new("amelia@corp.example"))
    for state in DomainState:
        domains.add(tx, SYSTEM, made.id, f"{state}.example", state=state)
        if state is not DomainState.VERIFYING:  # a mailbox has five aliases at most
            create.alias(tx, SYSTEM, made.mailboxes["amy"], addresses.parse_new(f"amy@{state}.example"))
    return made


@pytest_asyncio.fixture
async def office(store: Store, tmp_path: Path) -> Office:
    return Office(make.submission(store, tmp_path), await store.write(furnish))


MAY = ["", "amy@corp.example", "AMY@Corp.Example", "amelia@corp.example", "amy+x@corp.example", "sales@corp.example"]
MAY_NOT: dict[str, type[Refusal]] = {
    "bob@corp.example": SenderNotAllowed,
    "board@corp.example": SenderNotAllowed,
    "nobody@corp.example": SenderNotAllowed,
    "amy@out.example": SenderNotAllowed,
    "amy": SenderNotAllowed,
    "amy@pending.example": DomainNotActive,
    "amy@verifying.example": SenderNotAllowed,
    "amy@disabled.example": DomainNotActive,
}


@pytest.mark.parametrize("address", [*MAY, "amy@active.example", "amy@abnormal.example"])
async def test_a_member_sends_as_whom_he_is_and_as_those_he_works_for(office: Office, address: str) -> None:
    again = [f"Resent-From: {address or AMY}", f"Resent-Sender: {AMY}"]
    await office.send("amy", make.mail(sender=address or AMY, more=again), "bob@corp.example", sender=address)
    assert len(await office.mails("bob")) == 1


@pytest.mark.parametrize("address", MAY_NOT)
async def test_and_as_nobody_else(office: Office, address: str) -> None:
    with pytest.raises(MAY_NOT[address]):
        await office.submission.sender(office.who("amy"), address)
    for forged in (f"<{address}>", f"amy@corp.example, <{address}>\r\nSender: amy@corp.example"):
        with pytest.raises(MAY_NOT[address]):
            await office.send("amy", make.mail(sender=forged), "bob@corp.example")
    with pytest.raises(MAY_NOT[address]):
        await office.send("amy", make.mail(sender=AMY, more=[f"Sender: {address}"]), "bob@corp.example")
    for name in ("Resent-From", "Resent-Sender"):
        again = make.mail(sender=AMY, more=["Resent-From: amy@corp.example", f"{name}: x <{address}>"])
        with pytest.raises(MAY_NOT[address]):
            await office.send("amy", again, "bob@corp.example")
    assert await office.mails("bob") == []


async def test_who_may_no_longer_may_not(office: Office) -> None:
    amy = office.who("amy")
    changes = [
        (
            lambda tx: users.change(
                tx, SYSTEM, office.made.mailboxes["sales"], remove=Users((office.made.members["amy"],))
            ),
            "sales@corp.example",
        ),
        (lambda tx: members.change_status(tx, SYSTEM, "amy", MemberStatus.DISABLED), ""),
        (lambda tx: members.change_status(tx, SYSTEM, "amy", MemberStatus.ACTIVE), None),
        (
            lambda tx: quota.change_status(tx, SYSTEM, office.made.mailboxes["amy"], MailboxStatus.DISABLED),
            "amy@corp.example",
        ),
    ]
    for change, address in changes:
        await office.store.write(change)
        if address is None:
            await office.submission.sender(amy, "amy@corp.example")
            continue
        with pytest.raises(SenderNotAllowed):
            await office.submission.sender(amy, address)


async def test_a_public_mailbox_that_has_signed_in_sends_as_itself_alone(office: Office) -> None:
    await office.submission.sender(office.who("sales"), "sales@corp.example")
    with pytest.raises(SenderNotAllowed):
        await office.submission.sender(office.who("sales"), "amy@corp.example")


TAKEN = [
    "bob@corp.example",
    "BOB+x@corp.example",
    "postmaster",
    "Li.Lei@Out.Example",
    "用户@例.test",
    '"a b"@out.example',
]
NOT_TAKEN: dict[str, type[Refusal]] = {
    "nobody@corp.example": NotFound,
    "carol@corp.example": MailboxDisabled,
    "bob@localhost": InvalidAddress,
    "bob@[192.0.2.1]": InvalidAddress,
    "x" * 65 + "@out.example": InvalidAddress,
    "amy@disabled.example": DomainNotActive,
}


@pytest.mark.parametrize("address", TAKEN)
async def test_whom_one_may_write_to(office: Office, address: str) -> None:
    found = await office.submission.recipient(office.who("amy"), address, size=0, sender="", before=0)
    assert isinstance(found, Addressee)
    assert found.address == address


@pytest.mark.parametrize("address", NOT_TAKEN)
async def test_and_whom_not(office: Office, address: str) -> None:
    await office.store.write(
        lambda tx: quota.change_status(tx, SYSTEM, office.made.mailboxes["carol"], MailboxStatus.DISABLED)
    )
    with pytest.raises(NOT_TAKEN[address]):
        await office.submission.recipient(office.who("amy"), address, size=0, sender="", before=0)


@pytest.mark.parametrize("size", [0, SMALL, 500_000])
async def test_a_mail_goes_to_all_of_its_recipients(office: Office, size: int) -> None:
    octets = make.mail(sender=AMY, more=["Date: Mon, 21 Sep 2026 14:13:20 +0000"], size=size)
    to = ["bob@corp.example", "li@out.example", "carol@corp.example", "lei@out.example"]
    await office.send("amy", octets, *to)
    left = b"Received: by mx.corp.example\r\n" + octets
    [(_, bobs)], [(_, carols)] = await office.mails("bob"), await office.mails("carol")
    assert (bobs, carols, await office.outgoing()) == (left, left, [left])
    [who] = await office.rows(schema.outgoing.c.envelope_from, schema.outgoing.c.sent_by)
    assert who == ("amy@corp.example", office.made.members["amy"].id)
    assert await office.rows(schema.recipients.c.address) == [("li@out.example",), ("lei@out.example",)]
    assert await office.rows(schema.contents.c.refs) == [(3,)]  # two mailboxes and the outbox
    assert await office.mails("amy", FolderRole.SENT) == []
    assert list(office.submission.letters.folder.iterdir()) == []


async def test_what_is_missing_is_added_and_what_is_not_for_others_goes(office: Office) -> None:
    octets = make.mail(sender=AMY, message_id="", more=["Bcc: eve@out.example", "Return-Path: <x@y.example>"])
    await office.send("amy", octets, "bob@corp.example", "eve@out.example")
    [left], [(_, bobs)] = await office.outgoing(), await office.mails("bob")
    assert left == bobs
    head = left.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert head[0].startswith("Date: ")
    assert head[1].startswith("Message-ID: <")
    assert head[1].endswith("@corp.example>")
    assert head[2:] == [
        "Received: by mx.corp.example",
        f"From: {AMY}",
        "To: amy@corp.example",
        "Subject: Hello",
    ]


async def test_what_leaves_is_signed(store: Store, office: Office) -> None:
    keys = office.submission.signer.keys
    for key in await keys.ensure(make.DOMAIN):
        await store.write(lambda tx, key=key: dkim_keys.activate(tx, key))  # type: ignore[misc] # of a loop
    await office.send("amy", make.mail(sender=AMY), "li@out.example")
    [left] = await office.outgoing()
    assert left.startswith(b"DKIM-Signature: ")
    assert left.count(b"d=corp.example;") == 2


@pytest.mark.parametrize("size", [0, 300_000])
@pytest.mark.parametrize("more", [(), ("Bcc: eve@out.example",)], ids=["", "bcc"])
async def test_a_mail_as_a_public_mailbox_leaves_a_copy_there_that_says_who_it_was(
    office: Office, size: int, more: Sequence[str]
) -> None:
    octets = make.mail(sender="Sales <sales@corp.example>", more=more, size=size)
    await office.send("amy", octets, "li@out.example", sender="sales@corp.example")
    [(copy, kept)] = await office.mails("sales", FolderRole.SENT)
    assert (copy.flags, kept.partition(b"\r\nFrom:")[2]) == (Flag.SEEN, octets[5:])
    assert await office.mails("amy", FolderRole.SENT) == []
    assert await office.rows(schema.mails.c.sent_by) == [(office.made.members["amy"].id,)]
    [left] = await office.outgoing()
    assert (b"Bcc" in left, b"Bcc" in kept) == (False, bool(more))
    assert len(await office.rows(schema.contents.c.id)) == 1 + bool(more)


async def test_in_its_own_mailbox_a_program_keeps_its_copy_itself_unless_we_are_to(office: Office) -> None:
    await office.store.write(lambda tx: policies.change(tx, SYSTEM, "submit.sent_copy", "yes"))
    await office.send("amy", make.mail(sender=AMY), "li@out.example")
    await office.send("sales", make.mail(sender="sales@corp.example"), "li@out.example")
    [_], [_] = await office.mails("amy", FolderRole.SENT), await office.mails("sales", FolderRole.SENT)
    await office.store.write(lambda tx: policies.change(tx, SYSTEM, "submit.sent_copy", "no"))
    await office.send("amy", make.mail(sender=AMY), "li@out.example")
    assert len(await office.mails("amy", FolderRole.SENT)) == 1


@pytest.mark.parametrize(
    "octets",
    [make.mail(sender=""), make.mail(sender=f"{AMY}, bob@corp.example"), b"", b"hi", make.mail(sender=":;")],
)
async def test_a_mail_that_nobody_has_written_stays_here(office: Office, octets: bytes) -> None:
    with pytest.raises(MalformedMail):
        await office.send("amy", octets, "li@out.example")
    assert await office.outgoing() == []


async def test_so_does_one_that_goes_round_in_circles(office: Office) -> None:
    with pytest.raises(MailLoop):
        await office.send("amy", make.mail(sender=AMY, more=["Received: x"] * 100), "li@out.example")


@pytest.mark.parametrize(
    ("headers", "said", "needed"),
    [
        (["X: y"], True, False),
        (["X: 例"], True, True),
        (["X: 例"], False, False),  # raw letters, as careless programs have always sent them
    ],
)
async def test_only_what_needs_it_asks_for_smtputf8(
    *, office: Office, headers: Sequence[str], said: bool, needed: bool
) -> None:
    await office.send("amy", make.mail(sender=AMY, more=headers), "li@out.example", utf8=said)
    [(content,)] = await office.rows(schema.messages.c.content)
    assert (f'"utf8":{str(needed).lower()}' in content, '"eight_bit":true' in content) == (True, "例" in headers[0])


async def test_what_the_sender_wants_to_be_told_goes_along(office: Office) -> None:
    principal = office.who("amy")
    found = await office.submission.recipient(principal, "li@out.example", size=0, sender="", before=0)
    found = replace(found, notify=frozenset({"SUCCESS"}), orcpt="rfc822;Li@out.example")
    with office.submission.spool() as spool:
        spool.write(make.mail(sender=AMY))
        envelope = Envelope("amy@corp.example", (found,), ret="HDRS", envid="q+2B1")
        await office.submission.submit(principal, envelope, spool)
    assert await office.rows(schema.outgoing.c.ret, schema.outgoing.c.envid) == [("HDRS", "q+2B1")]
    [(options,)] = await office.rows(schema.recipients.c.options)
    assert options == '{"notify":["SUCCESS"],"orcpt":"rfc822;Li@out.example"}'


async def test_recipients_are_counted_by_the_hour_and_the_day(office: Office, watch: Watch) -> None:
    office.submission = replace(office.submission, limits=Limits(sent_per_hour=3, sent_per_day=4))
    mail = make.mail(sender=AMY)
    await office.send("amy", mail, "li@out.example", "bob@corp.example")
    await office.send("bob", make.mail(sender="bob@corp.example"), "li@out.example")  # who has limits of his own
    for too_many in (["a@out.example", "b@out.example"], ["a@out.example", "a@out.example"]):
        with pytest.raises(SendingLimit):
            await office.send("amy", mail, *too_many)
    await office.send("amy", mail, "a@out.example")
    watch.now += HOUR
    await office.send("amy", mail, "b@out.example")
    watch.now += HOUR
    with pytest.raises(SendingLimit):
        await office.send("amy", mail, "c@out.example")
    watch.now += 22 * HOUR
    await office.send("amy", mail, "c@out.example", "d@out.example", "e@out.example")
    await office.store.write(posting.forget)
    assert len([who for (who,) in await office.rows(schema.sent_counts.c.who) if who.startswith("member")]) == 2
    assert len(await office.outgoing()) == 5


async def test_a_group_counts_with_those_elsewhere_who_have_it_from_there(office: Office) -> None:
    office.submission = replace(office.submission, limits=Limits(sent_per_hour=4))
    to = "all@corp.example"
    members_ = ["bob@corp.example", "a@out.example", "b@out.example", "c@out.example"]
    await office.store.write(
        lambda tx: groups.create(tx, SYSTEM, office.made.id, addresses.parse_new(to), name="All", members=members_)
    )
    await office.send("amy", make.mail(sender=AMY), to)
    with pytest.raises(SendingLimit):
        await office.send("amy", make.mail(sender=AMY), "bob@corp.example")
    office.submission = replace(office.submission, limits=Limits(sent_per_hour=3))
    with pytest.raises(SendingLimit):
        await office.send("bob", make.mail(sender="bob@corp.example"), to)
    assert len(await office.rows(schema.recipients.c.id)) == 3


async def test_two_mails_at_once_do_not_pass_the_limit_together(office: Office) -> None:
    office.submission = replace(office.submission, limits=Limits(sent_per_hour=1))
    principal = office.who("amy")
    found = await office.submission.recipient(principal, "li@out.example", size=0, sender="", before=0)
    for left in (1, 1):
        with office.submission.spool() as spool:
            spool.write(make.mail(sender=AMY))
            with contextlib.suppress(SendingLimit):
                await office.submission.submit(principal, Envelope("amy@corp.example", (found,)), spool)
        assert len(await office.outgoing()) == left


async def test_a_public_mailbox_without_a_member_is_counted_by_itself(office: Office) -> None:
    office.submission = replace(office.submission, limits=Limits(sent_per_hour=1, sent_per_day=0))
    await office.send("sales", make.mail(sender="sales@corp.example"), "li@out.example")
    with pytest.raises(SendingLimit):
        await office.send("sales", make.mail(sender="sales@corp.example"), "li@out.example")
    await office.send("amy", make.mail(sender="sales@corp.example"), "li@out.example", sender="sales@corp.example")


async def test_no_limit_is_none(office: Office) -> None:
    office.submission = replace(office.submission, limits=Limits(sent_per_hour=0, sent_per_day=0))
    await office.send("amy", make.mail(sender=AMY), *[f"{number}@out.example" for number in range(30)])
    assert len(await office.rows(schema.recipients.c.id)) == 30


async def test_all_or_nothing(office: Office, tmp_path: Path) -> None:
    sales = make.mail(sender="sales@corp.example")

    async def fails(refusal: type[Refusal], octets: bytes) -> None:
        with pytest.raises(refusal):
            await office.send("amy", octets, "li@out.example", "bob@corp.example", sender="sales@corp.example")
        assert await office.mails("bob") == []
        for table in (schema.outgoing, schema.sent_counts, schema.contents, schema.facts):
            assert await office.rows(*table.c) == []
        assert list(office.submission.letters.folder.iterdir()) == []

    # The Sent copy has no room.
    await office.store.write(lambda tx: quota.change(tx, SYSTEM, office.made.mailboxes["sales"], 10))
    await fails(OverQuota, sales)
    await office.store.write(lambda tx: quota.change(tx, SYSTEM, office.made.mailboxes["sales"], 0))
    # Nor is there any for the body.
    blobs = tmp_path / "blobs"
    kept = blobs.rename(tmp_path / "away")
    blobs.write_text("no folder any more")
    await fails(Unavailable, make.mail(sender="sales@corp.example", size=200_000))
    blobs.unlink()
    kept.rename(blobs)
    await office.send("amy", sales, "li@out.example", "bob@corp.example", sender="sales@corp.example")
    assert len(await office.outgoing()) == 1

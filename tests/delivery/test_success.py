# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Who asks to be told that his mail was delivered is told so (RFC 3461), by what was filed in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select, update

from mailroom.core.errors import OverQuota
from mailroom.core.ids import ContentId, MailboxId
from mailroom.delivery import bounces
from mailroom.delivery.accept import Acceptance
from mailroom.delivery.posting import Envelope
from mailroom.directory import addresses, groups
from mailroom.directory.model import SYSTEM, Principal
from mailroom.events import outbox
from mailroom.events.facts import MailArrived
from mailroom.mailboxes import quota, read
from mailroom.storage import schema
from mailroom.storage.ports import Store, Tx
from tests import make

ASKS = frozenset({"SUCCESS", "FAILURE"})


async def inbox(acceptance: Acceptance, mailbox_id: MailboxId) -> Sequence[bytes]:
    def look(tx: Tx) -> Sequence[ContentId]:
        headlines = read.headlines(tx, make.folder(tx, mailbox_id).id, limit=10)
        return [one.mail.content_id for one in headlines]

    found = await acceptance.store.read(look)
    return [await make.octets_of(acceptance.letters.bodies, one) for one in found]


async def arrive(
    acceptance: Acceptance, *to: tuple[str, frozenset[str]], sender: str = "li@out.example", ret: str = ""
) -> None:
    """A mail from outside, each recipient with what is to be told of him."""
    found = [
        replace(await acceptance.find(address, size=0), notify=notify, orcpt=f"rfc822;{address}")
        for address, notify in to
    ]
    with acceptance.spool() as spool:
        spool.write(make.mail())
        await acceptance.accept(Envelope(sender, tuple(found), ret=ret, envid="q+2B1"), spool)


async def reports(store: Store, acceptance: Acceptance) -> Sequence[tuple[str, str, bytes]]:
    """What goes out: from whom, to whom, and its octets."""
    out = (schema.outgoing.c.envelope_from, schema.recipients.c.address, schema.outgoing.c.content_id)
    by = schema.recipients.c.message_id == schema.outgoing.c.message_id
    found = await store.read(lambda tx: tx.all(select(*out).join(schema.recipients, by)))
    return [(who, to, await make.octets_of(acceptance.letters.bodies, ContentId(what))) for who, to, what in found]


async def test_somebody_elsewhere_is_told_by_a_mail_that_nobody_answers(store: Store, tmp_path: Path) -> None:
    await make.organisation(store)
    acceptance = make.acceptance(store, tmp_path)
    await arrive(acceptance, ("bob@corp.example", ASKS), ("carol@corp.example", frozenset()))
    [(sender, to, octets)] = await reports(store, acceptance)
    assert (sender, to) == ("", "li@out.example")
    for line in (
        "Original-Envelope-Id: q+1",
        "Original-Recipient: rfc822;bob@corp.example",
        "Final-Recipient: rfc822;bob@corp.example",
        "Action: delivered",
        "Status: 2.1.5",
        "Subject: Hello",
    ):
        assert f"{line}\r\n".encode() in octets
    assert b"carol" not in octets


async def test_the_mail_itself_does_not_go_to_whom_a_stranger_calls_its_sender(store: Store, tmp_path: Path) -> None:
    await make.organisation(store)
    acceptance = make.acceptance(store, tmp_path)
    await arrive(acceptance, ("bob@corp.example", ASKS), ret="FULL")
    [(_, _, octets)] = await reports(store, acceptance)
    assert b"Content-Type: text/rfc822-headers\r\n" in octets
    assert make.mail().partition(b"\r\n\r\n")[2].strip() not in octets


@pytest.mark.parametrize(
    ("notify", "sender"),
    [
        (frozenset(), "li@out.example"),
        (frozenset({"NEVER"}), "li@out.example"),
        (frozenset({"DELAY"}), "li@out.example"),
        (ASKS, ""),
    ],
)
async def test_nobody_else_is(store: Store, tmp_path: Path, notify: frozenset[str], sender: str) -> None:
    await make.organisation(store)
    acceptance = make.acceptance(store, tmp_path)
    await arrive(acceptance, ("bob@corp.example", notify), sender=sender)
    assert await reports(store, acceptance) == []


async def test_a_mail_that_is_refused_was_not_delivered(store: Store, tmp_path: Path) -> None:
    made = await make.organisation(store)
    acceptance = make.acceptance(store, tmp_path)
    found = replace(await acceptance.find("bob@corp.example", size=0), notify=ASKS)
    await make.delivered(acceptance, make.mail(), "bob@corp.example")
    await store.write(lambda tx: quota.change(tx, SYSTEM, made.mailboxes["bob"], 1))
    with acceptance.spool() as spool:
        spool.write(make.mail())
        with pytest.raises(OverQuota):
            await acceptance.accept(Envelope("li@out.example", (found,)), spool)
    assert await reports(store, acceptance) == []


async def test_a_member_finds_it_in_his_inbox(store: Store, tmp_path: Path) -> None:
    made = await make.organisation(store)
    await store.write(
        lambda tx: groups.create(
            tx, SYSTEM, made.id, addresses.parse_new("all@corp.example"), name="All", members=["carol@corp.example"]
        )
    )
    submission, acceptance = make.submission(store, tmp_path), make.acceptance(store, tmp_path)
    amy = Principal(made.mailboxes["amy"], "amy@corp.example", made.members["amy"])
    found = [
        replace(await submission.recipient(amy, address, size=0, sender="", before=0), notify=ASKS)
        for address in ("bob@corp.example", "all@corp.example", "li@out.example")
    ]
    with submission.spool() as spool:
        spool.write(make.mail(sender="amy@corp.example"))
        await submission.submit(amy, Envelope("amy@corp.example", tuple(found)), spool)
    [octets] = await inbox(acceptance, made.mailboxes["amy"])
    assert b"Final-Recipient: rfc822;bob@corp.example\r\nAction: delivered\r\n" in octets
    assert b"Final-Recipient: rfc822;all@corp.example\r\nAction: expanded\r\n" in octets
    assert b"li@out.example" not in octets  # of whom is told when he has it
    # Read as bounces are read when they arrive, it is not taken for news of him.
    arrived = await store.write(lambda tx: outbox.claim(tx, lease="test", until=tx.now + 1, limit=100))
    for state in ("queued", "sent"):
        await store.write(lambda tx, state=state: tx.run(update(schema.recipients).values(state=state)))  # type: ignore[misc] # of a loop
        for one in arrived:
            assert isinstance(one.fact, MailArrived)
            await store.write(partial(bounces.arrived, fact=one.fact))
        assert await store.read(lambda tx: tx.all(select(schema.recipients.c.state))) == [(state,)]

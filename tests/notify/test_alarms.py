# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""An alarm reaches every administrator by mail, in both languages, and rings no bell."""

from __future__ import annotations

import email
import email.policy
from pathlib import Path

import pytest

from mailroom.core import ids
from mailroom.core.ids import MailboxId, Modseq, SenderId
from mailroom.core.text import LANGUAGES, translation
from mailroom.delivery.returns import Returns
from mailroom.directory import addresses, members
from mailroom.directory.model import SYSTEM, Role
from mailroom.events import outbox
from mailroom.events.facts import SenderDisabled, SenderFaulty
from mailroom.mailboxes import create, quota, read
from mailroom.mailboxes.model import MailboxStatus
from mailroom.notify.alarms import Alarms
from mailroom.notify.owners import Owners
from mailroom.runtime import reactions
from mailroom.runtime.workers import React
from mailroom.storage.ports import Store, Tx
from tests import make

DISABLED = SenderDisabled(sender_id=SenderId(1), code="push", reason="410 gone {x} 完")


async def alarmed(store: Store) -> None:
    """Three administrators, and a sender that was disabled, with everything that follows."""

    def furnish(tx: Tx) -> None:
        made = make.organise(tx)
        for userid in ("root", "full"):
            added = members.add(tx, made.id, userid, name=userid, password_hash="", role=Role.ADMINISTRATOR)
            create.personal(tx, SYSTEM, added, addresses.parse_new(f"{userid}@corp.example"))
        outbox.emit(tx, DISABLED)

    await store.write(furnish)


async def inboxes(store: Store) -> dict[str, int]:
    def look(tx: Tx) -> dict[str, int]:
        return {addresses.primary(tx, each.id): make.folder(tx, each.id).unseen for each in read.mailboxes(tx)}

    return {address: unseen for address, unseen in (await store.read(look)).items() if unseen}


def react(store: Store) -> React:
    return React(
        store,
        reactions.table(
            alarms=Alarms("mx.corp.example"),
            owners=Owners("mx.corp.example"),
            returns=Returns("mx.corp.example", make.posting()),
        ),
        ids.new,
    )


async def test_every_administrator_has_it_in_his_inbox_and_nobody_is_pushed(store: Store, tmp_path: Path) -> None:
    await alarmed(store)
    assert await react(store).once() == 1
    assert await inboxes(store) == dict.fromkeys(("amy@corp.example", "root@corp.example", "full@corp.example"), 1)
    assert await store.read(outbox.backlog) == (0, 0)  # no mail has arrived
    amy = MailboxId(1)
    changes = await store.read(lambda tx: read.changes(tx, make.folder(tx, amy).id, since=Modseq(0)))
    bodies = make.acceptance(store, tmp_path).letters.bodies
    octets = await make.octets_of(bodies, changes.changed[0].content_id)
    mail = email.message_from_bytes(octets, policy=email.policy.default)
    text = mail.get_content()
    assert (mail["From"], mail["Auto-Submitted"]) == ("Mailroom <mailroom@mx.corp.example>", "auto-generated")
    assert mail["Message-ID"].endswith("@mx.corp.example>")
    assert text.count("410 gone {x} 完") == len(LANGUAGES)
    for language in LANGUAGES:
        assert (
            translation(language).gettext("New mail is no longer pushed ({code})").format(code="push")
            in mail["Subject"]
        )


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("notice-wecom", ("settings set wecom.SECRET -", "test wecom ADDRESS")),
        ("notice-sms_aliyun", ("settings set sms_gateway.SECRET -", "test sms_aliyun ADDRESS")),
        ("way", ("settings set KEY -", "test KIND ADDRESS")),
    ],
)
async def test_a_sender_whose_account_fails_is_told_with_its_repair(
    store: Store, tmp_path: Path, code: str, lines: tuple[str, str]
) -> None:
    fact = SenderFaulty(sender_id=SenderId(1), code=code, reason="40001 bad secret")

    def work(tx: Tx) -> None:
        make.organise(tx)
        outbox.emit(tx, fact)

    await store.write(work)
    await react(store).once()
    changes = await store.read(lambda tx: read.changes(tx, make.folder(tx, MailboxId(1)).id, since=Modseq(0)))
    bodies = make.acceptance(store, tmp_path).letters.bodies
    octets = await make.octets_of(bodies, changes.changed[0].content_id)
    text = email.message_from_bytes(octets, policy=email.policy.default).get_content().splitlines()
    for line in lines:
        assert text.count(f"    mailroom notify {line}") == len(LANGUAGES)


async def test_a_full_or_disabled_mailbox_keeps_it_from_nobody_else(store: Store) -> None:
    await alarmed(store)

    def block(tx: Tx) -> None:
        lease = addresses.resolve(tx, addresses.parse("full@corp.example"))
        assert lease is not None
        assert lease.mailbox_id is not None
        quota.change(tx, SYSTEM, lease.mailbox_id, 10)
        quota.change_status(tx, SYSTEM, MailboxId(1), MailboxStatus.DISABLED)

    await store.write(block)
    assert await react(store).once() == 1
    assert await inboxes(store) == {"root@corp.example": 1}
    assert await store.read(outbox.backlog) == (0, 0)

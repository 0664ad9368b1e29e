# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Whose mails are copied, or written to a file, is told by mail; so is who is given copies. Nobody is rung for that."""

from __future__ import annotations

import email
import email.policy
from pathlib import Path

import pytest

from mailroom.core import ids
from mailroom.core.ids import MailboxId, Modseq
from mailroom.delivery.returns import Returns
from mailroom.directory.model import SYSTEM
from mailroom.events import outbox
from mailroom.events.facts import BackupBegan, BackupDone, Fact, MailboxExported
from mailroom.mailboxes import quota, read
from mailroom.mailboxes.model import MailboxStatus
from mailroom.notify.alarms import Alarms
from mailroom.notify.owners import Owners
from mailroom.runtime import reactions
from mailroom.runtime.workers import React
from mailroom.storage.ports import Store
from tests import make

AMY, BOB = MailboxId(1), MailboxId(2)
BEGAN = BackupBegan(
    target_id=BOB,
    source="amy@corp.example",
    folder="amy@corp.example 2026-11-21",
    actor="member:root",
)
DONE = BackupDone(source_id=AMY, source="amy@corp.example", target="bob@corp.example", actor="member:root")
EXPORTED = MailboxExported(mailbox_id=AMY, address="amy@corp.example", actor="operator:root")


async def react(store: Store, fact: Fact) -> None:
    await store.write(lambda tx: outbox.emit(tx, fact))
    table = reactions.table(
        alarms=Alarms("mx.corp.example"),
        owners=Owners("mx.corp.example"),
        returns=Returns("mx.corp.example", make.posting()),
    )
    assert await React(store, table, ids.new).once() == 1
    assert await store.read(outbox.backlog) == (0, 0)  # done, and no mail has arrived


async def told(store: Store, folder: Path, mailbox_id: MailboxId) -> list[tuple[str, str]]:
    """Subject and text of each mail in an inbox."""
    changes = await store.read(lambda tx: read.changes(tx, make.folder(tx, mailbox_id).id, since=Modseq(0)))
    bodies = make.acceptance(store, folder).letters.bodies
    found = []
    for one in changes.changed:
        octets = await make.octets_of(bodies, one.content_id)
        mail = email.message_from_bytes(octets, policy=email.policy.default)
        assert mail["Auto-Submitted"] == "auto-generated"
        found.append((str(mail["Subject"]), mail.get_content()))
    return found


async def test_a_backup_is_told_to_both_sides(store: Store, tmp_path: Path) -> None:
    await make.organisation(store)
    await react(store, BEGAN)
    [(subject, text)] = await told(store, tmp_path, BOB)
    assert subject.startswith("The mails of amy@corp.example are being copied into this mailbox / ")
    assert subject.endswith("正在将 amy@corp.example 的邮件复制到此邮箱")
    assert text.count("    amy@corp.example 2026-11-21") == 2
    assert text.count("member:root") == 2
    assert await told(store, tmp_path, AMY) == []
    await react(store, DONE)
    [(subject, text)] = await told(store, tmp_path, AMY)
    assert subject.startswith("The mails of this mailbox have been copied / ")
    assert text.count("bob@corp.example") == 2


async def test_an_export_is_told(store: Store, tmp_path: Path) -> None:
    await make.organisation(store)
    await react(store, EXPORTED)
    [(subject, text)] = await told(store, tmp_path, AMY)
    assert subject.startswith("The mails of this mailbox are being exported / ")
    assert text.count("operator:root") == 2


@pytest.mark.parametrize("fact", [BEGAN, DONE, EXPORTED], ids=["began", "done", "export"])
async def test_a_mailbox_that_takes_no_mail_or_has_gone_keeps_it_from_nobody(
    store: Store, tmp_path: Path, fact: Fact
) -> None:
    await react(store, fact)  # nobody is there at all
    await make.organisation(store)
    await store.write(lambda tx: quota.change_status(tx, SYSTEM, AMY, MailboxStatus.DISABLED))
    await react(store, fact)
    assert await told(store, tmp_path, AMY) == []
    assert len(await told(store, tmp_path, BOB)) == (1 if fact is BEGAN else 0)

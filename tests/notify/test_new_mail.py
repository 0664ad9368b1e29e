# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""From a mail accepted to the push that waits to be sent: its eight fields, for mails as they really come."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from mailroom.core import ids
from mailroom.core.ids import FolderId, Modseq
from mailroom.delivery.accept import Acceptance
from mailroom.delivery.returns import Returns
from mailroom.directory.model import SYSTEM
from mailroom.mailboxes import change, read
from mailroom.mailboxes.change import How
from mailroom.mailboxes.model import Flag, FolderRole, Marks
from mailroom.mailboxes.uids import ranges
from mailroom.messaging.senders import Senders
from mailroom.notify.alarms import Alarms
from mailroom.notify.new_mail import SAMPLE
from mailroom.notify.owners import Owners
from mailroom.notify.settings import NotifySettings
from mailroom.runtime import reactions
from mailroom.runtime.workers import React
from mailroom.senders.catalogue import open_kinds
from mailroom.senders.egress import Egress
from mailroom.senders.http import Http
from mailroom.storage import schema
from mailroom.storage.ports import Store, Tx
from mailroom.storage.seal import Seal
from tests import make
from tests.messaging import kinds
from tests.senders.peers import tools

PUSHES = select(schema.messages.c.content).order_by(schema.messages.c.id)
FIELDS = ["to", "msgid", "sender", "from", "subject", "body", "attachnum", "attachlist"]


@pytest.fixture
def acceptance(store: Store, tmp_path: Path) -> Acceptance:
    return make.acceptance(store, tmp_path, new_id=lambda: "0" * 26)


@pytest.fixture
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


async def push_url(store: Store, folder: Path, url: str) -> None:
    http = Http(Egress())
    notify = NotifySettings(Senders(open_kinds(tools(http)), Seal.open(folder / "secret.key")))
    await store.write(lambda tx: notify.change_all(tx, SYSTEM, {"push_url": url}))
    await http.close()


async def pushes(store: Store) -> list[dict[str, Any]]:
    return [json.loads(row[0]) for row in await store.read(lambda tx: tx.all(PUSHES))]


def attached(*lines: str) -> tuple[Sequence[str], str]:
    return lines, "content"


TEXT = (("Content-Type: text/plain; charset=utf-8",), "Hi Amy,\r\nsee you.")
HTML = ("Content-Type: text/html; charset=utf-8",)
# What is sent, and what is pushed: only the fields that say something special.
MAILS: dict[str, tuple[bytes, dict[str, Any]]] = {
    "a plain one": (
        make.mail(),
        {
            "to": "amy@corp.example", "msgid": "<1@out.example>", "sender": "bounce@out.example",
            "from": "Bob Li <bob@out.example>", "subject": "Hello", "body": "Hi Amy,\nsee you.",
            "attachnum": 0, "attachlist": "",
        },
    ),
    "no subject": (make.mail(subject=""), {"subject": ""}),
    "a folded subject": (make.mail(subject="One\r\n two\r\n\tthree"), {"subject": "One two three"}),
    "an encoded subject": (make.mail(subject="=?utf-8?B?5oql5Lu3?= =?gb2312?B?sai82w==?="), {"subject": "报价报价"}),
    "a raw UTF-8 subject": (make.mail(subject="报价 Q2"), {"subject": "报价 Q2"}),
    "GB18030 without a label": (
        make.mail(subject="x").replace(b"Subject: x", b"Subject: " + "关于季度报价的通知".encode("gb18030")),
        {"subject": "关于季度报价的通知"},
    ),
    "GB18030 body": (
        make.mail(more=["Content-Type: text/plain; charset=gb2312"], body="你好，㐀镕".encode("gb18030")),
        {"body": "你好，㐀镕"},
    ),
    "no name": (make.mail(sender="bob@out.example"), {"from": "bob@out.example"}),
    "several From": (make.mail(sender="Bob <b@out.example>, Cy <c@out.example>"), {"from": "Bob <b@out.example>"}),
    "an encoded name": (
        make.mail(sender="=?utf-8?B?546L?= <w@out.example>"),
        {"from": "王 <w@out.example>"},
    ),
    "a group of recipients": (make.mail(to="undisclosed-recipients:;"), {"to": "amy@corp.example"}),
    "no Message-ID": (make.mail(message_id=""), {"msgid": f"<{'0' * 26}@mx.corp.example>"}),
    "no text at all": (make.mail(body=""), {"body": ""}),
    "512 code points": (make.mail(body="  " + "😀" * 600), {"body": "😀" * 512}),
    "HTML only": (
        make.mail(more=HTML, body="<style>p{}</style><script>x()</script><p>Tom &amp; Amy</p><p>two&nbsp;x</p>"),
        {"body": "Tom & Amy\ntwo\u00a0x"},
    ),
    "both texts": (make.multipart((HTML, "<p>rich"), TEXT, kind="alternative"), {"body": "Hi Amy,\nsee you."}),
    "attachments": (
        make.multipart(
            TEXT,
            attached('Content-Disposition: attachment; filename="quote.pdf"'),
            attached("Content-Disposition: attachment; filename*=utf-8''%E6%8A%A5%E4%BB%B7.docx"),
            attached('Content-Type: image/png; name="logo.png"', "Content-Disposition: inline"),
            attached("Content-Type: application/pdf", "Content-Disposition: attachment"),
            attached('Content-Disposition: attachment; filename="C:\\\\a||b/c||d.txt"'),
        ),
        {"attachnum": 5, "attachlist": "quote.pdf||报价.docx||logo.png||attachment-4||c__d.txt"},
    ),
    "a mail within": (
        make.multipart(TEXT, (("Content-Type: message/rfc822",), make.mail(subject="inner"))),
        {"attachnum": 1, "attachlist": "attachment-1", "body": "Hi Amy,\nsee you."},
    ),
    "encrypted": (
        make.multipart(
            (("Content-Type: application/pgp-encrypted",), "Version: 1"),
            (("Content-Type: application/octet-stream",), "-----BEGIN PGP MESSAGE-----"),
            kind="encrypted",
        ),
        {"body": ""},
    ),
}  # fmt: skip  # one mail, one entry


async def test_each_mail_becomes_the_eight_fields(
    store: Store, acceptance: Acceptance, react: React, tmp_path: Path
) -> None:
    await make.organisation(store)
    await push_url(store, tmp_path, "https://hook.example/")
    for octets, _ in MAILS.values():
        await make.delivered(acceptance, octets, "amy+tag@corp.example")
    assert await react.once() == len(MAILS)
    made = await pushes(store)
    assert [list(push) for push in made] == [FIELDS] * len(MAILS)
    for (name, (_, special)), push in zip(MAILS.items(), made, strict=True):
        assert {name: {key: push[key] for key in special}} == {name: special}
        assert push["attachnum"] == len([each for each in push["attachlist"].split("||") if each])


def test_the_sample_has_the_same_fields() -> None:
    assert list(SAMPLE) == FIELDS


async def test_one_push_for_each_mailbox_to_its_primary_address(
    store: Store, acceptance: Acceptance, react: React, tmp_path: Path
) -> None:
    await make.organisation(store, public={"sales": ["amy", "bob"]})
    await push_url(store, tmp_path, "https://hook.example/")
    await make.delivered(
        acceptance, make.mail(), "amy@corp.example", "amy+x@corp.example", "sales@corp.example", sender=""
    )
    await react.once()
    assert [(push["to"], push["msgid"], push["sender"]) for push in await pushes(store)] == [
        ("amy@corp.example", "<1@out.example>", ""),
        ("sales@corp.example", "<1@out.example>", ""),
    ]
    assert {(entry.address, entry.trace) for entry in await kinds.entries(store)} == {
        ("amy@corp.example", "<1@out.example>"),
        ("sales@corp.example", "<1@out.example>"),
    }


@pytest.mark.parametrize("urls", [[], ["https://hook.example/", ""]], ids=["never on", "off again"])
async def test_without_a_url_nothing_is_pushed(
    *, store: Store, acceptance: Acceptance, react: React, tmp_path: Path, urls: list[str]
) -> None:
    await make.organisation(store)
    for url in urls:
        await push_url(store, tmp_path, url)
    await make.delivered(acceptance, make.mail(), "amy@corp.example")
    assert (await react.once(), await pushes(store)) == (1, [])
    await push_url(store, tmp_path, "https://hook.example/")  # does not push what came before
    assert (await react.once(), await pushes(store)) == (0, [])


async def test_a_mail_that_has_gone_is_not_pushed(
    store: Store, acceptance: Acceptance, react: React, tmp_path: Path
) -> None:
    made = await make.organisation(store)
    await push_url(store, tmp_path, "https://hook.example/")
    await make.delivered(acceptance, make.mail(), "amy@corp.example")

    def remove(tx: Tx) -> None:
        folder = make.folder(tx, made.mailboxes["amy"])
        uids = [mail.uid for mail in read.changes(tx, folder.id, since=Modseq(0)).changed]
        change.mark(tx, folder.id, ranges(uids), How.ADD, Marks(Flag.DELETED))
        change.expunge(tx, folder.id)

    await store.write(remove)
    assert (await react.once(), await pushes(store)) == (1, [])


async def test_copies_and_moves_and_appends_push_nothing(
    store: Store, acceptance: Acceptance, react: React, tmp_path: Path
) -> None:
    made = await make.organisation(store)
    await push_url(store, tmp_path, "https://hook.example/")

    def folders(tx: Tx) -> tuple[FolderId, FolderId]:
        amy, bob = made.mailboxes["amy"], made.mailboxes["bob"]
        return make.folder(tx, amy).id, make.folder(tx, bob, FolderRole.SENT).id

    inbox, sent = await store.read(folders)
    await make.delivered(acceptance, make.mail(), "amy@corp.example")
    await store.write(lambda tx: change.copy(tx, inbox, ((1, 1),), into=sent))
    await store.write(lambda tx: change.move(tx, inbox, ((1, 1),), into=sent))
    await store.write(lambda tx: make.appended(tx, inbox))
    assert (await react.once(), len(await pushes(store))) == (1, 1)

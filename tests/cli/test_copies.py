# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom mailbox backup`, `export`, `job`, `audit`: as an administrator calls them, with no server running."""

from __future__ import annotations

import asyncio
import mailbox as mailbox_
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import update

from mailroom.core import clock
from mailroom.mailboxes import folders
from mailroom.storage import schema
from mailroom.storage.engines import open_store
from mailroom.storage.ports import Tx
from tests import make
from tests.cli.conftest import Mailroom, caller

ROUTE = "amy@corp.example -> bob@corp.example"


async def furnish(url: str) -> None:
    """Amy has five mails, one of them thrown away."""

    def work(tx: Tx) -> None:
        made = make.organise(tx)
        inbox = make.folder(tx, made.mailboxes["amy"])
        for number in range(3):
            make.appended(tx, inbox.id, make.mail(subject=f"Nr {number}"))
        make.appended(tx, folders.create(tx, made.mailboxes["amy"], "项目/A"))
        make.appended(tx, folders.by_name(tx, made.mailboxes["amy"], "Trash").id)  # type: ignore[union-attr]  # it is there

    store = open_store(url, clock.now)
    try:
        await store.write(work)
    finally:
        await store.close()


@pytest.fixture
def mailroom(store_url: str, tmp_path: Path) -> Mailroom:
    asyncio.run(furnish(store_url))
    return caller(store_url, tmp_path)


def test_a_backup_is_done_and_seen(mailroom: Mailroom) -> None:
    said = mailroom("mailbox", "backup", "amy@corp.example", "--into", "bob@corp.example", "--json")
    assert (said.status, said.err) == (0, "")
    job = said.json
    assert (job["state"], job["finished"], job["total"], job["subject"]) == ("done", 4, 4, ROUTE)
    root = job["result"]["folder"]
    shown = {
        each["name"]: each["mails"]
        for each in mailroom("mailbox", "show", "bob@corp.example", "--json").json["folders"]
    }
    assert (shown[f"{root}/INBOX"], shown[f"{root}/项目/A"]) == (3, 1)
    assert f"{root}/Trash" not in shown

    refused = mailroom("mailbox", "backup", "amy@corp.example", "--into", "amy@corp.example")
    assert (refused.status, refused.err) == (1, "target_is_source: The target is the source: amy@corp.example.\n")
    assert mailroom("mailbox", "quota", "carol@corp.example", "5").status == 0
    refused = mailroom("mailbox", "backup", "amy@corp.example", "--into", "carol@corp.example")
    assert refused.err.startswith("target_too_small: carol@corp.example has room for 5 octets; ")


def test_a_job_is_seen_cancelled_and_waited_for(mailroom: Mailroom) -> None:
    asked = ("mailbox", "backup", "amy@corp.example", "--into", "bob@corp.example", "--no-wait", "--json")
    waiting = mailroom(*asked).json
    number = str(waiting["id"])
    assert waiting["state"] == "queued"
    assert [each["subject"] for each in mailroom("job", "list", "--json").json] == [ROUTE]
    assert mailroom("job", "cancel", number).status == 0
    again = mailroom("job", "cancel", number)
    assert (again.status, again.err) == (1, f"not_running: The job {number} is cancelled.\n")
    ended = mailroom("job", "wait", number)
    assert (ended.status, ended.err) == (1, f"cancelled: job {number}\n")
    assert mailroom("job", "show", number, "--json").json["state"] == "cancelled"


def test_a_job_that_fails_says_why(mailroom: Mailroom) -> None:
    job = mailroom("mailbox", "backup", "amy@corp.example", "--into", "bob@corp.example", "--no-wait", "--json").json
    assert mailroom("mailbox", "quota", "bob@corp.example", "5").status == 0
    ended = mailroom("job", "wait", str(job["id"]))
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith("target_too_small: bob@corp.example has room for 5 octets; ")


def test_an_export_is_a_file(mailroom: Mailroom, tmp_path: Path) -> None:
    file, box = tmp_path / "amy.zip", tmp_path / "amy.MBOX"
    said = mailroom("export", "amy@corp.example", "--to", str(file), "--json")
    assert (said.status, said.err) == (0, "")
    assert said.json == {"file": str(file), "mails": 5, "gone": 0, "octets": file.stat().st_size}
    with zipfile.ZipFile(file) as read:
        assert len(read.namelist()) == 5
    assert mailroom("export", "amy@corp.example", "--to", str(box), "--folder", "项目").status == 0
    with closing(mailbox_.mbox(box)) as opened:
        assert len(opened) == 1
    for words, err in (
        (["--to", str(file)], f"name_taken: The file {file} is there already.\n"),
        (["--to", "amy.tar"], "invalid_value: to: a name that ends in .zip or .mbox\n"),
        (["--to", str(tmp_path / "no/amy.zip")], "invalid_value: to: No such file or directory\n"),
        (["--to", str(tmp_path / "b.zip"), "--folder", "no"], "not_found: There is no folder no.\n"),
    ):
        refused = mailroom("export", "amy@corp.example", *words)
        assert (refused.status, refused.err) == (1, err)
    assert not list(tmp_path.glob(".*"))


def test_the_audit_log_is_listed_and_looked_through(mailroom: Mailroom, store_url: str, tmp_path: Path) -> None:
    mailroom("mailbox", "backup", "amy@corp.example", "--into", "bob@corp.example", "--no-wait")
    mailroom("export", "amy@corp.example", "--to", str(tmp_path / "amy.zip"))
    listed = mailroom("audit", "list", "--mailbox", "amy@corp.example", "--json").json
    assert [(each["action"], each["subject"]) for each in listed][:2] == [
        ("mailbox.export", "amy@corp.example"),
        ("mailbox.backup", "amy@corp.example"),
    ]
    assert listed[0]["actor"].startswith("operator:")
    [copied] = mailroom("audit", "list", "--action", "mailbox.backup", "--json").json
    assert copied["after"] == {"into": "bob@corp.example", "mails": 4, "job": 1}
    assert '"into": "bob@corp.example"' in mailroom("audit", "list").out
    whole = mailroom("audit", "verify", "--json")
    assert (whole.status, whole.json["last"], whole.json["hash"]) == (0, listed[0]["id"], listed[0]["hash"])

    async def tamper() -> None:
        store = open_store(store_url, clock.now)
        audit = schema.audit
        await store.write(lambda tx: tx.run(update(audit).where(audit.c.id == copied["id"]).values(actor="system")))
        await store.close()

    asyncio.run(tamper())
    broken = mailroom("audit", "verify")
    assert (broken.status, broken.out) == (1, "")
    assert broken.err.startswith(f"audit_broken: Entry {copied['id']} of the audit log")

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The checker has been seen to fail: each way to break a promise, done to a store by hand, makes it speak."""

from __future__ import annotations

import asyncio
import copy
import random
import shutil
import signal
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import apsw
import pytest

from tests.kill.checker import Checker, check_file, copy_of
from tests.kill.conftest import furnish, variables_for
from tests.kill.forkserver import fork_server
from tests.kill.ledger import MAILBOXES, Fate, Ledger
from tests.kill.receiver import Receiver, receiving
from tests.talk import call


@dataclass
class Town:
    """A store with mails, what was sent to it, and what rang."""

    data: Path
    ledger: Ledger
    receiver: Receiver

    def doctor(self, script: str) -> None:
        """Change the store behind everybody's back."""
        with closing(apsw.Connection(str(self.data / "mailroom.db"))) as connection:
            connection.execute(script)

    def complaints(self, checker: Checker | None = None) -> list[str]:
        """What the checker says."""
        checker = checker or Checker(self.ledger, self.data / "blobs")
        with copy_of(self.data / "mailroom.db") as query:
            return checker.check(query) + checker.check_rung(query, self.receiver) + check_file(query)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Town:
    """Ten mails in a store: eight small, two large, some to several mailboxes; all have rung."""
    return asyncio.run(_settle(tmp_path_factory.mktemp("town")))


@pytest.fixture
def town(original: Town, tmp_path: Path) -> Town:
    """A copy to be doctored."""
    data = tmp_path / "data"
    shutil.copytree(original.data, data)
    return Town(data, copy.deepcopy(original.ledger), copy.deepcopy(original.receiver))


async def _settle(folder: Path) -> Town:
    ledger = Ledger(random.Random(2))
    variables = variables_for(folder / "data")
    async with receiving() as receiver, fork_server(folder / "log") as forks:
        await furnish(variables, push_url=receiver.url)
        server = await forks.start(variables)
        async with call(await server.ready()) as c:
            await c.expect("220")
            await c("EHLO client.test")
            await c.expect("250")
            for _ in range(10):
                entry, octets = ledger.write()
                await c("MAIL FROM:<bob@out.test>", *(f"RCPT TO:<{to}>" for to in entry.to), "DATA")
                await c.expect("250", *["250"] * len(entry.to), "354")
                await c.send(octets + b".\r\n")
                await c.expect("250")
                entry.fate = Fate.PROMISED
        await receiver.has_heard(sum(len(entry.to) for entry in ledger.entries))
        assert await server.end(signal.SIGTERM) == 0
    return Town(folder / "data", ledger, receiver)


def test_a_store_that_kept_its_promises_is_silent(town: Town) -> None:
    assert town.complaints() == []


def test_the_town_has_what_the_doctors_need(town: Town) -> None:
    assert any(entry.size > 64 * 1024 for entry in town.ledger.entries)
    assert any(len(entry.to) > 1 for entry in town.ledger.entries)
    assert len(town.receiver.heard) > len(MAILBOXES)


_DOCTORS = {
    "lost": "DELETE FROM mails WHERE uid = 1",
    "2 times": """
        INSERT INTO mails
        SELECT folder_id, 100, content_id, modseq, flags, keywords, size, internal_date, envelope_from, sent_by
        FROM mails WHERE uid = 1""",
    "0 duties": "DELETE FROM attempts; DELETE FROM recipients",
    "2 duties": """
        INSERT INTO facts (kind, payload, created_at)
        SELECT 'MailArrived', json_object('folder_id', folder_id, 'uid', uid), 0 FROM mails LIMIT 1""",
    "a fact waits": """
        INSERT INTO facts (kind, payload, created_at) VALUES ('SenderDisabled', '{}', 0)""",
    "a push has not gone out": "UPDATE recipients SET state = 'failed'",
    "its body is not there": "DELETE FROM bodies",
    "counters are wrong": "UPDATE folders SET unseen = unseen + 1",
    "use is wrong": "UPDATE mailboxes SET used = used + 1",
    "a content is miscounted": "UPDATE contents SET refs = refs + 1",
    "a body belongs to no content": "INSERT INTO bodies VALUES (999, x'00')",
    "a blob is miscounted": "UPDATE blobs SET refs = refs + 1",
    "blob is not noted": "UPDATE blobs SET doomed = 1",
    "in the wrong folder": """
        UPDATE folders SET role = 'x' || role; UPDATE folders SET role = 'inbox' WHERE role = 'xjunk'""",
    "'members'": "DELETE FROM members",  # PRAGMA foreign_key_check names the table that is referred to
}


@pytest.mark.parametrize(("complaint", "doctor"), _DOCTORS.items(), ids=_DOCTORS)
def test_a_doctored_store_is_noticed(town: Town, complaint: str, doctor: str) -> None:
    town.doctor(doctor)
    assert any(complaint in said for said in town.complaints()), town.complaints()


def test_other_octets_are_noticed(town: Town) -> None:
    for entry in town.ledger.entries:
        entry.digest = b"of another mail"
    assert all("other octets" in said for said in town.complaints())


@pytest.mark.parametrize("fate", [Fate.UNSENT, Fate.REFUSED])
def test_a_mail_that_was_not_promised_is_noticed(town: Town, fate: Fate) -> None:
    town.ledger.entries[0].fate = fate
    assert any("never promised" in said for said in town.complaints())


def test_a_mail_of_which_the_client_heard_nothing_may_be_there(town: Town) -> None:
    town.ledger.entries[0].fate = Fate.OPEN
    assert town.complaints() == []


def test_a_mail_that_is_half_there_is_noticed(town: Town) -> None:
    for entry in town.ledger.entries:
        entry.fate = Fate.OPEN
    town.doctor("DELETE FROM mails WHERE folder_id = (SELECT min(folder_id) FROM mails)")
    assert any("half kept" in said for said in town.complaints())


def test_a_uid_that_comes_again_is_noticed(town: Town) -> None:
    checker = Checker(town.ledger, town.data / "blobs")
    assert town.complaints(checker) == []
    checker.seen = dict(zip(checker.seen, reversed(checker.seen.values()), strict=True))
    assert any("was another mail's" in said for said in town.complaints(checker))


def test_a_body_that_has_rotted_is_noticed(town: Town) -> None:
    (blob, *_) = (path for path in (town.data / "blobs").rglob("*") if len(path.name) == 64)
    blob.write_bytes(b"rotten")
    assert any("not its body" in said for said in town.complaints())
    blob.unlink()
    assert any("not there" in said for said in town.complaints())


def test_a_mail_that_rang_under_two_names_is_noticed(town: Town) -> None:
    next(iter(town.receiver.heard.values()))["msg_another"] += 1
    assert any("under 2 names" in said for said in town.complaints())


def test_a_mail_that_never_rang_and_one_that_nobody_has_are_noticed(town: Town) -> None:
    of, ids = town.receiver.heard.popitem()
    assert any(f"{of}: never rang" in said for said in town.complaints())
    town.receiver.heard = {of: ids, ("<of@nobody>", of[1]): ids, **town.receiver.heard}
    assert any("rang for no mail" in said for said in town.complaints())

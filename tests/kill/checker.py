# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Holds a store against the ledger. It shares no code with the store: its own SQL, its own reading of bodies.

`check` gives complaints in words, none when every promise is kept. It is told of every round, and remembers which mail
had which UID: a UID that comes again for another mail, in a later round, is a complaint too.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import psycopg
from backports import zstd

from tests.kill.ledger import Fate, Ledger, number_in
from tests.kill.receiver import Receiver

Query = Callable[[str], list[tuple[Any, ...]]]

_MAILS = """
SELECT mails.folder_id, mails.uid, mails.size, contents.id, contents.message_id, contents.blob, bodies.octets,
       addresses.address, folders.role
FROM mails JOIN folders ON folders.id = mails.folder_id JOIN contents ON contents.id = mails.content_id
     LEFT JOIN bodies ON bodies.content_id = contents.id
     LEFT JOIN addresses ON addresses.mailbox_id = folders.mailbox_id AND addresses.role = 'primary'
ORDER BY mails.folder_id, mails.uid
"""
_FACTS = "SELECT payload FROM facts WHERE kind = 'MailArrived'"
_PUSHES = """
SELECT messages.trace, recipients.address FROM recipients JOIN messages ON messages.id = recipients.message_id
"""
# Each finds rows that contradict each other; there must be none.
CONTRADICTIONS = {
    "a folder's counters are wrong": """
        SELECT folders.id, folders.mails, folders.unseen, count(mails.uid) FROM folders
        LEFT JOIN mails ON mails.folder_id = folders.id
        GROUP BY folders.id, folders.mails, folders.unseen, folders.uidnext, folders.modseq
        HAVING folders.mails <> count(mails.uid) OR folders.unseen <> count(mails.uid)
            OR folders.uidnext <= coalesce(max(mails.uid), 0) OR folders.modseq < coalesce(max(mails.modseq), 0)""",
    "a mailbox's use is wrong": """
        SELECT mailboxes.id, mailboxes.used FROM mailboxes
        LEFT JOIN folders ON folders.mailbox_id = mailboxes.id LEFT JOIN mails ON mails.folder_id = folders.id
        GROUP BY mailboxes.id, mailboxes.used HAVING mailboxes.used <> coalesce(sum(mails.size), 0)""",
    "a content is miscounted": """
        SELECT contents.id, contents.refs FROM contents LEFT JOIN mails ON mails.content_id = contents.id
        GROUP BY contents.id, contents.refs HAVING contents.refs <> count(mails.uid) OR count(mails.uid) = 0""",
    "a body belongs to no content": """
        SELECT content_id FROM bodies WHERE content_id NOT IN (SELECT id FROM contents)""",
    "a blob is miscounted": """
        SELECT blobs.name, blobs.refs FROM blobs LEFT JOIN contents ON contents.blob = blobs.name
        GROUP BY blobs.name, blobs.refs HAVING blobs.refs <> count(contents.id)""",
    "a content's blob is not noted": """
        SELECT id FROM contents WHERE blob <> '' AND blob NOT IN (SELECT name FROM blobs WHERE doomed = 0)""",
}
_UNFINISHED = {
    "a fact waits": "SELECT id, attempts FROM facts",
    "a push has not gone out": "SELECT id, state, reason FROM recipients WHERE state <> 'sent'",
}


@contextmanager
def live(database: Path) -> Iterator[Query]:
    """A reader of an SQLite store whose server runs, in this process or in another."""
    # By apsw also here: a second SQLite in one process would drop the locks of the first when it closes the file.
    with closing(apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
        connection.set_busy_timeout(5000)
        yield lambda statement: connection.execute(statement).fetchall()


@contextmanager
def reader(url: str) -> Iterator[Query]:
    """A reader of a PostgreSQL store."""
    with psycopg.connect(url) as connection:
        yield lambda statement: connection.execute(statement.encode()).fetchall()


@contextmanager
def copy_of(database: Path) -> Iterator[Query]:
    """A reader of a copy of an SQLite store whose server is dead: recovering the log is left to the next server."""
    with tempfile.TemporaryDirectory(dir=database.parent) as folder:
        for part in (database, database.with_name(f"{database.name}-wal")):
            if part.exists():
                shutil.copy(part, folder)
        with closing(apsw.Connection(str(Path(folder) / database.name))) as connection:
            yield lambda statement: connection.execute(statement).fetchall()


@dataclass(slots=True)
class Checker:
    """What it has seen so far: the UIDs given out, by folder, and the mail that has each."""

    ledger: Ledger
    blobs: Path
    seen: dict[tuple[int, int], int] = field(default_factory=dict)

    def check(self, query: Query) -> list[str]:
        """What is wrong with the store of a server that was killed."""
        complaints = [f"{what}: {row}" for what, statement in CONTRADICTIONS.items() for row in query(statement)]
        there: Counter[tuple[int, str]] = Counter()
        self._check_mails(query, there, complaints)
        self._check_promises(there, complaints)
        return complaints

    def _check_mails(self, query: Query, there: Counter[tuple[int, str]], complaints: list[str]) -> None:
        duties = _duties(query)
        last: tuple[int, int] = (0, 0)
        for folder_id, uid, size, content_id, message_id, blob, octets, address, role in query(_MAILS):
            name = f"mail {message_id} of {address}"
            body = self._body(blob, octets)
            if body is None:
                complaints.append(f"{name}: its body is not there, or not its body")
                continue
            number = number_in(body)
            if number is None or number >= len(self.ledger.entries):
                complaints.append(f"{name}: nobody sent it")
                continue
            entry = self.ledger.entries[number]
            if size != len(body) or hashlib.sha256(body[-entry.size :]).digest() != entry.digest:
                complaints.append(f"{name}: other octets than were sent")
            if not _is_trace(body[: -entry.size]):
                complaints.append(f"{name}: something stands before it")
            if role != "inbox":
                complaints.append(f"{name}: in the wrong folder")
            if self.seen.setdefault((folder_id, uid), number) != number:
                complaints.append(f"{name}: its uid {uid} was another mail's")
            if folder_id == last[0] and uid != last[1] + 1:
                complaints.append(f"{name}: uid {uid} after {last[1]}")
            last = (folder_id, uid)
            if (count := duties[folder_id, uid] + duties[message_id, address]) != 1:
                complaints.append(f"{name}: {count} duties to ring (content {content_id})")
            there[number, address] += 1

    def _body(self, blob: str, octets: bytes | None) -> bytes | None:
        if not blob:
            return None if octets is None else zstd.decompress(octets)
        path = self.blobs / blob[:2] / blob[2:4] / blob
        if not path.exists():
            return None
        body = path.read_bytes()
        return body if hashlib.sha256(body).hexdigest() == blob else None

    def _check_promises(self, there: Counter[tuple[int, str]], complaints: list[str]) -> None:
        for (number, address), count in there.items():
            entry = self.ledger.entries[number]
            if count > 1:
                complaints.append(f"mail {number} of {address}: {count} times")
            if address not in entry.to:
                complaints.append(f"mail {number} of {address}: not sent there")
            if entry.fate in {Fate.UNSENT, Fate.REFUSED}:
                complaints.append(f"mail {number} of {address}: kept, and never promised ({entry.fate.name})")
        for number, entry in enumerate(self.ledger.entries):
            found = [address for address in entry.to if there[number, address]]
            if entry.fate is Fate.PROMISED and len(found) != len(entry.to):
                complaints.append(f"mail {number}: lost, in {found} of {entry.to}")
            if entry.fate is Fate.OPEN and found and len(found) != len(entry.to):
                complaints.append(f"mail {number}: half kept, in {found} of {entry.to}")

    def check_rung(self, query: Query, receiver: Receiver) -> list[str]:
        """What is wrong, further, when a server has had time to finish its duties."""
        complaints = unfinished(query)
        due = {(str(row[4]), str(row[7])) for row in query(_MAILS)}
        complaints += [f"{of}: never rang" for of in due - receiver.heard.keys()]
        complaints += [f"{of}: rang for no mail" for of in receiver.heard.keys() - due]
        complaints += [f"{of}: rang under {len(ids)} names" for of, ids in receiver.heard.items() if len(ids) > 1]
        return complaints


def unfinished(query: Query) -> list[str]:
    """The duties that are left."""
    return [f"{what}: {row}" for what, statement in _UNFINISHED.items() for row in query(statement)]


def check_file(query: Query) -> list[str]:
    """What SQLite finds wrong with the file."""
    said = query("PRAGMA integrity_check") + query("PRAGMA foreign_key_check")
    return [str(row) for row in said if row != ("ok",)]


def _duties(query: Query) -> defaultdict[tuple[Any, Any], int]:
    """How often each mail is due to ring: by (folder, uid) as a fact, and by (Message-ID, address) as a push."""
    duties: defaultdict[tuple[Any, Any], int] = defaultdict(int)
    for (payload,) in query(_FACTS):
        fact = json.loads(payload)
        duties[fact["folder_id"], fact["uid"]] += 1
    for trace, address in query(_PUSHES):
        duties[trace, address] += 1
    return duties


def _is_trace(head: bytes) -> bool:
    """Whether these are the two fields that a mail is given on its way in, and nothing else."""
    fields = head.replace(b"\r\n\t", b" ").split(b"\r\n")
    return [line.partition(b":")[0] for line in fields] == [b"Return-Path", b"Received", b""]

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Searches: what the rows say and what the mails say come to the same as reading every mail would."""

from __future__ import annotations

import asyncio
import email.utils
import hashlib
import random
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from mailroom.core.ids import ContentId, FolderId
from mailroom.mailboxes import append, change, contents, search
from mailroom.mailboxes.contents import Bodies
from mailroom.mailboxes.model import NO_FLAGS, Flag, Marks
from mailroom.mailboxes.query import (
    And,
    Arrived,
    Changed,
    Field,
    Flagged,
    Header,
    Keyword,
    Not,
    Or,
    Query,
    Sent,
    Shows,
    Sized,
    Text,
    Within,
    has,
)
from mailroom.mailboxes.search import Pieces
from mailroom.mailboxes.uids import ranges
from mailroom.mime.scan import scan
from mailroom.mime.structure import summarise
from mailroom.storage.engines import open_blobs, open_store
from mailroom.storage.ports import Store, Tx
from tests import make
from tests.stores import Watch

DAY = 86_400_000
WORDS = ["invoice", "Invoice", "100%", "a_b", "会议", "ÄRGER", "ärger", "re", "Bob", "x"]
KEYWORDS = ["work", "Later", "a_b"]
FLAGS = [NO_FLAGS, Flag.SEEN, Flag.DELETED, Flag.SEEN | Flag.FLAGGED, Flag.SEEN | Flag.DELETED, Flag.DRAFT]


@dataclass
class Known:
    """A mail as the test has made it."""

    uid: int
    modseq: int
    flags: Flag
    keywords: set[str]
    size: int
    arrived: int
    day: int | None
    content_id: int
    fields: dict[Field, str]
    header: dict[str, str]


def means(query: Query, mail: Known) -> bool:  # noqa: C901, PLR0911, PLR0912 -- one for each kind of condition
    """What a child would say."""
    match query:
        case And(parts):
            return all(means(part, mail) for part in parts)
        case Or(parts):
            return any(means(part, mail) for part in parts)
        case Not(part):
            return not means(part, mail)
        case Within(uids):
            return any(first <= mail.uid <= last for first, last in uids)
        case Flagged(mask, are):
            return mail.flags & mask == are & mask
        case Keyword(keyword):
            return keyword.lower() in mail.keywords
        case Arrived(since, before):
            return since <= mail.arrived < before
        case Sent(since, before):
            return mail.day is not None and since <= mail.day < before
        case Sized(above, below):
            return above < mail.size < below
        case Changed(since):
            return mail.modseq >= since
        case Shows(content_id):
            return mail.content_id == content_id
        case Text(field, text):
            return text.lower() in mail.fields[field].lower()
        case Header(name, text):
            return name.lower() in mail.header and text.lower() in mail.header[name.lower()].lower()
    raise AssertionError(query)


def furnish(tx: Tx, count: int) -> tuple[FolderId, list[Known]]:
    chance = random.Random(7)
    made = make.organise(tx)
    folder = make.folder(tx, made.mailboxes["amy"]).id
    return folder, [added(tx, folder, chance) for _ in range(count)]


def added(tx: Tx, folder: FolderId, chance: random.Random) -> Known:
    def words() -> str:
        return " ".join(chance.sample(WORDS, chance.randrange(3)))

    def person() -> str:
        return f"{chance.choice(WORDS)} <{chance.choice(['amy', 'bob'])}@x.example>"

    subject, sender, to, cc, body = (
        words(),
        [person() for _ in range(chance.randrange(1, 3))],
        person(),
        person(),
        words(),
    )
    zone = chance.choice([-11, 0, 11])
    sent = tx.now // 1000 - chance.randrange(5) * 40_000
    date = (
        email.utils.format_datetime(datetime.fromtimestamp(sent, timezone(timedelta(hours=zone))))
        if chance.random() < 0.8
        else ""
    )
    header = {"subject": subject, "from": ", ".join(sender), "to": to, "cc": cc, "x-test": words(), "date": date}
    header["message-id"] = f"<{chance.randrange(10)}@x.example>"
    header = {name: value for name, value in header.items() if value}
    octets = "".join(f"{name.capitalize()}: {value}\r\n" for name, value in header.items()).encode()
    octets += f"\r\n{body}\r\n".encode()
    part = scan(octets)
    content_id = contents.add(
        tx, contents.Small(octets), summarise(part, lambda start, end: octets[start:end]), size=len(octets), refs=1
    )
    marks = Marks(chance.choice(FLAGS), frozenset(chance.sample(KEYWORDS, chance.randrange(3))))
    arrived = tx.now - chance.randrange(5) * DAY
    placed = append.append(tx, content_id, into=folder, size=len(octets), marks=marks, internal_date=arrived)
    text = "\n".join(f"{name}: {value}" for name, value in header.items()) + "\n\n" + body
    fields = {Field.SUBJECT: subject, Field.FROM: ", ".join(sender), Field.TO: to, Field.CC: cc, Field.BCC: ""}
    return Known(
        placed.uid,
        placed.modseq,
        marks.flags,
        {keyword.lower() for keyword in marks.keywords},
        len(octets),
        arrived,
        (sent + zone * 3600) // 86_400 if date else None,
        content_id,
        {**fields, Field.BODY: body, Field.TEXT: text},
        header,
    )


USUAL = Pieces()
SMALL = Pieces(judged=7, listed=9, opened=3)
NOW = Watch().now
numbers = some.integers(0, 45)
texts = some.sampled_from([*WORDS, "", "%", "_", "amy@x", "invoice re", "INVOICE", "ä", "\0", "ob <"])
leaves = some.one_of(
    some.builds(Within, some.sets(numbers).map(ranges)),
    some.just(Within()),
    some.builds(Flagged, some.sampled_from(FLAGS), some.sampled_from(FLAGS)),
    some.builds(Keyword, some.sampled_from([*KEYWORDS, "WORK", "a%b", "axb"])),
    some.builds(Arrived, some.integers(0, 5).map(lambda days: NOW - days * DAY)),
    some.builds(Arrived, before=some.integers(0, 5).map(lambda days: NOW - days * DAY)),
    some.builds(Sent, some.integers(0, 5).map(lambda days: NOW // DAY - days)),
    some.builds(Sent, before=some.integers(0, 5).map(lambda days: NOW // DAY - days)),
    some.builds(Sized, some.integers(100, 250)),
    some.builds(Sized, below=some.integers(100, 250)),
    some.builds(Changed, numbers),
    some.builds(Shows, numbers),
    some.builds(Text, some.sampled_from(Field), texts),
    some.builds(
        Header, some.sampled_from(["Subject", "X-Test", "message-id", "None"]), texts | some.just("<3@x.example>")
    ),
)
trees = some.recursive(
    leaves,
    lambda inner: some.one_of(
        some.builds(And, some.lists(inner, max_size=4).map(tuple)),
        some.builds(Or, some.lists(inner, max_size=3).map(tuple)),
        some.builds(Not, inner),
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(("engine", "examples"), [("sqlite", 400), ("postgres", 120)])
def test_what_is_found_is_what_is_meant(
    request: pytest.FixtureRequest, engine: str, examples: int, tmp_path: Path
) -> None:
    url = request.getfixturevalue(f"{engine}_url")
    with asyncio.Runner() as runner:

        async def opened() -> tuple[Store, FolderId, list[Known]]:
            store = open_store(url, Watch())
            return store, *await store.write(lambda tx: furnish(tx, 40))

        store, folder, mails = runner.run(opened())
        bodies = Bodies(store, open_blobs(f"file://{tmp_path}/blobs"))

        @given(trees)
        @settings(max_examples=examples)
        def compare(query: Query) -> None:
            found = runner.run(searched(store, bodies, folder, query, SMALL))
            meant = [mail for mail in mails if means(query, mail)]
            assert list(found.uids) == [mail.uid for mail in meant]
            asks_modseq = has(query, lambda part: isinstance(part, Changed))
            assert found.modseq == (max((mail.modseq for mail in meant), default=0) if asks_modseq else 0)

        try:
            compare()
        finally:
            runner.run(store.close())


@pytest.fixture
def bodies(store: Store, tmp_path: Path) -> Bodies:
    return Bodies(store, open_blobs(f"file://{tmp_path}/blobs"))


async def searched(
    store: Store, bodies: Bodies, folder: FolderId, query: Query, pieces: Pieces = USUAL
) -> search.Found:
    begun = await store.read(lambda tx: search.begin(tx, folder, query, pieces=pieces))
    return await search.finish(store, bodies, folder, begun)


async def inbox(store: Store, *mails: bytes) -> FolderId:
    def work(tx: Tx) -> FolderId:
        folder = make.folder(tx, make.organise(tx).mailboxes["amy"]).id
        for octets in mails:
            make.appended(tx, folder, octets)
        return folder

    return await store.write(work)


ENCODED = make.mail(
    subject="=?gb2312?B?u+HS6bzH4rw=?=",
    sender="=?utf-8?Q?J=C3=B6rg?= <j@x.example>, Second <second@x.example>",
    more=[
        "Content-Type: text/plain; charset=gbk",
        "Content-Transfer-Encoding: base64",
        "X-Note: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=",
    ],
    body="1tDOxMTayN0=\r\n",
)
HTML = make.mail(
    more=["Content-Type: text/html; charset=utf-8"], body="<p>Gr&uuml;&szlig;e &amp; K&#252;sse</p>", message_id="<h@x>"
)
ATTACHED = make.multipart(
    (["Content-Type: text/plain"], "see below"),
    (["Content-Type: message/rfc822"], b"Subject: inner\r\n\r\nhidden treasure\r\n"),
    (["Content-Type: application/octet-stream"], "not a text"),
)


@pytest.mark.parametrize(
    ("query", "uids"),
    [
        (Text(Field.SUBJECT, "会议"), [1]),
        (Text(Field.FROM, "JÖRG"), [1]),
        (Text(Field.FROM, "second@"), [1]),
        (Text(Field.BODY, "中文内容"), [1]),
        (Text(Field.TEXT, "grüße"), [1, 2]),
        (Text(Field.BODY, "Grüße & Küsse"), [2]),
        (Header("X-NOTE", ""), [1]),
        (Header("x-note", "GRÜ"), [1]),
        (Header("Message-ID", "<h@x>"), [2]),
        (Text(Field.BODY, "TREASURE"), [3]),
        (Text(Field.BODY, "not a text"), []),
        (Not(Text(Field.BODY, "see")), [1, 2]),
        (And(()), [1, 2, 3]),
        (Or(()), []),
    ],
    ids=repr,
)
async def test_texts_are_found_decoded(store: Store, bodies: Bodies, query: Query, uids: list[int]) -> None:
    folder = await inbox(store, ENCODED, HTML, ATTACHED)
    assert list((await searched(store, bodies, folder, query)).uids) == uids


async def test_a_large_mail_is_searched_too(store: Store, bodies: Bodies, tmp_path: Path) -> None:
    folder = await inbox(store)
    octets = make.multipart(
        (["Content-Type: application/zip"], b"z" * 90_000), (["Content-Type: text/plain"], "a needle")
    )
    source = tmp_path / "source"
    source.write_bytes(octets)
    part = scan(octets)
    body = await bodies.keep(hashlib.sha256(octets).hexdigest(), source, header=part.header)

    def work(tx: Tx) -> ContentId:
        summary = summarise(part, lambda start, end: octets[start:end])
        content_id = contents.add(tx, body, summary, size=len(octets), refs=1)
        append.append(tx, content_id, into=folder, size=len(octets), internal_date=tx.now)
        return content_id

    content_id = await store.write(work)
    for query, uids in (
        (Text(Field.BODY, "needle"), [1]),
        (Text(Field.BODY, "zzz"), []),
        (Header("subject", "hello"), [1]),
        (Text(Field.TEXT, "bob li"), [1]),
        (Shows(content_id), [1]),
    ):
        assert list((await searched(store, bodies, folder, query)).uids) == uids


async def test_a_mail_that_goes_before_it_is_opened_is_not_meant(store: Store, bodies: Bodies) -> None:
    folder = await inbox(store, *[make.mail(message_id=f"<{number}@x>") for number in range(3)])
    begun = await store.read(lambda tx: search.begin(tx, folder, Not(Text(Field.BODY, "nothing"))))

    def remove(tx: Tx) -> None:
        change.mark(tx, folder, ((2, 2),), change.How.ADD, Marks(Flag.DELETED))
        change.expunge(tx, folder)

    await store.write(remove)
    assert list((await search.finish(store, bodies, folder, begun)).uids) == [1, 3]

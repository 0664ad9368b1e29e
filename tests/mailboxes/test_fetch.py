# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Rows for FETCH: the same however the UIDs are named, and the octets of small and of large mails."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from sqlalchemy import select

from mailroom.core.errors import NotFound, Unavailable
from mailroom.core.ids import ContentId, FolderId, MailboxId
from mailroom.mailboxes import append, change, contents, fetch
from mailroom.mailboxes.change import How
from mailroom.mailboxes.contents import Bodies
from mailroom.mailboxes.fetch import Item
from mailroom.mailboxes.model import Flag, Marks
from mailroom.mailboxes.uids import EVERY, ranges
from mailroom.mime.scan import scan
from mailroom.mime.structure import envelope, from_json, summarise
from mailroom.storage import schema
from mailroom.storage.engines import open_blobs
from mailroom.storage.ports import Store, Tx
from tests import make

COUNT = 1300
_SENT_BY = select(schema.mails.c.sent_by)


async def filled(store: Store, count: int) -> FolderId:
    amy = (await make.organisation(store)).mailboxes["amy"]

    def work(tx: Tx) -> FolderId:
        inbox = make.folder(tx, amy).id
        for number in range(count):
            make.appended(tx, inbox, make.mail(subject=f"No. {number}"))
        return inbox

    return await store.write(work)


@pytest.mark.parametrize(
    "uids",
    [(), [5], [1, 2, 3], range(1, COUNT + 1), range(1, COUNT, 2), [*range(1, 40), *range(50, 52), 60, *range(70, 900)]],
    ids=["none", "one", "few", "all", "every other", "some of each"],
)
async def test_however_uids_are_named_each_is_told_of_once(store: Store, uids: list[int]) -> None:
    folder = await filled(store, COUNT) if len(uids) > 10 else await filled(store, 20)
    there = list(uids)
    await store.write(lambda tx: change.mark(tx, folder, ranges([*uids, 5000]), How.ADD, Marks(Flag.SEEN)))
    rows = await store.read(lambda tx: fetch.flags(tx, folder, ranges(uids)))
    assert [row[0] for row in rows] == there
    assert {row[1] for row in rows} <= {Flag.SEEN}
    seen = [row[0] for row in await store.read(lambda tx: fetch.flags(tx, folder, EVERY)) if row[1] & Flag.SEEN]
    assert seen == there


async def test_a_row_has_what_was_asked_for_in_order(store: Store) -> None:
    folder = await filled(store, 1)
    octets = make.mail(subject="No. 0")
    every = Item.ENVELOPE | Item.STRUCTURE | Item.PREVIEW | Item.PARTS
    [row] = await store.read(lambda tx: fetch.rows(tx, folder, EVERY, every))
    assert row[:3] == (1, 0, "")
    assert row[4] == len(octets)
    assert bytes(row[7]) == envelope(octets)
    assert bytes(row[8]).startswith(b'("text" "plain"')
    assert row[9] == "Hi Amy,\nsee you."
    assert from_json(row[10]).body_start == row[11] == octets.index(b"\r\n\r\n") + 4
    [bare] = await store.read(lambda tx: fetch.rows(tx, folder, EVERY))
    assert bare == row[:7]
    [some_of_it] = await store.read(lambda tx: fetch.rows(tx, folder, EVERY, Item.STRUCTURE | Item.PARTS))
    assert some_of_it[7:] == (row[8], row[10], row[11])


async def test_many_mails_are_opened_at_once(store: Store, tmp_path: Path) -> None:
    folder = await filled(store, 3)
    bodies = Bodies(store, open_blobs(f"file://{tmp_path}/blobs"))
    large = await large_mail(bodies, tmp_path, b"X-Long: yes\r\n\r\n" + b"x" * 90_000)
    ids = [row[6] for row in await store.read(lambda tx: fetch.rows(tx, folder, EVERY))]
    small, headers = await store.read(lambda tx: (fetch.bodies(tx, [*ids, large]), fetch.headers(tx, [*ids, large])))
    assert small == {each: make.mail(subject=f"No. {number}") for number, each in enumerate(ids)}
    expected = {each: octets[: octets.index(b"\r\n\r\n") + 4] for each, octets in small.items()}
    assert headers == {**expected, large: b"X-Long: yes\r\n\r\n"}


async def large_mail(bodies: Bodies, folder: Path, octets: bytes) -> ContentId:
    source = folder / "source"
    source.write_bytes(octets)
    part = scan(octets)
    body = await bodies.keep(hashlib.sha256(octets).hexdigest(), source, header=part.header)
    summary = summarise(part, lambda start, end: octets[start:end])
    return await bodies.store.write(lambda tx: contents.add(tx, body, summary, size=len(octets), refs=1))


async def test_the_header_of_a_large_mail_is_read_without_its_blob(store: Store, tmp_path: Path) -> None:
    blobs = open_blobs(f"file://{tmp_path}/blobs")
    bodies = Bodies(store, blobs)
    octets = b"Subject: x\r\n\r\n" + b"y" * 90_000
    content_id = await large_mail(bodies, tmp_path, octets)
    assert await make.octets_of(bodies, content_id, 0, 15) == octets[:15]
    await blobs.drop(hashlib.sha256(octets).hexdigest())
    assert await make.octets_of(bodies, content_id, 9, 14) == octets[9:14]
    with pytest.raises(Unavailable):
        await make.octets_of(bodies, content_id, 0, 15)


async def test_pop3_sees_inbox(store: Store) -> None:
    folder = await filled(store, 3)
    amy = MailboxId(1)
    shot = await store.read(lambda tx: fetch.snapshot(tx, amy))
    assert shot.folder_id == folder
    assert [(uid, size) for uid, size, _ in shot.mails] == [(uid, len(make.mail(subject="No. 0"))) for uid in (1, 2, 3)]
    assert shot.uidvalidity > 0
    with pytest.raises(NotFound):
        await store.read(lambda tx: fetch.snapshot(tx, MailboxId(999)))


async def test_who_sent_a_mail_is_kept_with_its_copies(store: Store) -> None:
    made = await make.organisation(store, public={"sales": ["amy"]})
    amy = made.members["amy"]

    def work(tx: Tx) -> list[int | None]:
        inbox = make.folder(tx, made.mailboxes["sales"]).id
        octets = make.mail()
        summary = summarise(scan(octets), lambda start, end: octets[start:end])
        content_id = contents.add(tx, contents.Small(octets), summary, size=len(octets), refs=1)
        append.append(tx, content_id, into=inbox, size=len(octets), internal_date=tx.now, sent_by=amy.id)
        change.copy(tx, inbox, EVERY, into=inbox)
        return [row[0] for row in tx.all(_SENT_BY)]

    assert await store.write(work) == [amy.id, amy.id]

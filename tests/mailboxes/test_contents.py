# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The octets of mails: shared by copies, gone with the last one; and no large body is lost to the collector."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from mailroom.core.clock import DAY, MINUTE
from mailroom.core.errors import NotFound, Unavailable
from mailroom.core.ids import ContentId, FolderId, Modseq, Uid
from mailroom.mailboxes import change, contents, read
from mailroom.mailboxes.change import How
from mailroom.mailboxes.contents import PIN, Bodies, Large
from mailroom.mailboxes.model import Flag, FolderRole, Marks
from mailroom.mailboxes.uids import ranges
from mailroom.mime.scan import scan
from mailroom.mime.structure import summarise
from mailroom.storage import schema
from mailroom.storage.engines import open_blobs
from mailroom.storage.engines.files import Files
from mailroom.storage.ports import Store, Tx
from tests import make
from tests.stores import Watch

LARGE = make.mail(size=100_000)
NAME = hashlib.sha256(LARGE).hexdigest()
HEADER = scan(LARGE).header
SUMMARY = summarise(scan(LARGE), lambda start, end: LARGE[start:end])
_COUNT_CONTENTS = select(func.count()).select_from(schema.contents)
_COUNT_BODIES = select(func.count()).select_from(schema.bodies)
_BLOBS = select(schema.blobs.c.refs, schema.blobs.c.doomed)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    blobs = open_blobs(f"file://{tmp_path}/blobs")
    assert isinstance(blobs, Files)
    return blobs


@pytest.fixture
def bodies(store: Store, files: Files) -> Bodies:
    return Bodies(store, files)


async def kept(bodies: Bodies, files: Files, octets: bytes = LARGE) -> Large:
    source = files.incoming / "incoming-test"
    source.write_bytes(octets)
    return await bodies.keep(hashlib.sha256(octets).hexdigest(), source, header=HEADER)


def file_of(files: Files) -> Path:
    return files.folder / NAME[:2] / NAME[2:4] / NAME


def add(tx: Tx, body: Large, refs: int = 1) -> ContentId:
    return contents.add(tx, body, SUMMARY, size=len(LARGE), refs=refs)


async def rows(store: Store) -> tuple[int, int]:
    """How many contents and small bodies there are."""
    one, two = await store.read(lambda tx: (tx.all(_COUNT_CONTENTS), tx.all(_COUNT_BODIES)))
    return one[0][0], two[0][0]


async def blob_rows(store: Store) -> list[tuple[int, ...]]:
    return [tuple(row) for row in await store.read(lambda tx: tx.all(_BLOBS))]


async def removed(store: Store, folder_id: FolderId) -> None:
    def remove(tx: Tx) -> None:
        uids = [mail.uid for mail in read.changes(tx, folder_id, since=Modseq(0)).changed]
        change.mark(tx, folder_id, ranges(uids), How.ADD, Marks(Flag.DELETED))
        change.expunge(tx, folder_id)

    await store.write(remove)


async def test_a_small_body_goes_with_the_last_mail_that_shows_it(store: Store, bodies: Bodies) -> None:
    made = (await make.organisation(store)).mailboxes
    inbox = (await store.read(lambda tx: make.folder(tx, made["amy"]))).id
    other = (await store.read(lambda tx: make.folder(tx, made["bob"], FolderRole.TRASH))).id
    await store.write(lambda tx: make.appended(tx, inbox))
    await store.write(lambda tx: change.copy(tx, inbox, ((1, 1),), into=other))
    mail, content = await store.read(lambda tx: read.mail(tx, other, Uid(1)))
    assert await rows(store) == (1, 1)
    await removed(store, inbox)
    assert await make.octets_of(bodies, content.id) == make.mail()
    assert await make.octets_of(bodies, mail.content_id, 2, 12) == make.mail()[2:12]
    await removed(store, other)
    assert await rows(store) == (0, 0)
    with pytest.raises(NotFound):
        await make.octets_of(bodies, content.id)


async def test_a_large_body_is_read_back_whole_and_in_part(store: Store, bodies: Bodies, files: Files) -> None:
    body = await kept(bodies, files)
    content_id = await store.write(lambda tx: add(tx, body))
    assert await make.octets_of(bodies, content_id) == LARGE
    assert await make.octets_of(bodies, content_id, 70_000, 70_010) == LARGE[70_000:70_010]
    assert await rows(store) == (1, 1)


async def test_a_body_in_use_is_never_collected(store: Store, bodies: Bodies, files: Files, watch: Watch) -> None:
    body = await kept(bodies, files)
    content_id = await store.write(lambda tx: add(tx, body, refs=2))
    watch.now += 100 * DAY
    assert await bodies.collect() == 0
    await store.write(lambda tx: contents.share(tx, content_id, by=-1))
    assert await bodies.collect() == 0
    assert await make.octets_of(bodies, content_id) == LARGE


async def test_a_body_that_nobody_shows_is_collected_after_a_day(
    store: Store, bodies: Bodies, files: Files, watch: Watch
) -> None:
    body = await kept(bodies, files)
    content_id = await store.write(lambda tx: add(tx, body))
    await store.write(lambda tx: contents.share(tx, content_id, by=-1))
    watch.now += PIN
    assert await bodies.collect() == 0
    watch.now += 1
    assert await bodies.collect() == 1
    assert not file_of(files).exists()
    assert await blob_rows(store) == []
    assert await bodies.collect() == 0


async def test_a_body_kept_for_a_mail_that_failed_is_collected_too(
    store: Store, bodies: Bodies, files: Files, watch: Watch
) -> None:
    await kept(bodies, files)
    watch.now += PIN + 1
    assert await bodies.collect() == 1
    assert await blob_rows(store) == []


async def test_keeping_again_renews_the_pin(bodies: Bodies, files: Files, watch: Watch) -> None:
    await kept(bodies, files)
    watch.now += PIN
    await kept(bodies, files)
    watch.now += PIN
    assert await bodies.collect() == 0
    assert file_of(files).read_bytes() == LARGE


async def test_two_mails_of_the_same_octets_share_one_blob(
    store: Store, bodies: Bodies, files: Files, watch: Watch
) -> None:
    body = await kept(bodies, files)
    first, second = await store.write(lambda tx: (add(tx, body), add(tx, body)))
    assert await blob_rows(store) == [(2, 0)]
    await store.write(lambda tx: contents.share(tx, first, by=-1))
    watch.now += 2 * PIN
    assert await bodies.collect() == 0
    assert await make.octets_of(bodies, second) == LARGE


async def test_what_is_being_deleted_cannot_be_kept_until_it_has_gone(
    store: Store, bodies: Bodies, files: Files, watch: Watch
) -> None:
    body = await kept(bodies, files)
    watch.now += PIN + 1
    # A collector that dies between dooming and deleting: a folder is in its way.
    file_of(files).unlink()
    file_of(files).mkdir()
    with pytest.raises(Unavailable):
        await bodies.collect()
    file_of(files).rmdir()
    with pytest.raises(Unavailable):
        await kept(bodies, files)
    with pytest.raises(Unavailable):
        await store.write(lambda tx: add(tx, body))
    assert await bodies.collect() == 0  # it may be alive yet
    watch.now += 10 * MINUTE + 1
    assert await bodies.collect() == 1
    body = await kept(bodies, files)
    content_id = await store.write(lambda tx: add(tx, body))
    assert await make.octets_of(bodies, content_id) == LARGE


class Slow:
    """The files behind a network: that they are gone is not known until the test goes on."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.dropped, self.go_on = asyncio.Event(), asyncio.Event()

    async def keep(self, name: str, source: Path) -> None:
        await self.files.keep(name, source)

    def read(self, name: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        return self.files.read(name, start, end)

    async def drop(self, name: str) -> None:
        await self.files.drop(name)
        self.dropped.set()
        await self.go_on.wait()


async def test_a_collector_that_was_paused_deletes_nothing_that_was_kept_meanwhile(
    store: Store, bodies: Bodies, files: Files, watch: Watch
) -> None:
    both = [make.mail(subject=subject, size=100_000) for subject in ("one", "two")]
    for octets in both:
        await kept(bodies, files, octets)
    watch.now += PIN + 1
    slow = Slow(files)
    paused = asyncio.ensure_future(Bodies(store, slow).collect())
    await slow.dropped.wait()

    watch.now += 10 * MINUTE + 1  # its clock, or ours: it is taken for dead
    while await bodies.collect():
        pass
    again = [await kept(bodies, files, octets) for octets in both]
    content_ids = [await store.write(lambda tx, body=body: add(tx, body)) for body in again]  # type: ignore[misc]  # mypy infers no lambda with a default
    slow.go_on.set()

    await paused
    assert [await make.octets_of(bodies, content_id) for content_id in content_ids] == both
    assert await blob_rows(store) == [(1, 0), (1, 0)]


async def test_a_collector_that_was_paused_leaves_the_doom_of_another(
    store: Store, bodies: Bodies, files: Files, watch: Watch
) -> None:
    await kept(bodies, files)
    watch.now += PIN + 1
    first, second = Slow(files), Slow(files)
    paused = asyncio.ensure_future(Bodies(store, first).collect())
    await first.dropped.wait()
    watch.now += 10 * MINUTE + 1
    taken_over = asyncio.ensure_future(Bodies(store, second).collect())
    await second.dropped.wait()

    first.go_on.set()
    await paused
    with pytest.raises(Unavailable):
        await kept(bodies, files)  # the second may be deleting it yet
    second.go_on.set()
    await taken_over
    await kept(bodies, files)
    assert file_of(files).exists()


async def test_a_body_that_was_collected_meanwhile_cannot_be_referred_to(
    store: Store, bodies: Bodies, files: Files, watch: Watch
) -> None:
    body = await kept(bodies, files)
    watch.now += PIN + 1
    await bodies.collect()
    with pytest.raises(Unavailable):
        await store.write(lambda tx: add(tx, body))
    assert await rows(store) == (0, 0)


async def test_a_transaction_that_fails_leaves_no_reference(store: Store, bodies: Bodies, files: Files) -> None:
    body = await kept(bodies, files)

    def fail(tx: Tx) -> None:
        add(tx, body)
        raise NotFound(what="folder", name="x")

    with pytest.raises(NotFound):
        await store.write(fail)
    assert await blob_rows(store) == [(0, 0)]
    assert await rows(store) == (0, 0)

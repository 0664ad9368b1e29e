# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What every store of large bodies promises."""

from __future__ import annotations

import asyncio
import hashlib
import random
from pathlib import Path

import pytest

from mailroom.core.errors import InvalidValue, Unavailable
from mailroom.storage.engines import open_blobs
from mailroom.storage.ports import Blobs

LARGE = random.Random(1).randbytes(700_001)


@pytest.fixture(params=["files"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    assert request.param == "files"
    return open_blobs(f"file://{tmp_path}/new/blobs")


async def keep(blobs: Blobs, octets: bytes, folder: Path) -> str:
    name = hashlib.sha256(octets).hexdigest()
    source = folder / "spool"
    source.write_bytes(octets)
    await blobs.keep(name, source)
    source.unlink(missing_ok=True)
    return name


async def read(blobs: Blobs, name: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in blobs.read(name, start, end)])


@pytest.mark.parametrize("octets", [b"", b"a", LARGE])
async def test_what_was_kept_is_read(blobs: Blobs, tmp_path: Path, octets: bytes) -> None:
    assert await read(blobs, await keep(blobs, octets, tmp_path)) == octets


@pytest.mark.parametrize(
    ("start", "end"), [(0, 0), (0, 10), (5, None), (300_000, 600_000), (700_000, 900_000), (800_000, None), (9, 3)]
)
async def test_a_part_is_read(blobs: Blobs, tmp_path: Path, start: int, end: int | None) -> None:
    assert await read(blobs, await keep(blobs, LARGE, tmp_path), start, end) == LARGE[start:end]


async def test_chunks_are_of_bounded_size(blobs: Blobs, tmp_path: Path) -> None:
    name = await keep(blobs, LARGE, tmp_path)
    assert max([len(chunk) async for chunk in blobs.read(name)]) <= 1 << 20


async def test_keeping_again_is_harmless_also_at_the_same_time(blobs: Blobs, tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(10)]
    for folder in folders:
        folder.mkdir()
    names = await asyncio.gather(*(keep(blobs, LARGE, folder) for folder in folders))
    assert await read(blobs, names[0]) == LARGE


async def test_what_was_dropped_is_gone(blobs: Blobs, tmp_path: Path) -> None:
    name = await keep(blobs, b"a", tmp_path)
    await blobs.drop(name)
    await blobs.drop(name)
    with pytest.raises(Unavailable):
        await read(blobs, name)
    assert await read(blobs, await keep(blobs, b"a", tmp_path)) == b"a"


async def test_a_reader_that_stops_early_holds_nothing(blobs: Blobs, tmp_path: Path) -> None:
    name = await keep(blobs, LARGE, tmp_path)
    chunks = blobs.read(name)
    assert LARGE.startswith(await anext(chunks))
    await chunks.aclose()  # type: ignore[attr-defined]  # every engine's is an async generator
    await blobs.drop(name)


async def test_a_name_that_is_no_digest_is_a_bug(blobs: Blobs, tmp_path: Path) -> None:
    source = tmp_path / "spool"
    source.write_bytes(b"")
    with pytest.raises(ValueError, match="SHA-256"):
        await blobs.keep("../../etc/passwd", source)


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(InvalidValue, match="file://"):
        open_blobs("ftp://host/path")

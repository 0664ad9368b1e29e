# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Backing up a mailbox of 100,000 mails (4 KiB; one in a hundred 100 KiB, which lies in a blob) into others, and
exporting it: time, disk, memory, and how long other transactions wait meanwhile.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from bench import load, machine
from bench.load import DOMAIN
from mailroom.core import clock, settings
from mailroom.core.ids import FolderId, MailboxId
from mailroom.directory import addresses, domains, members
from mailroom.directory.model import SYSTEM, DomainState, Role
from mailroom.events import jobs
from mailroom.events.jobs import Job, JobState
from mailroom.mailboxes import append, backup, contents, create, export, folders
from mailroom.mailboxes.contents import Large, Small
from mailroom.mailboxes.export import Form
from mailroom.mime.scan import Part, scan
from mailroom.mime.structure import Summary, summarise
from mailroom.runtime.app import App, open_app
from mailroom.storage.ports import Tx

_MAILS = 100_000
_FOLDERS = ("INBOX", "Sent", "Work/2025", "Work/2026")
_AT_ONCE = 500
_LARGE_EVERY = 100
_PAUSE = 0.02  # seconds between two transactions of another
_MB = 1_000_000


def run(folder: Path, *, rounds: int, seconds: float) -> str:  # noqa: ARG001 # it takes as long as it takes
    """The table, in Markdown."""
    return asyncio.run(_run(folder, rounds))


async def _run(folder: Path, rounds: int) -> str:
    variables = {"MAILROOM_DATA": str(folder / "data"), "MAILROOM_HOSTNAME": "mx.bench.example"}
    async with open_app(settings.load(None, variables)) as app:
        made = await app.store.write(partial(_make, people=rounds + 2))
        print("  filling", flush=True)
        await _fill(app, folder, made[0])
        source, probed = made[0], made[1]
        quiet = await _quiet(app, probed)
        rows = [f"| another's transaction before: median, 99th percentile, longest, ms | {quiet} |"]
        took, grown, waits = [], [], []
        for target in made[2:]:
            before = await _disk(folder)
            began = time.monotonic()
            async with _probing(app, probed) as probe:
                job = await _done(app, source, target)
            took.append(time.monotonic() - began)
            grown.append((await _disk(folder) - before) / _MB)
            waits.append(probe)
            print(f"  {took[-1]:6.1f} s, {grown[-1]:6.1f} MB more; others waited {_ms(waits[-1])}", flush=True)
            assert job.result["copied"] == _MAILS
        began = time.monotonic()
        await _done(app, source, made[2])
        again = time.monotonic() - began
        rows += [
            f"| the mailbox on disk, MB | {(await _disk(folder) - sum(grown) * _MB) / _MB:,.0f} |",
            f"| a backup, s | {statistics.median(took):.1f} |",
            f"| mails a second | {_MAILS / statistics.median(took):,.0f} |",
            f"| disk for the copies, MB | {statistics.median(grown):,.0f} |",
            f"| another's transaction meanwhile, ms | {_ms([one for probe in waits for one in probe])} |",
            f"| a second backup, with nothing new, s | {again:.2f} |",
        ]
        for form in Form:
            rows.append(await _export(app, folder, source, form))
            print(f"  {rows[-1]}", flush=True)
    return "| | SQLite |\n|---|---|\n" + "\n".join(rows) + "\n"


def _make(tx: Tx, *, people: int) -> list[MailboxId]:
    organisation_id = members.found_organisation(tx, "Bench")
    domains.add(tx, SYSTEM, organisation_id, DOMAIN, state=DomainState.ACTIVE)
    made = []
    for number in range(people):
        owner = members.add(tx, organisation_id, f"u{number}", name="U", password_hash="", role=Role.MEMBER)
        made.append(create.personal(tx, SYSTEM, owner, addresses.parse_new(f"u{number}@{DOMAIN}")))
    return made


async def _fill(app: App, folder: Path, mailbox_id: MailboxId) -> None:
    into = [await app.store.write(partial(_folder, mailbox_id=mailbox_id, name=name)) for name in _FOLDERS]
    small, large = load.mail(4096), load.mail(100 * 1024)
    kinds = [(octets, scan(octets), _summary(octets)) for octets in (small, large)]
    for start in range(0, _MAILS, _AT_ONCE):
        numbers = range(start, start + _AT_ONCE, _LARGE_EVERY)
        kept = [await _keep(app, folder, large + b"%d\r\n" % number, kinds[1][1]) for number in numbers]
        place = into[start * len(into) // _MAILS]
        await app.store.write(partial(_append, into=place, start=start, small=kinds[0], large=kinds[1], kept=kept))


def _summary(octets: bytes) -> Summary:
    return summarise(scan(octets), lambda start, end: octets[start:end])


async def _keep(app: App, folder: Path, octets: bytes, part: Part) -> Large:
    source = folder / "incoming"
    source.write_bytes(octets)
    return await app.bodies.keep(hashlib.sha256(octets).hexdigest(), source, header=part.header)


def _append(
    tx: Tx,
    *,
    into: FolderId,
    start: int,
    small: tuple[bytes, Part, Summary],
    large: tuple[bytes, Part, Summary],
    kept: list[Large],
) -> None:
    for number in range(start, start + _AT_ONCE):
        octets, _, summary = small
        body: Small | Large = Small(octets + b"%d\r\n" % number)
        if number % _LARGE_EVERY == 0:
            body, (octets, _, summary) = kept.pop(0), large
        size = len(octets) + len(b"%d\r\n" % number)
        content_id = contents.add(tx, body, summary, size=size, refs=1)
        append.append(tx, content_id, into=into, size=size, internal_date=number)


def _folder(tx: Tx, *, mailbox_id: MailboxId, name: str) -> FolderId:
    found = folders.by_name(tx, mailbox_id, name)
    return found.id if found else folders.create(tx, mailbox_id, name)


async def _done(app: App, source: MailboxId, target: MailboxId) -> Job:
    job = await app.store.write(lambda tx: backup.start(tx, SYSTEM, source, target))
    await app.work.once()
    job = await app.store.read(lambda tx: jobs.get(tx, job.id))
    assert job.state is JobState.DONE
    return job


@asynccontextmanager
async def _probing(app: App, mailbox_id: MailboxId) -> AsyncIterator[list[float]]:
    """The milliseconds that small transactions of another took while the context lasted."""
    took: list[float] = []
    octets = load.mail(4096)
    summary = _summary(octets)

    def write(tx: Tx) -> None:
        content_id = contents.add(tx, Small(octets), summary, size=len(octets), refs=1)
        append.append(tx, content_id, into=_folder(tx, mailbox_id=mailbox_id, name="INBOX"), size=1, internal_date=0)

    async def probe() -> None:
        while True:
            began = time.monotonic()
            await app.store.write(write)
            took.append((time.monotonic() - began) * 1000)
            await asyncio.sleep(_PAUSE)

    task = asyncio.create_task(probe())
    try:
        yield took
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _quiet(app: App, mailbox_id: MailboxId) -> str:
    async with _probing(app, mailbox_id) as took:
        await asyncio.sleep(2)
    return _ms(took)


def _ms(took: list[float]) -> str:
    ordered = sorted(took)
    return f"{statistics.median(ordered):.1f}, {ordered[len(ordered) * 99 // 100]:.1f}, {ordered[-1]:.1f}"


async def _disk(folder: Path) -> int:
    """Octets that the data takes, once SQLite has carried its log back."""
    await asyncio.sleep(2)
    files = [each for each in (folder / "data").rglob("*") if each.is_file() and not each.name.endswith("-wal")]
    return sum(each.stat().st_blocks * 512 for each in files)


async def _export(app: App, folder: Path, source: MailboxId, form: Form) -> str:
    async def told(_finished: int) -> None:
        """Nobody looks."""

    plan = await app.store.write(lambda tx: export.begin(tx, SYSTEM, source))
    Path("/proc/self/clear_refs").write_text("5")  # noqa: ASYNC240 # the peak begins anew (proc(5))
    before, began = machine.peak_rss(os.getpid()), clock.now()
    written = await app.exports.write(plan, folder / f"out.{form}", form, told)
    took = (clock.now() - began) / clock.SECOND
    more = (machine.peak_rss(os.getpid()) - before) / _MB
    assert (written.mails, written.gone) == (_MAILS, 0)
    return f"| export as {form}: s, MB, MB of memory more | {took:.1f}, {written.octets / _MB:,.0f}, {more:.0f} |"

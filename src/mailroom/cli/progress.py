# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""How far long work is, for who waits for it at a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from mailroom.core.ids import JobId
from mailroom.events import jobs
from mailroom.events.jobs import Job

if TYPE_CHECKING:
    from mailroom.runtime.app import App

_LOOK = 0.2  # seconds

Show = Callable[[int, int], None]
"""Shows that so many of so many are done."""


@contextlib.contextmanager
def bar(title: str) -> Iterator[Show]:
    """A bar on standard error while the context lasts; nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _finished, _total: None
        return
    # Slow to load, and needed by few verbs.
    from rich.console import Console  # noqa: PLC0415 # see above
    from rich.progress import MofNCompleteColumn, Progress  # noqa: PLC0415 # see above

    columns = Progress.get_default_columns()
    with Progress(*columns, MofNCompleteColumn(), console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(title, total=None)
        yield lambda finished, total: shown.update(task, completed=finished, total=total)


async def follow(app: App, job_id: JobId) -> Job:
    """Wait until the job has ended. This process works too: it need not be a server that does it. Raises `NotFound`."""
    job = await app.store.read(lambda tx: jobs.get(tx, job_id))
    worker = asyncio.create_task(app.work.run())
    try:
        with bar(job.subject) as show:
            while not job.state.has_ended:
                await asyncio.sleep(_LOOK)
                job = await app.store.read(lambda tx: jobs.get(tx, job_id))
                show(job.finished, job.total)
    finally:
        worker.cancel()
        await asyncio.wait([worker])
    return job

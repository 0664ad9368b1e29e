# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`/jobs`: long work, how far it is, and how to stop it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mailroom.core.ids import JobId
from mailroom.directory import rights, tasks
from mailroom.events import jobs
from mailroom.events.jobs import Job, JobState
from mailroom.storage.ports import Tx
from mailroom.web.api.contract import (
    Asked,
    Handed,
    House,
    Moment,
    Operation,
    Page,
    Paging,
    Shape,
    before,
    follows,
    moment,
    read,
)
from mailroom.web.numbers import number


class JobShape(Shape):
    """A job. `finished` of `total` is in what its kind counts."""

    id: int
    kind: str
    subject: str
    """What it is about."""
    actor: str
    """Who asked for it."""
    state: JobState
    finished: int
    total: int
    result: Any
    """What came of it, once it is done."""
    reason: str
    """Why it failed: a stable code and a sentence."""
    created: Moment | None
    ended: Moment | None


LOCATION = "/jobs/{id}"


def shape(job: Job) -> JobShape:
    """The job, as a program sees it."""
    return JobShape(
        id=job.id,
        kind=job.kind,
        subject=job.subject,
        actor=job.actor,
        state=job.state,
        finished=job.finished,
        total=job.total,
        result=job.result,
        reason=job.reason,
        created=moment(job.created_at),
        ended=moment(job.ended_at),
    )


def every(tx: Tx, asked: Asked[None]) -> Page[JobShape]:
    """The jobs, the newest first."""
    rights.over_all(asked.by)
    found = jobs.page(tx, before=before(asked.query), limit=asked.query.limit)
    return Page[JobShape](items=[shape(one) for one in found], next=follows(found, asked.query))


def get(tx: Tx, asked: Asked[None]) -> JobShape:
    """How far a job is."""
    rights.over_all(asked.by)
    return shape(jobs.get(tx, JobId(number(asked.path["job"]))))


def cancel(tx: Tx, asked: Asked[None]) -> JobShape:
    """Do no more of it; what is done stays."""
    return shape(tasks.cancel(tx, asked.by, JobId(number(asked.path["job"]))))


async def _files(house: House, _asked: Asked[None]) -> Callable[[Job], Path]:
    return house.exports.file


def file(tx: Tx, asked: Asked[None]) -> Handed:
    """The file that an export has written. It is there for a day."""
    rights.over_all(asked.by)
    job = jobs.get(tx, JobId(number(asked.path["job"])))
    path: Path = asked.prepared(job)
    return Handed(path, f"{job.subject}{path.suffix}")


OPERATIONS = (
    read("/jobs", every, Page[JobShape], query=Paging),
    read("/jobs/{job}", get, JobShape),
    Operation(method="GET", path="/jobs/{job}/file", work=file, answer=Handed, prepare=_files),
    Operation(method="POST", path="/jobs/{job}/cancel", work=cancel, answer=JobShape),
)

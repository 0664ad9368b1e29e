# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Long work that somebody asked for: a backup, an export, a purge. It shows how far it is, goes on after a crash, and
can be cancelled.

A job is a row under a lease. Its worker does it in pieces, each in one transaction together with the note of how far
it has come (`progress`): a piece counts once, whoever dies. Cancelling takes the lease away; the piece that is under
way then comes to nothing.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from sqlalchemy import bindparam, delete, insert, null, select, update

from mailroom.core.clock import MINUTE, SECOND
from mailroom.core.errors import NotFound, NotRunning, Refusal
from mailroom.core.ids import JobId
from mailroom.storage import schema, sql
from mailroom.storage.claim import Claims
from mailroom.storage.ports import Row, Tx

TOPIC = "jobs"
LEASE: Final = MINUTE  # a piece takes less
_LONGEST_PAUSE: Final = 10 * MINUTE


class JobState(enum.StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def has_ended(self) -> bool:
        """Whether nothing more happens to it."""
        return self not in {JobState.QUEUED, JobState.RUNNING}


@dataclass(frozen=True, slots=True)
class Job:
    """One job. `finished` of `total` is in what its kind counts; times are in milliseconds."""

    id: JobId
    kind: str
    task: Mapping[str, Any]  # what to do
    actor: str  # who asked for it
    subject: str  # what it is about, for people
    state: JobState
    finished: int
    total: int
    notes: Mapping[str, Any]  # where the work stands, for its worker
    result: Any
    reason: str  # why it failed, or has to wait: a stable code and a sentence
    created_at: int
    ended_at: int | None


@dataclass(frozen=True, slots=True)
class Held:
    """A job that its worker has the lease of."""

    job: Job
    lease: str
    attempts: int  # since it last got on


class JobLost(Exception):
    """The job was cancelled, or is another worker's by now; what this transaction did must not count."""


class Worker(Protocol):
    """Does the jobs of one kind."""

    async def advance(self, held: Held) -> Held | None:
        """Do one piece, shorter than `LEASE`, and note it in its transaction by `progress`, whose result is given back;
        or `finish` (or `wait`), and none. Raises `JobLost`, and `Refusal`: the job fails for that reason, but for one
        that may pass (`UNAVAILABLE`, `NO_SPACE`): then it is due again.
        """


_jobs = schema.jobs
_claims = Claims(_jobs, where=_jobs.c.kind.in_(bindparam("kinds", expanding=True)))
_COLUMNS = (
    _jobs.c.id,
    _jobs.c.kind,
    _jobs.c.task,
    _jobs.c.actor,
    _jobs.c.subject,
    _jobs.c.state,
    _jobs.c.finished,
    _jobs.c.total,
    _jobs.c.notes,
    _jobs.c.result,
    _jobs.c.reason,
    _jobs.c.created_at,
    _jobs.c.ended_at,
)
_START = (
    insert(_jobs)
    .values(
        kind=bindparam("kind"),
        task=bindparam("task"),
        actor=bindparam("actor"),
        subject=bindparam("subject"),
        state=JobState.QUEUED.value,
        total=bindparam("total"),
        created_at=bindparam("now"),
        next_at=bindparam("now"),
    )
    .returning(_jobs.c.id)
)
_BY_ID = select(*_COLUMNS).where(_jobs.c.id == bindparam("job_id"))
_PAGE = select(*_COLUMNS).where(_jobs.c.id < bindparam("before_id")).order_by(_jobs.c.id.desc())
_PAGE = _PAGE.limit(bindparam("most"))
_OPEN = select(*_COLUMNS).where(_jobs.c.kind == bindparam("kind"), _jobs.c.next_at.is_not(None)).order_by(_jobs.c.id)
_OURS = update(_jobs).where(_jobs.c.id == bindparam("which"), _jobs.c.lease == bindparam("ours"))
_PROGRESS = _OURS.values(
    state=JobState.RUNNING.value,
    finished=bindparam("so_far"),
    total=bindparam("of"),
    notes=bindparam("stand"),
    reason="",
    attempts=0,
    next_at=bindparam("until"),
)
_EXCUSE = _OURS.values(reason=bindparam("why"))
_ENDED: dict[str, Any] = {
    "state": bindparam("end"),
    "reason": bindparam("why"),
    "ended_at": bindparam("now"),
    "next_at": null(),
    "lease": "",
}
_END = _OURS.values(**_ENDED, result=bindparam("outcome"))
_CANCEL = update(_jobs).where(_jobs.c.id == bindparam("which"), _jobs.c.next_at.is_not(None)).values(**_ENDED)
_FORGET = delete(_jobs).where(_jobs.c.next_at.is_(None), _jobs.c.created_at < bindparam("before"))


def _to_job(row: Row) -> Job:
    return Job(
        JobId(row[0]),
        row[1],
        json.loads(row[2]),
        row[3],
        row[4],
        JobState(row[5]),
        row[6],
        row[7],
        json.loads(row[8]),
        json.loads(row[9]),
        *row[10:],
    )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def start(tx: Tx, kind: str, task: Mapping[str, Any], *, by: str, subject: str, total: int = 0) -> Job:
    """Have it done, from the commit on. `task` is JSON and holds no secret."""
    row = tx.first(_START, kind=kind, task=_json(task), actor=by, subject=subject, total=total, now=tx.now)
    tx.hint(TOPIC)
    return get(tx, JobId(sql.returned(row)))


def get(tx: Tx, job_id: JobId) -> Job:
    """The job. Raises `NotFound`."""
    row = tx.first(_BY_ID, job_id=job_id)
    if row is None:
        raise NotFound(what="job", name=str(job_id))
    return _to_job(row)


def page(tx: Tx, *, before: int, limit: int) -> Sequence[Job]:
    """The newest jobs with an id below `before`, the newest first."""
    return [_to_job(row) for row in tx.all(_PAGE, before_id=before, most=limit)]


def pending(tx: Tx, kind: str) -> Sequence[Job]:
    """The jobs of that kind that have not ended, the oldest first."""
    return [_to_job(row) for row in tx.all(_OPEN, kind=kind)]


def claim(tx: Tx, kinds: Collection[str], *, lease: str) -> Held | None:
    """Take the job of one of these kinds that has been due for longest, if any, for as long as `LEASE`. `lease` must be
    new.
    """
    rows = _claims.claim(tx, lease=lease, until=tx.now + LEASE, limit=1, kinds=list(kinds))
    return Held(get(tx, JobId(rows[0][0])), lease, rows[0][1]) if rows else None


def progress(
    tx: Tx, held: Held, *, finished: int, total: int | None = None, notes: Mapping[str, Any] | None = None
) -> Held:
    """Note how far the work has come, and hold it for another `LEASE`. Raises `JobLost`."""
    job = replace(
        held.job,
        state=JobState.RUNNING,
        finished=finished,
        total=held.job.total if total is None else total,
        notes=held.job.notes if notes is None else notes,
        reason="",
    )
    values = {"so_far": job.finished, "of": job.total, "stand": _json(job.notes), "until": tx.now + LEASE}
    if not tx.run(_PROGRESS, which=job.id, ours=held.lease, **values):
        raise JobLost
    return replace(held, job=job, attempts=0)


def finish(tx: Tx, held: Held, result: Any = None) -> None:
    """It is done. Raises `JobLost`."""
    _end(tx, held, JobState.DONE, outcome=result)


def fail(tx: Tx, held: Held, refusal: Refusal) -> None:
    """It cannot be done. Raises `JobLost`."""
    _end(tx, held, JobState.FAILED, why=said(refusal))


def said(refusal: Refusal) -> str:
    """A refusal as a job's reason."""
    return f"{refusal.code}: {refusal}"


def _end(tx: Tx, held: Held, state: JobState, *, outcome: Any = None, why: str = "") -> None:
    values = {"end": state.value, "why": why, "outcome": _json(outcome), "now": tx.now}
    if not tx.run(_END, which=held.job.id, ours=held.lease, **values):
        raise JobLost


def again(tx: Tx, held: Held, reason: str) -> None:
    """Something stopped it; it is due again after a pause that grows while it does not get on. Raises `JobLost`."""
    pause = min(SECOND << min(held.attempts, 10), _LONGEST_PAUSE)
    tx.run(_EXCUSE, which=held.job.id, ours=held.lease, why=reason)
    wait(tx, held, until=tx.now + pause)


def wait(tx: Tx, held: Held, *, until: int) -> None:
    """Give it back; it is due at `until` (milliseconds), for whoever takes it then. Raises `JobLost`."""
    if not _claims.again(tx, held.job.id, lease=held.lease, at=until):
        raise JobLost


def cancel(tx: Tx, job_id: JobId) -> Job:
    """Do no more of it; what is done stays. Raises `NotFound`, `NotRunning`."""
    if not tx.run(_CANCEL, which=job_id, end=JobState.CANCELLED.value, why="", now=tx.now):
        raise NotRunning(job=int(job_id), state=get(tx, job_id).state.value)
    return get(tx, job_id)


def forget(tx: Tx, *, before: int) -> None:
    """Drop jobs that ended and were asked for before that time (milliseconds)."""
    tx.run(_FORGET, before=before)

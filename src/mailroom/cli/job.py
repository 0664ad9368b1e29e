# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom job`: long work, how far it is, and how to end it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mailroom.cli import progress, verb
from mailroom.core import clock
from mailroom.core.ids import JobId
from mailroom.directory import tasks
from mailroom.events import jobs
from mailroom.events.jobs import Job, JobState

app = typer.Typer(help="Long work: backups, exports, purges.", no_args_is_help=True)

_COLUMNS = ("id", "created", "kind", "subject", "actor", "state", "finished", "total", "reason")
_Id = Annotated[int, typer.Argument(metavar="ID", min=1, max=verb.LARGEST)]


@app.command("list")
def list_(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    as_json: verb.AsJson = False,
) -> None:
    """List the jobs, the newest first."""
    found = verb.read(context, lambda tx: jobs.page(tx, before=verb.LARGEST, limit=limit))
    verb.rows(_COLUMNS, [shown(job) for job in found], as_json=as_json)


def shown(job: Job) -> dict[str, Any]:
    """A job, to be printed."""
    return {
        "id": job.id,
        "created": clock.iso(job.created_at),
        "ended": None if job.ended_at is None else clock.iso(job.ended_at),
        "kind": job.kind,
        "subject": job.subject,
        "actor": job.actor,
        "state": job.state.value,
        "finished": job.finished,
        "total": job.total,
        "result": job.result,
        "reason": job.reason,
    }


@app.command()
def show(context: typer.Context, job: _Id, as_json: verb.AsJson = False) -> None:
    """Show one job: how far it is, what came of it, or why it failed."""
    verb.one(shown(verb.read(context, lambda tx: jobs.get(tx, JobId(job)))), as_json=as_json)


@app.command()
def cancel(context: typer.Context, job: _Id) -> None:
    """Do no more of a job. What is done stays, and counts when the same is asked for again."""
    verb.write(context, lambda tx: tasks.cancel(tx, verb.operator(), JobId(job)))


@app.command()
def wait(context: typer.Context, job: _Id, as_json: verb.AsJson = False) -> None:
    """Wait until a job has ended; this command does it itself where no server runs. Exit 1: it came to nothing."""
    ended(verb.run(context, lambda app: progress.follow(app, JobId(job))), as_json=as_json)


def ended(job: Job, *, as_json: bool) -> None:
    """Print what came of a job; what came to nothing is a refusal."""
    if job.state is JobState.DONE or as_json:
        verb.one(shown(job), as_json=as_json)
    if job.state is not JobState.DONE:
        typer.echo(job.reason or f"{job.state.value}: job {job.id}", err=True)
        raise typer.Exit(1)

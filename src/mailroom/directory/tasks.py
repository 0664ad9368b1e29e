# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Long work, as administrators may end it."""

from __future__ import annotations

from mailroom.core.ids import JobId
from mailroom.directory import audit, rights
from mailroom.directory.model import Actor
from mailroom.events import jobs
from mailroom.events.jobs import Job
from mailroom.storage.ports import Tx


def cancel(tx: Tx, by: Actor, job_id: JobId) -> Job:
    """Do no more of a job; what is done stays. Raises `NoPermission`, `NotFound`, `NotRunning`."""
    rights.over_all(by)
    job = jobs.cancel(tx, job_id)
    after = {"job": job.id, "kind": job.kind, "finished": job.finished, "total": job.total}
    audit.record(tx, by, "job.cancel", job.subject, after=after)
    return job

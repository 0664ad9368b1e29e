# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A member leaves: he is shut out, his mail is copied to another mailbox or his mailbox given to a colleague, and he is
removed; what is left of his goes to the recycle bin. One job does it, step by step, each in one transaction with the
note that it is done.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from mailroom.core.clock import SECOND
from mailroom.core.errors import InUse, InvalidValue, NotFound, NotRunning
from mailroom.core.ids import JobId, MailboxId, MemberId
from mailroom.directory import access, addresses, audit, members, rights
from mailroom.directory.model import Actor, ActorKind, Member, MemberStatus
from mailroom.events import jobs
from mailroom.events.jobs import Held, Job, JobState
from mailroom.mailboxes import backup, leave, queries, quota, reassign
from mailroom.mailboxes.model import MailboxStatus
from mailroom.storage.ports import Store, Tx

KIND: Final = "offboard"
_PAUSE: Final = 2 * SECOND  # between two looks at the backup


class Step(enum.StrEnum):
    """What is done, in this order."""

    DISABLE = "disable"
    BACKUP = "backup"
    REASSIGN = "reassign"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Wish:
    """What shall become of the mail: copied into a mailbox, or the mailbox given to a member, or neither."""

    into: MailboxId | None = None
    to: Member | None = None


class DryRun(Exception):
    """What would be done: each step, and what is to be known of it. Nothing of it has been."""

    def __init__(self, plan: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(plan)
        self.plan = plan


def start(tx: Tx, by: Actor, leaver: Member, wish: Wish) -> Job:
    """Have it done, whatever becomes of the rights of `by` meanwhile. What stands against a later step shows when it
    comes to that: `rehearse` first. Raises `NoPermission`, `CannotDisable`, `NotFound` (a mailbox that he has not),
    `InvalidValue`, `InUse` (he is being offboarded already).
    """
    steps = _ask(tx, by, leaver, wish)
    task = {
        "member": leaver.id,
        "mailbox": access.own_mailbox(tx, leaver.id),
        "into": wish.into,
        "to": None if wish.to is None else wish.to.id,
        "steps": [step.value for step in steps],
    }
    job = jobs.start(tx, KIND, task, by=str(by), subject=leaver.userid, total=len(steps))
    audit.record(tx, by, "member.offboard", leaver.userid, after={"job": job.id})
    return job


def rehearse(tx: Tx, by: Actor, leaver: Member, wish: Wish) -> None:
    """Do all of it at once, but for the copying, to see whether it can be done; then raise `DryRun`, so that nothing of
    it is kept. Raises as `start`, `backup.start` and `reassign.reassign` do.
    """
    plan = []
    own = access.own_mailbox(tx, leaver.id)
    uses = [addresses.primary(tx, each) for each in access.mailboxes_of(tx, leaver.id)]
    for step in _ask(tx, by, leaver, wish):
        about: dict[str, Any] = {"step": step.value, "userid": leaver.userid}
        match step:
            case Step.DISABLE:
                _disable(tx, by, leaver, own if wish.into else None)
                about["loses"] = uses
            case Step.BACKUP:
                assert own is not None
                assert wish.into is not None
                job = backup.start(tx, by, own, wish.into)
                about |= {"mailbox": addresses.primary(tx, own), "into": addresses.primary(tx, wish.into)}
                about |= {"mails": job.total}
            case Step.REASSIGN:
                assert own is not None
                assert wish.to is not None
                displaced = reassign.reassign(tx, by, own, wish.to)
                about |= {"mailbox": addresses.primary(tx, own), "to": wish.to.userid}
                about |= {"to_bin": displaced.address, "purged_after": displaced.purge_at} if displaced else {}
            case Step.REMOVE:
                entry = leave.member(tx, by, leaver.userid)
                about |= {"to_bin": entry.address, "purged_after": entry.purge_at} if entry else {}
        plan.append(about)
    raise DryRun(plan)


def _ask(tx: Tx, by: Actor, leaver: Member, wish: Wish) -> Sequence[Step]:
    """The steps, if they may be begun."""
    rights.over_all(by)
    members.lock_organisation(tx)  # before the member, as `reassign` does
    if not queries.recycled.lock_member(tx, leaver.id):
        raise NotFound(what="member", name=leaver.userid)
    members.ask_dispensable(by, leaver)
    if wish.into is not None and wish.to is not None:
        raise InvalidValue(name="offboard", reason="either copied, or given to a member")
    if (wish.into is not None or wish.to is not None) and access.own_mailbox(tx, leaver.id) is None:
        raise NotFound(what="mailbox", name=leaver.userid)
    for job in jobs.pending(tx, KIND):
        if job.task["member"] == leaver.id:
            raise InUse(what="member", name=leaver.userid, by=f"{KIND} {job.id}")
    chosen = {Step.BACKUP: wish.into is not None, Step.REASSIGN: wish.to is not None}
    return [step for step in Step if chosen.get(step, True)]


def _disable(tx: Tx, by: Actor, leaver: Member, mailbox_id: MailboxId | None) -> None:
    if leaver.status is MemberStatus.ACTIVE:
        members.change_status(tx, by, leaver.userid, MemberStatus.DISABLED)
    if mailbox_id is not None:  # nothing new comes while it is copied
        quota.change_status(tx, by, mailbox_id, MailboxStatus.DISABLED)


@dataclass(frozen=True, slots=True)
class Offboard:
    """Does the job."""

    store: Store

    async def advance(self, held: Held) -> Held | None:
        """See `jobs.Worker`. Raises as `rehearse` does, and `NotRunning` when the backup came to nothing."""
        return await self.store.write(partial(_go_on, held=held))


def _go_on(tx: Tx, *, held: Held) -> Held | None:
    task, done = held.job.task, held.job.finished
    if done == len(task["steps"]):
        jobs.finish(tx, held)
        return None
    kind, _, name = held.job.actor.partition(":")
    by = Actor(ActorKind(kind), name, governs_all=True)
    members.lock_organisation(tx)
    leaver = members.by_id(tx, MemberId(task["member"]))
    step, mailbox_id = Step(task["steps"][done]), access.own_mailbox(tx, leaver.id)
    if step in {Step.BACKUP, Step.REASSIGN} and mailbox_id != task["mailbox"]:  # another has given it away
        raise NotFound(what="mailbox", name=leaver.userid)
    match step:
        case Step.DISABLE:
            _disable(tx, by, leaver, mailbox_id if task["into"] else None)
        case Step.BACKUP:
            assert mailbox_id is not None
            copying = held.job.notes.get("backup")
            if copying is None:
                job = backup.start(tx, by, mailbox_id, MailboxId(task["into"]))
                return jobs.progress(tx, held, finished=done, notes={"backup": job.id})
            job = jobs.get(tx, JobId(copying))
            if not job.state.has_ended:
                jobs.wait(tx, held, until=tx.now + _PAUSE)
                return None
            if job.state is not JobState.DONE:
                raise NotRunning(job=int(job.id), state=job.state.value)
        case Step.REASSIGN:
            assert mailbox_id is not None
            reassign.reassign(tx, by, mailbox_id, members.by_id(tx, MemberId(task["to"])))
        case Step.REMOVE:
            if leaver.status is not MemberStatus.REMOVED:
                leave.member(tx, by, leaver.userid)
    return jobs.progress(tx, held, finished=done + 1)

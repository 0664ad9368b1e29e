# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom mailbox rename`, `rename-sheet`, `reassign`, `to-public`, `remove`, and `mailroom member offboard`: how
mailboxes come to go by another address, or to others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from mailroom.cli import mailbox, member, verb
from mailroom.core import clock
from mailroom.core.errors import InvalidValue
from mailroom.core.text import sentence
from mailroom.directory import addresses, departments, members, tags
from mailroom.directory.model import Users
from mailroom.mailboxes import access, offboard, read, reassign, recycle, rename, sheet
from mailroom.mailboxes.model import Entry, MailboxStatus
from mailroom.mailboxes.offboard import DryRun, Wish
from mailroom.mailboxes.rename import NotAll, Outcome
from mailroom.storage.ports import Tx

UserOption = Annotated[list[str], typer.Option("--user", help="A member who uses it; repeat for more.")]
DepartmentOption = Annotated[list[str], typer.Option("--department", help="A department whose members use it.")]
TagOption = Annotated[list[str], typer.Option("--tag", help="A tag whose bearers use it.")]
NameOption = Annotated[str, typer.Option(help="What it is called; else it keeps its name.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]


@mailbox.app.command("rename")
def rename_(context: typer.Context, address: str, new: str) -> None:
    """Let a mailbox go by another address; the old one still reaches it."""
    verb.write(
        context,
        lambda tx: rename.rename(
            tx, verb.operator(), access.by_address(tx, addresses.parse(address)).id, addresses.parse_new(new)
        ),
    )


@mailbox.app.command("rename-sheet")
def rename_sheet(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help=".xlsx or .csv; columns: address, new address or new part before the @.")
    ],
    dry_run: DryRunOption = False,
    template: Annotated[bool, typer.Option("--template", help="Write a .csv to fill in, and rename nothing.")] = False,
    as_json: verb.AsJson = False,
) -> None:
    """Rename all mailboxes of a sheet, or none when one is refused."""
    try:
        if template:
            known = verb.read(context, _renamable)
            with file.open("x", encoding="utf-8-sig", newline="") as blank:  # with the mark that spreadsheets want
                blank.write(sheet.template(known))
            return
        with file.open("rb") as filled:
            lines = sheet.lines(filled.read(sheet.OCTETS_MOST + 1))
    except OSError as fault:
        raise InvalidValue(name="file", reason=f"{file}: {fault.strerror}") from fault
    try:
        outcomes = verb.write(context, lambda tx: rename.rename_all(tx, verb.operator(), lines, keep=not dry_run))
    except NotAll as undone:
        outcomes = undone.outcomes
    verb.rows(("line", "address", "new", "refused"), [_shown(one) for one in outcomes], as_json=as_json)
    if refused := sum(one.refusal is not None for one in outcomes):
        raise InvalidValue(name="sheet", reason=f"lines refused: {refused} of {len(outcomes)}; nothing was renamed")


def _renamable(tx: Tx) -> list[str]:
    return sorted(
        addresses.primary(tx, one.id) for one in read.mailboxes(tx) if one.status is not MailboxStatus.RECYCLED
    )


def _shown(outcome: Outcome) -> dict[str, Any]:
    refusal = outcome.refusal
    return {
        "line": outcome.line.number,
        "address": outcome.line.address,
        "new": outcome.new,
        "refused": f"{refusal.code}: {sentence(refusal, verb.language())}" if refusal else None,
    }


@mailbox.app.command("reassign")
def reassign_(
    context: typer.Context,
    address: str,
    to: Annotated[str, typer.Option(metavar="USERID", help="Whose own it becomes.")],
    as_json: verb.AsJson = False,
) -> None:
    """Give a mailbox with all its mail to a member; the one that he had goes to the recycle bin."""

    def work(tx: Tx) -> dict[str, Any]:
        mailbox_id = access.by_address(tx, addresses.parse(address)).id
        return displaced(reassign.reassign(tx, verb.operator(), mailbox_id, members.get(tx, to)))

    verb.one(verb.write(context, work), as_json=as_json)


def displaced(entry: Entry | None) -> dict[str, Any]:
    """What went to the recycle bin, and until when it is kept."""
    return {
        "to_bin": entry.address if entry else None,
        "purged_after": clock.iso(entry.purge_at) if entry else None,
    }


@mailbox.app.command("to-public")
def to_public(
    context: typer.Context,
    address: str,
    user: UserOption = [],  # noqa: B006 # Typer reads it, nobody changes it
    department: DepartmentOption = [],  # noqa: B006 # likewise
    tag: TagOption = [],  # noqa: B006 # likewise
    name: NameOption = "",
) -> None:
    """Make a member's own mailbox, or one in the recycle bin, a public one; he is left without."""

    def work(tx: Tx) -> None:
        mailbox_id = access.by_address(tx, addresses.parse(address)).id
        reassign.to_public(tx, verb.operator(), mailbox_id, users(tx, user, department, tag), name=name)

    verb.write(context, work)


def users(tx: Tx, user: list[str], department: list[str], tag: list[str]) -> Users:
    """Those who were named."""
    return Users(
        tuple(members.get(tx, userid) for userid in user),
        tuple(departments.at(tx, path) for path in department),
        tuple(tags.by_name(tx, name) for name in tag),
    )


@mailbox.app.command("remove")
def remove(context: typer.Context, address: str, as_json: verb.AsJson = False) -> None:
    """Put a mailbox into the recycle bin; its owner, if it has one, stays without."""

    def work(tx: Tx) -> dict[str, Any]:
        return displaced(recycle.remove(tx, verb.operator(), access.by_address(tx, addresses.parse(address)).id))

    verb.one(verb.write(context, work), as_json=as_json)


@member.app.command("offboard")
def offboard_(
    context: typer.Context,
    userid: str,
    backup_into: Annotated[str, typer.Option(metavar="ADDRESS", help="Copy the mail into this mailbox.")] = "",
    reassign_to: Annotated[str, typer.Option(metavar="USERID", help="Give the mailbox to this member.")] = "",
    dry_run: DryRunOption = False,
    as_json: verb.AsJson = False,
) -> None:
    """Shut a member out, copy his mail or give his mailbox away, and remove him. A running server does it, as a job."""
    if backup_into and reassign_to:
        raise InvalidValue(name="reassign-to", reason="does not go with --backup-into")

    def wish(tx: Tx) -> Wish:
        return Wish(
            access.by_address(tx, addresses.parse(backup_into)).id if backup_into else None,
            members.get(tx, reassign_to) if reassign_to else None,
        )

    # What would be refused in the middle is refused at once.
    plan = _rehearsed(context, lambda tx: offboard.rehearse(tx, verb.operator(), members.get(tx, userid), wish(tx)))
    if dry_run:
        said = plan if as_json else [one | {"what": _told(one)} for one in plan]
        verb.rows(("step", "what"), said, as_json=as_json)
        return
    job = verb.write(context, lambda tx: offboard.start(tx, verb.operator(), members.get(tx, userid), wish(tx)))
    verb.one({"job": job.id, "steps": list(job.task["steps"])}, as_json=as_json)


def _rehearsed(context: typer.Context, rehearse: Callable[[Tx], None]) -> list[dict[str, Any]]:
    try:
        verb.write(context, rehearse)
    except DryRun as run:
        return [_dated(step) for step in run.plan]
    raise AssertionError


def _dated(step: Mapping[str, Any]) -> dict[str, Any]:
    return {name: clock.iso(said) if name == "purged_after" else said for name, said in step.items()}


def _told(step: Mapping[str, Any]) -> str:
    """A step of a dry run, for people."""
    return "; ".join(f"{name.replace('_', ' ')}: {_word(said)}" for name, said in step.items() if name != "step")


def _word(said: Any) -> str:
    return ", ".join(said) if isinstance(said, list) else str(said)

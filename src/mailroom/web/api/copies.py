# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`/mailboxes/{mailbox}/backups` and `/exports`: the mails of a mailbox, copied into another or to a file. Mailboxes in
the recycle bin can be copied as well.
"""

from __future__ import annotations

from mailroom.core.ids import MailboxId
from mailroom.directory import addresses
from mailroom.mailboxes import access, backup, export
from mailroom.mailboxes.export import Form
from mailroom.storage.ports import Tx
from mailroom.web.api.contract import Asked, Email, Line, Operation, Shape
from mailroom.web.api.jobs import LOCATION, JobShape, shape


class NewBackup(Shape):
    """Where the copies are to lie."""

    into: Email
    """The mailbox that takes them, in a folder of its own."""


class NewExport(Shape):
    """What the file is to be."""

    form: Form = Form.ZIP
    """`zip`: EML in folders; `mbox`: one after the other."""
    folder: Line = ""
    """This folder and those below it only."""


def _at(tx: Tx, address: str) -> MailboxId:
    return access.by_address(tx, addresses.parse(address)).id


def back_up(tx: Tx, asked: Asked[NewBackup]) -> JobShape:
    """Copy all mails of the mailbox, but for Trash and Junk, into another one; again: what is new."""
    source, target = _at(tx, asked.path["mailbox"]), _at(tx, asked.body.into)
    return shape(backup.start(tx, asked.by, source, target))


def export_(tx: Tx, asked: Asked[NewExport]) -> JobShape:
    """Write all mails of the mailbox to a file: `/jobs/{job}/file`, for a day."""
    said = asked.body
    return shape(export.start(tx, asked.by, _at(tx, asked.path["mailbox"]), said.form, folder=said.folder))


_ONE = "/mailboxes/{mailbox}"
OPERATIONS = (
    Operation(
        method="POST",
        path=f"{_ONE}/backups",
        work=back_up,
        body=NewBackup,
        answer=JobShape,
        status=202,
        location=LOCATION,
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/exports",
        work=export_,
        body=NewExport,
        answer=JobShape,
        status=202,
        location=LOCATION,
    ),
)

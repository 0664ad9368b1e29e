# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`/mailboxes/{mailbox}/passwords`: client passwords, for mail programs. Administrators see that they exist, and make
those of public mailboxes; a member makes his own: `/me/passwords`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mailroom.core.errors import NotFound
from mailroom.core.ids import ClientPasswordId, MailboxId
from mailroom.directory import access as directory_access
from mailroom.directory import addresses, clients, rights
from mailroom.directory.clients import Drawn
from mailroom.directory.model import ClientPassword, Service
from mailroom.mailboxes import access
from mailroom.storage.ports import Tx
from mailroom.web.api.contract import Asked, House, Line, Moment, Operation, Page, Paging, Shape, moment, page, read
from mailroom.web.numbers import number


class NewClientPassword(Shape):
    """A client password to make."""

    remark: Line
    """What it is for, such as the device."""
    services: Sequence[Service] = tuple(Service)


class ClientPasswordShape(Shape):
    """A client password, all but the password itself."""

    id: int
    remark: str
    services: Sequence[Service]
    created: Moment | None
    last_used: Moment | None
    """Exact to the hour."""
    last_used_from: str


class ShownClientPassword(ClientPasswordShape):
    """A new one. It is shown here and never again."""

    password: str


def _fields(one: ClientPassword) -> dict[str, Any]:
    return {
        "id": one.id,
        "remark": one.remark,
        "services": sorted(one.services),
        "created": moment(one.created_at),
        "last_used": moment(one.last_used_at),
        "last_used_from": one.last_used_from,
    }


def _of(tx: Tx, asked: Asked[object]) -> MailboxId:
    """The mailbox that the path names; without one the caller's own."""
    if "mailbox" in asked.path:
        mailbox_id = access.by_address(tx, addresses.parse(asked.path["mailbox"])).id
        rights.over_mailbox(tx, asked.by, mailbox_id)
        return mailbox_id
    own = None if asked.by.member is None else directory_access.own_mailbox(tx, asked.by.member.id)
    if own is None:
        raise NotFound(what="mailbox", name=asked.by.name)
    return own


def every(tx: Tx, asked: Asked[None]) -> Page[ClientPasswordShape]:
    """The client passwords of the mailbox, the oldest first."""
    part, after = page(clients.of(tx, _of(tx, asked)), asked.query, lambda one: f"{one.id:020}")
    return Page[ClientPasswordShape](items=[ClientPasswordShape(**_fields(one)) for one in part], next=after)


async def _drawn(house: House, asked: Asked[NewClientPassword]) -> Drawn:
    mailbox_id = await house.client_passwords.store.read(lambda tx: _of(tx, asked))
    return await house.client_passwords.draw(asked.by, mailbox_id)


def add(tx: Tx, asked: Asked[NewClientPassword]) -> ShownClientPassword:
    """Make a password for a mail program."""
    said, drawn = asked.body, asked.prepared
    made = clients.add(tx, asked.by, _of(tx, asked), remark=said.remark, services=said.services, drawn=drawn)
    return ShownClientPassword(**_fields(made), password=drawn.shown.reveal())


def revoke(tx: Tx, asked: Asked[None]) -> None:
    """Let nobody in with it any more; what is open by it ends."""
    clients.revoke(tx, asked.by, _of(tx, asked), ClientPasswordId(number(asked.path["password"])))


def _operations(place: str, name: str) -> Sequence[Operation]:
    return (
        read(place, every, Page[ClientPasswordShape], query=Paging, name=f"{name}.every"),
        Operation(
            method="POST",
            path=place,
            work=add,
            body=NewClientPassword,
            answer=ShownClientPassword,
            prepare=_drawn,
            status=201,
            given_name=f"{name}.add",
        ),
        Operation(method="DELETE", path=f"{place}/{{password}}", work=revoke, given_name=f"{name}.revoke"),
    )


OPERATIONS = (
    *_operations("/mailboxes/{mailbox}/passwords", "passwords"),
    *_operations("/me/passwords", "my_passwords"),
)

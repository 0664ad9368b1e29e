# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`/mailboxes`: personal and public ones, their addresses and users, how they change hands. No mail is read here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from mailroom.core.errors import NoPermission
from mailroom.core.ids import Uid
from mailroom.directory import addresses, members, rights, users
from mailroom.directory.model import Users
from mailroom.mailboxes import access, create, public, quota, read, reassign, recycle, rename
from mailroom.mailboxes.model import Mailbox, MailboxKind, MailboxStatus
from mailroom.storage.ports import Tx
from mailroom.web.api import bin as bin_
from mailroom.web.api.contract import (
    Asked,
    Email,
    Line,
    Moment,
    Number,
    Operation,
    Page,
    Paging,
    Rehearsed,
    Shape,
    before,
    cursor,
    moment,
    page,
)
from mailroom.web.api.contract import read as look

_LAST_UID = 1 << 32
Userids = Annotated[Sequence[Line], Field(max_length=users.MOST)]
Ids = Annotated[Sequence[Number], Field(max_length=users.MOST)]


class NamedUsers(Shape):
    """Whom a public mailbox is given to. Of a kind that is absent nothing changes."""

    members: Userids | None = None
    """Userids."""
    departments: Ids | None = None
    tags: Ids | None = None


class NewMailbox(NamedUsers):
    """A public mailbox to make; a personal one comes with its member. At least one of the three has somebody."""

    address: Email
    name: Line


class Publication(NamedUsers):
    """For whom it is to be public. At least one of the three has somebody."""

    name: Line | None = None
    """What it is to be called, if not as its owner."""


class MailboxChange(Shape):
    """What is to change; what is absent stays."""

    name: Line | None = None
    """Of a public mailbox; a personal one has its member's."""
    quota: Number | None = None
    """Octets; 0: none."""


class Address(Shape):
    """An address."""

    address: Email


class RenameLine(Shape):
    """One of many to rename."""

    address: Email
    new: Email
    """The new address, or what is to stand before its @."""


class Renames(Shape):
    """Mailboxes to rename."""

    lines: Annotated[Sequence[RenameLine], Field(max_length=rename.ROWS_MOST)]
    dry_run: bool = False


class RenamedLine(Shape):
    """What came of one, or would come."""

    address: str
    new: str
    code: str | None
    """Why it was refused; null: it was not."""
    title: str | None


class Renamed(Shape):
    """What came of all."""

    done: bool
    lines: Sequence[RenamedLine]


class NewOwner(Shape):
    """Whom the mailbox is to belong to."""

    userid: Line


class MailboxShape(Shape):
    """A mailbox, as a list shows it."""

    id: int
    address: str
    kind: MailboxKind
    name: str
    status: MailboxStatus
    owner: str | None
    """The userid of whom a personal mailbox belongs to."""
    used: int
    """Octets."""
    quota: int
    """Octets; 0: none."""


class UsersShape(Shape):
    """Whom a public mailbox is given to."""

    members: Sequence[str]
    departments: Sequence[int]
    tags: Sequence[int]


class WholeMailbox(MailboxShape):
    """A mailbox with its other addresses and its users."""

    aliases: Sequence[str]
    former: Sequence[str]
    """What it went by before it was renamed."""
    users: UsersShape | None
    """None for a personal mailbox."""


class Displaced(WholeMailbox):
    """A mailbox that has changed hands."""

    displaced: bin_.EntryShape | None
    """What the new owner had before: it lies in the recycle bin."""


class SentShape(Shape):
    """A mail that left the mailbox."""

    at: Moment | None
    userid: str
    """Who sent it; empty: by a client password of the mailbox's own."""
    recipients: str
    subject: str


class Choice(Paging):
    """Which mailboxes."""

    kind: MailboxKind | None = None


def _of(tx: Tx, asked: Asked[object]) -> Mailbox:
    """The mailbox that the path names, if the caller administers it."""
    mailbox = access.by_address(tx, addresses.parse(asked.path["mailbox"]))
    rights.over_mailbox(tx, asked.by, mailbox.id)
    return mailbox


def _fields(tx: Tx, mailbox: Mailbox) -> dict[str, Any]:
    return {
        "id": mailbox.id,
        "address": addresses.primary(tx, mailbox.id),
        "kind": mailbox.kind,
        "name": mailbox.name,
        "status": mailbox.status,
        "owner": None if mailbox.owner_id is None else members.by_id(tx, mailbox.owner_id).userid,
        "used": mailbox.used,
        "quota": mailbox.quota,
    }


def _whole(tx: Tx, mailbox: Mailbox) -> WholeMailbox:
    return WholeMailbox(**_more(tx, mailbox))


def _more(tx: Tx, mailbox: Mailbox) -> dict[str, Any]:
    mailbox = read.mailbox(tx, mailbox.id)
    is_public = mailbox.kind is MailboxKind.PUBLIC
    return _fields(tx, mailbox) | {
        "aliases": addresses.aliases(tx, mailbox.id),
        "former": addresses.former(tx, mailbox.id),
        "users": _users(users.of(tx, mailbox.id)) if is_public else None,
    }


def _users(named: Users) -> UsersShape:
    return UsersShape(
        members=[one.userid for one in named.members],
        departments=[one.id for one in named.departments],
        tags=[one.id for one in named.tags],
    )


def _named(tx: Tx, said: NamedUsers) -> dict[str, Any]:
    return users.named(tx, said.members, said.departments, said.tags)


def _all(tx: Tx, said: NamedUsers) -> Users:
    return Users(*(tuple(named or ()) for named in _named(tx, said).values()))


def every(tx: Tx, asked: Asked[None]) -> Page[MailboxShape]:
    """The mailboxes that the caller administers, the oldest first. Those in the recycle bin are there: `/bin`."""
    rights.over_some(asked.by)
    query: Choice = asked.query
    part, after = page(access.administered(tx, asked.by, query.kind), query, lambda one: f"{one.id:020}")
    return Page[MailboxShape](items=[MailboxShape(**_fields(tx, one)) for one in part], next=after)


def add(tx: Tx, asked: Asked[NewMailbox]) -> WholeMailbox:
    """Make a public mailbox: one that several members use."""
    said = asked.body
    new = addresses.parse_new(said.address)
    made = create.public(tx, asked.by, members.organisation(tx), new, name=said.name, users=_all(tx, said))
    return _whole(tx, read.mailbox(tx, made))


def get(tx: Tx, asked: Asked[None]) -> WholeMailbox:
    """One mailbox: its addresses, its users, how full it is."""
    return _whole(tx, _of(tx, asked))


def change(tx: Tx, asked: Asked[MailboxChange]) -> WholeMailbox:
    """Change the mailbox's name or quota."""
    said, mailbox = asked.body, _of(tx, asked)
    if said.name is not None:
        public.rename(tx, asked.by, mailbox.id, said.name)
    if said.quota is not None:
        quota.change(tx, asked.by, mailbox.id, said.quota)
    return _whole(tx, mailbox)


def assign(tx: Tx, asked: Asked[NamedUsers]) -> WholeMailbox:
    """Give a public mailbox to these; whoever loses it loses it at once, open sessions included."""
    mailbox = _of(tx, asked)
    users.assign(tx, asked.by, mailbox.id, **_named(tx, asked.body))
    return _whole(tx, mailbox)


def rename_(tx: Tx, asked: Asked[Address]) -> WholeMailbox:
    """Give the mailbox another address; the old one still reaches it."""
    mailbox = _of(tx, asked)
    rename.rename(tx, asked.by, mailbox.id, addresses.parse_new(asked.body.address))
    return _whole(tx, mailbox)


def rename_all(tx: Tx, asked: Asked[Renames]) -> Renamed:
    """Give many mailboxes other addresses: all of them, or none when one is refused. With `dry_run` none."""
    lines = [rename.Line(number, one.address, one.new) for number, one in enumerate(asked.body.lines, 1)]
    try:
        done = rename.rename_all(tx, asked.by, lines, keep=not asked.body.dry_run)
    except rename.NotAll as not_all:
        raise Rehearsed(Renamed(done=False, lines=[_outcome(one) for one in not_all.outcomes])) from not_all
    return Renamed(done=True, lines=[_outcome(one) for one in done])


def _outcome(one: rename.Outcome) -> RenamedLine:
    refusal = one.refusal
    return RenamedLine(
        address=one.line.address,
        new=one.new,
        code=refusal.code if refusal else None,
        title=str(refusal) if refusal else None,
    )


def add_alias(tx: Tx, asked: Asked[Address]) -> WholeMailbox:
    """Let the mailbox answer to one more address: five at most, not counting former ones."""
    mailbox = _of(tx, asked)
    create.alias(tx, asked.by, mailbox.id, addresses.parse_new(asked.body.address))
    return _whole(tx, mailbox)


def remove_alias(tx: Tx, asked: Asked[None]) -> None:
    """Let the mailbox answer no more to an alias or a former address."""
    rename.forget(tx, asked.by, _of(tx, asked).id, addresses.parse(asked.path["alias"]))


def disable(tx: Tx, asked: Asked[None]) -> WholeMailbox:
    """Let the mailbox take no mail and no logins; everything is kept."""
    return _changed(tx, asked, MailboxStatus.DISABLED)


def enable(tx: Tx, asked: Asked[None]) -> WholeMailbox:
    """Let the mailbox take mail and logins again."""
    return _changed(tx, asked, MailboxStatus.ACTIVE)


def _changed(tx: Tx, asked: Asked[None], status: MailboxStatus) -> WholeMailbox:
    mailbox = _of(tx, asked)
    quota.change_status(tx, asked.by, mailbox.id, status)
    return _whole(tx, mailbox)


def sent(tx: Tx, asked: Asked[None]) -> Page[SentShape]:
    """Who sent what from the mailbox, as far as it still lies in Sent; the newest first. For its users only."""
    mailbox_id = access.by_address(tx, addresses.parse(asked.path["mailbox"])).id
    if asked.by.member is None:
        raise NoPermission
    access.open_mailbox(tx, asked.by.member, mailbox_id)
    query: Paging = asked.query
    found = public.sent(tx, mailbox_id, before=Uid(min(before(query), _LAST_UID)), limit=query.limit)
    items = [
        SentShape(at=moment(one.at), userid=one.userid, recipients=one.recipients, subject=one.subject) for one in found
    ]
    return Page[SentShape](items=items, next=cursor(str(found[-1].uid)) if len(found) == query.limit else None)


def give(tx: Tx, asked: Asked[NewOwner]) -> Displaced:
    """Make the mailbox the member's own, with its mail and addresses; the one that he had goes to the recycle bin."""
    mailbox = _of(tx, asked)
    entry = reassign.reassign(tx, asked.by, mailbox.id, members.get(tx, asked.body.userid))
    return Displaced(**_more(tx, mailbox), displaced=bin_.shape(entry) if entry else None)


def publish(tx: Tx, asked: Asked[Publication]) -> WholeMailbox:
    """Turn a personal mailbox into a public one; its owner is left without."""
    mailbox = _of(tx, asked)
    reassign.to_public(tx, asked.by, mailbox.id, _all(tx, asked.body), name=asked.body.name or "")
    return _whole(tx, mailbox)


def remove(tx: Tx, asked: Asked[None]) -> bin_.EntryShape:
    """Put the mailbox into the recycle bin, where it stays for some days."""
    return bin_.shape(recycle.remove(tx, asked.by, _of(tx, asked).id))


_ONE = "/mailboxes/{mailbox}"
OPERATIONS = (
    look("/mailboxes", every, Page[MailboxShape], query=Choice),
    Operation(
        method="POST",
        path="/mailboxes",
        work=add,
        body=NewMailbox,
        answer=WholeMailbox,
        status=201,
        location="/mailboxes/{address}",
    ),
    look(_ONE, get, WholeMailbox),
    Operation(method="PATCH", path=_ONE, work=change, body=MailboxChange, answer=WholeMailbox),
    Operation(method="DELETE", path=_ONE, work=remove, answer=bin_.EntryShape),
    Operation(method="PATCH", path=f"{_ONE}/users", work=assign, body=NamedUsers, answer=WholeMailbox),
    Operation(method="POST", path=f"{_ONE}/rename", work=rename_, body=Address, answer=WholeMailbox),
    Operation(method="POST", path="/mailboxes/renames", work=rename_all, body=Renames, answer=Renamed),
    Operation(method="POST", path=f"{_ONE}/aliases", work=add_alias, body=Address, answer=WholeMailbox),
    Operation(method="DELETE", path=f"{_ONE}/aliases/{{alias}}", work=remove_alias),
    look(f"{_ONE}/sent", sent, Page[SentShape], query=Paging),
    Operation(method="POST", path=f"{_ONE}/disable", work=disable, answer=WholeMailbox),
    Operation(method="POST", path=f"{_ONE}/enable", work=enable, answer=WholeMailbox),
    Operation(method="POST", path=f"{_ONE}/reassign", work=give, body=NewOwner, answer=Displaced),
    Operation(method="POST", path=f"{_ONE}/to-public", work=publish, body=Publication, answer=WholeMailbox),
)

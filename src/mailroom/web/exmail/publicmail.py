# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`publicmail/*`: public mailboxes, and client passwords of theirs (`auth_code`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from mailroom.core.clock import SECOND
from mailroom.core.errors import NotFound, TooMany
from mailroom.core.ids import ClientPasswordId, MailboxId
from mailroom.directory import addresses, clients, members, rights, users
from mailroom.directory.model import Users
from mailroom.mailboxes import access, aliases, create, public, read, recycle, rename
from mailroom.mailboxes.model import Mailbox, MailboxKind, MailboxStatus
from mailroom.storage.ports import Tx
from mailroom.web.api.contract import House, Line, Number
from mailroom.web.exmail.contract import Answer, Asked, Call, Fields, Listed, Numbers, Texts, octets

_CODES_MOST: Final = 10  # of one mailbox, while this interface makes them
_IDS_MOST: Final = 1000

Alias = Annotated[str, octets(6, 64)]


class CodeInfo(Fields):
    """What a client password is for."""

    remark: Annotated[str, octets(1, 128)] = "办公PC"


class _Named(Fields):
    userid_list: Texts | None = None
    department_list: Numbers | None = None
    tag_list: Numbers | None = None
    create_auth_code: Literal[0, 1] = 0
    auth_code_info: CodeInfo = CodeInfo()


class Create(_Named):
    """`publicmail/create`."""

    email: Line
    name: Line


class Update(_Named):
    """`publicmail/update`: what is absent stays."""

    id: Number
    email: Line | None = None
    name: Line | None = None
    alias_list: Listed[Alias] | None = None


class One(Fields):
    """Which mailbox."""

    id: Number


class Several(Fields):
    """Which mailboxes."""

    id_list: Annotated[Sequence[Number], Field(max_length=_IDS_MOST)]


class Search(Fields):
    """`fuzzy` 1: those with `email` in their address or name; 0: all."""

    fuzzy: Literal[0, 1, "0", "1"] = 0
    email: Line = ""


class OneCode(One):
    """Which client password."""

    auth_code_id: Number


def mailbox_of(tx: Tx, asked: Asked[Fields], which: int) -> Mailbox:
    """The public mailbox with that id, if the caller administers it."""
    mailbox = read.mailbox(tx, MailboxId(which))
    if mailbox.kind is not MailboxKind.PUBLIC or mailbox.status is MailboxStatus.RECYCLED:
        raise NotFound(what="mailbox", name=str(which))
    rights.over_mailbox(tx, asked.by, mailbox.id)
    return mailbox


def _users(tx: Tx, said: _Named) -> dict[str, Any]:
    """Whom the lists name, as the use case takes it."""
    userids, within, borne = said.userid_list, said.department_list, said.tag_list
    return users.named(
        tx,
        None if userids is None else userids.list,
        None if within is None else within.list,
        None if borne is None else borne.list,
    )


def add(tx: Tx, asked: Asked[Create]) -> Answer:
    """Make a public mailbox."""
    said = asked.fields
    named = Users(*(tuple(one or ()) for one in _users(tx, said).values()))
    new = addresses.parse_new(said.email)
    made = create.public(tx, asked.by, members.organisation(tx), new, name=said.name, users=named)
    return {"id": made}


def update(tx: Tx, asked: Asked[Update]) -> Answer:
    """Change one: lists that are absent stay, empty ones are cleared."""
    said = asked.fields
    mailbox = mailbox_of(tx, asked, said.id)
    if said.create_auth_code and len(clients.of(tx, mailbox.id)) >= _CODES_MOST:
        raise TooMany(what="client passwords", limit=_CODES_MOST)
    if said.email is not None:
        rename.rename(tx, asked.by, mailbox.id, addresses.parse_new(said.email))
    if said.name is not None:
        public.rename(tx, asked.by, mailbox.id, said.name)
    named = _users(tx, said)
    if any(one is not None for one in named.values()):
        users.assign(tx, asked.by, mailbox.id, **named)
    if said.alias_list is not None:
        wanted = [addresses.parse_new(one) for one in said.alias_list.list]
        aliases.replace(tx, asked.by, mailbox.id, wanted)
    return {"id": mailbox.id}


async def _code(house: House, asked: Asked[Create | Update], answer: Answer) -> Answer:
    if not asked.fields.create_auth_code:
        return {}
    made, shown = await house.client_passwords.create(
        asked.by, MailboxId(answer["id"]), remark=asked.fields.auth_code_info.remark
    )
    return {"auth_code_id": made.id, "auth_code": shown.reveal()}


def delete(tx: Tx, asked: Asked[One]) -> Answer:
    """Put one into the recycle bin."""
    recycle.remove(tx, asked.by, mailbox_of(tx, asked, asked.fields.id).id)
    return {}


def get(tx: Tx, asked: Asked[Several]) -> Answer:
    """Some of them, with all that they are given to."""
    return {"list": [_shown(tx, mailbox_of(tx, asked, one)) for one in asked.fields.id_list]}


def _shown(tx: Tx, mailbox: Mailbox) -> dict[str, Any]:
    named = users.of(tx, mailbox.id)
    return {
        "id": mailbox.id,
        "email": addresses.primary(tx, mailbox.id),
        "name": mailbox.name,
        "userid_list": {"list": [one.userid for one in named.members]},
        "department_list": {"list": [one.id for one in named.departments]},
        "tag_list": {"list": [one.id for one in named.tags]},
        "alias_list": {"list": aliases.every(tx, mailbox.id)},
    }


def search(tx: Tx, asked: Asked[Search]) -> Answer:
    """Those that the caller administers."""
    wanted = asked.fields.email.casefold() if int(asked.fields.fuzzy) else ""
    found = access.administered(tx, asked.by, MailboxKind.PUBLIC)
    named = [(one, addresses.primary(tx, one.id)) for one in found]
    return {
        "list": [
            {"id": one.id, "email": address, "name": one.name}
            for one, address in named
            if wanted in address or wanted in one.name.casefold()
        ]
    }


def codes(tx: Tx, asked: Asked[One]) -> Answer:
    """The client passwords of one, all but the passwords themselves."""
    found = clients.of(tx, mailbox_of(tx, asked, asked.fields.id).id)
    return {
        "auth_code_list": [
            {
                "auth_code_id": one.id,
                "create_time": one.created_at // SECOND,
                "last_use_time": (one.last_used_at or 0) // SECOND,
                "remark": one.remark,
            }
            for one in found
        ]
    }


def delete_code(tx: Tx, asked: Asked[OneCode]) -> Answer:
    """Let nobody in with a client password any more."""
    mailbox = mailbox_of(tx, asked, asked.fields.id)
    clients.revoke(tx, asked.by, mailbox.id, ClientPasswordId(asked.fields.auth_code_id))
    return {}


CALLS = (
    Call(path="publicmail/create", fields=Create, work=add, after=_code),
    Call(path="publicmail/update", fields=Update, work=update, after=_code),
    Call(path="publicmail/delete", fields=One, work=delete),
    Call(path="publicmail/get", fields=Several, work=get),
    Call(path="publicmail/search", fields=Search, work=search),
    Call(path="publicmail/get_auth_code_list", fields=One, work=codes),
    Call(path="publicmail/delete_auth_code", fields=OneCode, work=delete_code),
)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`account/act_email`, `useroption/*`, `mail/get_newcount`: mailboxes on and off, how one signs in, what is unread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from mailroom.core.errors import CannotDisable, InvalidValue, NotFound
from mailroom.core.ids import MailboxId
from mailroom.directory import access, members, policies, rights
from mailroom.directory.model import Role
from mailroom.mailboxes import quota, read
from mailroom.mailboxes.model import FolderRole, MailboxStatus
from mailroom.storage.ports import Tx
from mailroom.web.api.contract import Line, Number
from mailroom.web.exmail.contract import Answer, Asked, Call, Fields, Listed
from mailroom.web.exmail.edge import NotHere
from mailroom.web.exmail.publicmail import mailbox_of

_ENABLE: Final = 1


class Act(Fields):
    """`account/act_email`: a member, or else a public mailbox; `type` 1 enables, 2 disables."""

    userid: Line | None = None
    publicemail_id: Number | None = None
    type: Literal[1, 2]


class Options(Fields):
    """`useroption/get`: which."""

    userid: Line
    type: Annotated[Sequence[Literal[1, 2, 3, 4]], Field(max_length=4)] = (1, 2, 3, 4)


class Option(Fields):
    """One of them."""

    type: Literal[1, 2, 3, 4]
    value: Literal["0", "1"]


class NewOptions(Fields):
    """`useroption/update`."""

    userid: Line
    option: Listed[Option]


class One(Fields):
    """Which member."""

    userid: Line


def act(tx: Tx, asked: Asked[Act]) -> Answer:
    """Enable or disable a mailbox: a member's own, or a public one."""
    said = asked.fields
    to = MailboxStatus.ACTIVE if said.type == _ENABLE else MailboxStatus.DISABLED
    if said.userid is not None:
        mailbox_id = _own(tx, said.userid)
        if said.type != _ENABLE and members.get(tx, said.userid).role is Role.ADMINISTRATOR:
            raise CannotDisable(userid=said.userid)  # as Exmail has it of its super administrators
    elif said.publicemail_id is not None:
        mailbox_id = mailbox_of(tx, asked, said.publicemail_id).id
    else:
        raise InvalidValue(name="userid", reason="or publicemail_id is needed")
    quota.change_status(tx, asked.by, mailbox_id, to)
    return {}


def _own(tx: Tx, userid: str) -> MailboxId:
    own = access.own_mailbox(tx, members.get(tx, userid).id)
    if own is None:
        raise NotFound(what="mailbox", name=userid)
    return own


def options(tx: Tx, asked: Asked[Options]) -> Answer:
    """How the member may sign in. All members are alike here: see the policy `own_password`."""
    there = _options(tx, asked, asked.fields.userid)
    return {"option": {"list": [{"type": one, "value": there[one]} for one in asked.fields.type]}}


def _options(tx: Tx, asked: Asked[Any], userid: str) -> Mapping[int, str]:
    rights.over_mailbox(tx, asked.by, _own(tx, userid))
    # Secure login: programs sign in with client passwords only.
    secure = "0" if policies.is_on(tx, "own_password") else "1"
    return {1: secure, 2: "1", 3: "1", 4: secure}


def change_options(tx: Tx, asked: Asked[NewOptions]) -> Answer:
    """Nothing can be changed for one member alone: what is not so already is refused."""
    there = _options(tx, asked, asked.fields.userid)
    for one in asked.fields.option.list:
        if there[one.type] != one.value:
            raise NotHere(what=f"useroption {one.type} for one member")
    return {}


def unread(tx: Tx, asked: Asked[One]) -> Answer:
    """How many mails in the member's inbox are unread."""
    own = _own(tx, asked.fields.userid)
    rights.over_mailbox(tx, asked.by, own)
    inbox = next(one for one in read.folders(tx, own) if one.role is FolderRole.INBOX)
    return {"count": inbox.unseen}


CALLS = (
    Call(path="account/act_email", fields=Act, work=act),
    Call(path="useroption/get", fields=Options, work=options),
    Call(path="useroption/update", fields=NewOptions, work=change_options),
    Call(path="mail/get_newcount", fields=One, work=unread),
)

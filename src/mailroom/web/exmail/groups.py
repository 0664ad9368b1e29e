# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`group/*`: mailing groups. Their id is their address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from mailroom.directory import addresses, groups, members
from mailroom.directory.model import Allow, Group
from mailroom.storage.ports import Tx
from mailroom.web.api.contract import Line
from mailroom.web.exmail.contract import Answer, Asked, Call, Fields, Numbers, Texts

_ALLOWED: Final = (Allow.ORGANISATION, Allow.ANYONE, Allow.MEMBERS, Allow.CUSTOM)  # by allow_type


class _Lists(Fields):
    groupid: Line
    email_list: Texts | None = None
    group_list: Texts | None = None
    department_list: Numbers | None = None
    tag_list: Numbers | None = None
    allow_emaillist: Texts | None = None
    allow_departmentlist: Numbers | None = None
    allow_taglist: Numbers | None = None


class Create(_Lists):
    """`group/create`."""

    groupname: Line
    allow_type: Literal[0, 1, 2, 3] = 0


class Update(_Lists):
    """`group/update`: what is absent stays."""

    groupname: Line | None = None
    allow_type: Literal[0, 1, 2, 3] | None = None


class One(Fields):
    """Which group."""

    groupid: Line


class Search(Fields):
    """`fuzzy` 1: those with `groupid` in their address or name; 0: all."""

    fuzzy: Literal[0, 1, "0", "1"] = 0
    groupid: Line = ""


def _of(tx: Tx, asked: Asked[Any]) -> Group:
    group = groups.get(tx, addresses.parse(asked.fields.groupid))
    groups.ask_rights(tx, asked.by, group)
    return group


def _split(tx: Tx, named: Sequence[str]) -> dict[str, list[str]]:
    """What a list of a group names, by what it is."""
    plain = [addresses.parse(one) for one in named if "@" in one]
    found = addresses.resolve_all(tx, plain)
    kinds: dict[str, list[str]] = {"email": [], "group": [], "department": [], "tag": []}
    for one in plain:
        lease = found.get(one)
        kinds["group" if lease is not None and lease.group_id is not None else "email"].append(str(one))
    for unit in named:
        kind, _, which = unit.partition(":")
        if "@" not in unit:
            kinds[kind].append(which)
    return kinds


_PREFIX: Final = {"email": "", "group": "", "department": "department:", "tag": "tag:"}


def _joined(given: Mapping[str, Texts | Numbers | None], there: Mapping[str, Sequence[str]]) -> list[str] | None:
    """What the lists name together, as `groups` has it: of a kind whose list is absent, what is there. None where all
    are absent.
    """
    if all(one is None for one in given.values()):
        return None
    lists = {kind: there.get(kind, ()) if one is None else one.list for kind, one in given.items()}
    return [f"{_PREFIX[kind]}{each}" for kind, one in lists.items() for each in one]


def _members(said: _Lists, there: Mapping[str, Sequence[str]]) -> list[str] | None:
    given = {
        "email": said.email_list,
        "group": said.group_list,
        "department": said.department_list,
        "tag": said.tag_list,
    }
    return _joined(given, there)


def _senders(said: _Lists, there: Mapping[str, Sequence[str]]) -> list[str] | None:
    given = {"email": said.allow_emaillist, "department": said.allow_departmentlist, "tag": said.allow_taglist}
    return _joined(given, there)


def add(tx: Tx, asked: Asked[Create]) -> Answer:
    """Make a group."""
    said = asked.fields
    groups.create(
        tx,
        asked.by,
        members.organisation(tx),
        addresses.parse_new(said.groupid),
        name=said.groupname,
        members=_members(said, {}) or (),
        allow=_ALLOWED[said.allow_type],
        senders=_senders(said, {}) or (),
    )
    return {}


def update(tx: Tx, asked: Asked[Update]) -> Answer:
    """Change one: lists that are absent stay, empty ones are cleared."""
    said, group = asked.fields, _of(tx, asked)
    lists = groups.lists(tx, group.id)
    senders = _split(tx, lists.senders)
    groups.change(
        tx,
        asked.by,
        group,
        name=said.groupname,
        members=_members(said, _split(tx, lists.members)),
        whom=None if said.allow_type is None else _ALLOWED[said.allow_type],
        senders=_senders(said, senders | {"email": senders["email"] + senders["group"]}),
    )
    return {}


def delete(tx: Tx, asked: Asked[One]) -> Answer:
    """Give one up."""
    groups.delete(tx, asked.by, _of(tx, asked))
    return {}


def get(tx: Tx, asked: Asked[One]) -> Answer:
    """One of them."""
    group = _of(tx, asked)
    lists = groups.lists(tx, group.id)
    named, senders = _split(tx, lists.members), _split(tx, lists.senders)
    return {
        "groupid": group.address,
        "groupname": group.name,
        "email_list": {"list": named["email"]},
        "group_list": {"list": named["group"]},
        "department_list": {"list": _numbers(named["department"])},
        "tag_list": {"list": _numbers(named["tag"])},
        "allow_type": _ALLOWED.index(group.allow),
        "allow_emaillist": {"list": senders["email"] + senders["group"]},
        "allow_departmentlist": {"list": _numbers(senders["department"])},
        "allow_taglist": {"list": _numbers(senders["tag"])},
    }


def _numbers(texts: Sequence[str]) -> list[int]:
    return [int(one) for one in texts]


def search(tx: Tx, asked: Asked[Search]) -> Answer:
    """Those that the caller administers."""
    found = groups.administered(tx, asked.by, asked.fields.groupid if int(asked.fields.fuzzy) else "")
    return {"count": len(found), "groups": [{"groupid": one.address, "groupname": one.name} for one in found]}


CALLS = (
    Call(path="group/create", fields=Create, work=add),
    Call(path="group/update", fields=Update, work=update),
    Call(path="group/delete", fields=One, work=delete),
    Call(path="group/get", fields=One, work=get),
    Call(path="group/search", fields=Search, work=search),
)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mailing groups: one address, many members, and who may write to it. A list of theirs names addresses, departments
(`department:12`) and tags (`tag:3`); those stand for the own mailboxes of who is in them just then.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from mailroom.core.errors import GroupRefused, InvalidAddress, InvalidValue, NameTaken, NotFound, TooMany
from mailroom.core.ids import DepartmentId, GroupId, OrganisationId, TagId
from mailroom.directory import addresses, audit, departments, domains, queries, rights, tags
from mailroom.directory.addresses import Address
from mailroom.directory.model import Actor, Allow, Group
from mailroom.directory.queries.groups import GroupList
from mailroom.storage.ports import Conflict, Tx

MEMBERS_MOST: Final = 10_000
SENDERS_MOST: Final = 1_000
_NAME_MOST: Final = 200  # octets
_UNIT: Final = re.compile(r"(department|tag):([1-9][0-9]{0,17})")
_NESTED_MOST: Final = 100  # groups that are looked into for one sender


@dataclass(frozen=True, slots=True)
class Lists:
    """What a group names, in canonical form."""

    members: Sequence[str]
    senders: Sequence[str]  # who may send, where `allow` is custom


def create(
    tx: Tx,
    by: Actor,
    organisation_id: OrganisationId,
    address: Address,
    *,
    name: str,
    members: Collection[str],
    allow: Allow = Allow.ORGANISATION,
    senders: Collection[str] = (),
) -> Group:
    """Make a group. Members are addresses: of mailboxes, of other groups, of anybody elsewhere. Raises `InvalidValue`,
    `InvalidAddress`, `NameTaken`, `AddressTaken`, `TooMany`, `NotFound` (no such domain, or no such address here),
    `NoPermission`.
    """
    rights.over(by, domains.get(tx, address.domain).id)
    name = _named(name)
    try:
        group_id = queries.groups.add(tx, organisation_id, name, allow)
    except Conflict as taken:
        raise NameTaken(what="group", name=name) from taken
    addresses.take_for_group(tx, address, group_id)
    _let_in(tx, group_id, members)
    _fill(tx, queries.groups.senders, group_id, senders, most=SENDERS_MOST)
    _ask_lists(tx, group_id, allow)
    made = Group(group_id, str(address), name, allow)
    audit.record(
        tx, by, "group.add", made.address, after={"name": name, "allow": allow.value, **_counted(tx, group_id)}
    )
    return made


def _counted(tx: Tx, group_id: GroupId) -> dict[str, int]:
    return {
        "members": queries.groups.members.count(tx, group_id),
        "senders": queries.groups.senders.count(tx, group_id),
    }


def get(tx: Tx, address: Address) -> Group:
    """The group at that address. Raises `NotFound`."""
    lease = addresses.resolve(tx, address)
    found = None if lease is None or lease.group_id is None else queries.groups.get(tx, lease.group_id)
    if found is None:
        raise NotFound(what="group", name=str(address))
    return found


def search(tx: Tx, text: str = "") -> Sequence[Group]:
    """The groups whose address or name holds the text, in any case of letters; by address."""
    wanted = text.casefold()
    return [one for one in queries.groups.every(tx) if wanted in one.address or wanted in one.name.casefold()]


def administered(tx: Tx, by: Actor, text: str = "") -> Sequence[Group]:
    """Those that `by` administers of the groups that `search` gives."""
    found = search(tx, text)
    if by.governs_all:
        return found
    names = {one.name for one in domains.every(tx) if one.id in by.domains}
    return [one for one in found if one.address.rpartition("@")[2] in names]


def lists(tx: Tx, group_id: GroupId) -> Lists:
    """What the group names."""
    return Lists(queries.groups.members.all(tx, group_id), queries.groups.senders.all(tx, group_id))


def members(tx: Tx, group_id: GroupId) -> Sequence[str]:
    """The addresses that a mail to the group goes to, in canonical form."""
    named = queries.groups.members.all(tx, group_id)
    plain = [one for one in named if "@" in one]
    if len(plain) == len(named):
        return named
    return sorted({*plain, *_within(tx, [one for one in named if "@" not in one])})


def _within(tx: Tx, units: Sequence[str]) -> Sequence[str]:
    """The own addresses of who is in the departments or bears the tags."""
    kinds: dict[str, list[int]] = {"department": [], "tag": []}
    for unit in units:
        kind, _, which = unit.partition(":")
        kinds[kind].append(int(which))
    return queries.groups.within(tx, kinds["department"], kinds["tag"])


def change(
    tx: Tx,
    by: Actor,
    group: Group,
    *,
    name: str | None = None,
    members: Collection[str] | None = None,
    whom: Allow | None = None,
    senders: Collection[str] | None = None,
) -> None:
    """Change what is given; what is none stays. Raises as `rename`, `allow` and `replace` do."""
    group = _hold(tx, by, group)
    if name is not None:
        rename(tx, by, group, name)
    if whom is not None or senders is not None:
        whom = group.allow if whom is None else whom
        if senders is None:
            senders = queries.groups.senders.all(tx, group.id) if whom is Allow.CUSTOM else ()
        allow(tx, by, group, whom, senders=senders)
    if members is not None:
        replace(tx, by, group, members)


def rename(tx: Tx, by: Actor, group: Group, name: str) -> None:
    """Call the group something else. Raises `InvalidValue`, `NameTaken`, `NoPermission`."""
    group = _hold(tx, by, group)
    name = _named(name)
    try:
        queries.groups.change(tx, group.id, name, group.allow)
    except Conflict as taken:
        raise NameTaken(what="group", name=name) from taken
    audit.record(tx, by, "group.rename", group.address, before={"name": group.name}, after={"name": name})


def ask_rights(tx: Tx, by: Actor, group: Group) -> None:
    """Whether `by` administers the group. Raises `NoPermission`."""
    rights.over(by, domains.get(tx, addresses.parse(group.address).domain).id)


def _hold(tx: Tx, by: Actor, group: Group) -> Group:
    """The group as it is now, if `by` administers it; nobody else changes it or its lists until the commit."""
    ask_rights(tx, by, group)
    queries.groups.lock(tx, group.id)
    found = queries.groups.get(tx, group.id)
    if found is None:  # given up meanwhile
        raise NotFound(what="group", name=group.address)
    return found


def allow(tx: Tx, by: Actor, group: Group, whom: Allow, *, senders: Collection[str] = ()) -> None:
    """Decide who may send to the group; `senders` are those of a custom list, and replace the old ones. An address of a
    group stands for its members. Raises `InvalidValue`, `InvalidAddress`, `TooMany`, `NoPermission`.
    """
    group = _hold(tx, by, group)
    before = {"allow": group.allow.value, "senders": queries.groups.senders.all(tx, group.id)}
    queries.groups.change(tx, group.id, group.name, whom)
    queries.groups.senders.clear(tx, group.id)
    _fill(tx, queries.groups.senders, group.id, senders, most=SENDERS_MOST)
    _ask_lists(tx, group.id, whom)
    after = {"allow": whom.value, "senders": queries.groups.senders.all(tx, group.id)}
    audit.record(tx, by, "group.allow", group.address, before=before, after=after)


def replace(tx: Tx, by: Actor, group: Group, members: Collection[str]) -> None:
    """Let the group have these members and no others. Raises as `add` does."""
    group = _hold(tx, by, group)
    before = queries.groups.members.all(tx, group.id)
    queries.groups.members.clear(tx, group.id)
    _add(tx, by, group, members, before)


def add(tx: Tx, by: Actor, group: Group, members: Collection[str]) -> None:
    """Let these be members too. Doing it again is harmless. Raises `InvalidAddress`, `InvalidValue`, `TooMany`,
    `NotFound` for an address of ours that nobody has, `NoPermission`.
    """
    group = _hold(tx, by, group)
    _add(tx, by, group, members, queries.groups.members.all(tx, group.id))


def _add(tx: Tx, by: Actor, group: Group, members: Collection[str], before: Sequence[str]) -> None:
    _let_in(tx, group.id, members)
    _ask_lists(tx, group.id, group.allow)
    _note(tx, by, group, before)


def _note(tx: Tx, by: Actor, group: Group, before: Sequence[str]) -> None:
    """Write down who has come and who has gone, not all of those who are there."""
    then, now = set(before), set(queries.groups.members.all(tx, group.id))
    changes = {"removed": sorted(then - now), "added": sorted(now - then)}
    if then != now:
        audit.record(tx, by, "group.members", group.address, after={name: one for name, one in changes.items() if one})


def remove(tx: Tx, by: Actor, group: Group, member: str) -> None:
    """Let that address be no member any more. Raises `NotFound`, `InvalidValue` (it is the last), `InvalidAddress`,
    `NoPermission`.
    """
    group = _hold(tx, by, group)
    before = queries.groups.members.all(tx, group.id)
    if not queries.groups.members.remove(tx, group.id, _canonical(tx, member)):
        raise NotFound(what="group member", name=member)
    _ask_lists(tx, group.id, group.allow)
    _note(tx, by, group, before)


def delete(tx: Tx, by: Actor, group: Group) -> None:
    """Give the group up, and its address; it stays a member of others by name, for who takes the address next. Raises
    `NoPermission`.
    """
    group = _hold(tx, by, group)
    before = {"name": group.name, "allow": group.allow.value, **_counted(tx, group.id)}
    queries.groups.members.clear(tx, group.id)
    queries.groups.senders.clear(tx, group.id)
    queries.groups.remove(tx, group.id)
    audit.record(tx, by, "group.remove", group.address, before=before)


def ask(tx: Tx, group_id: GroupId, *, sender: str, is_known: bool) -> None:
    """Whether the group takes mail from this envelope sender. An address of ours counts only where it `is_known` that
    its holder sends: anybody can write it on an envelope. One of elsewhere is believed. Raises `GroupRefused`.
    """
    group = queries.groups.get(tx, group_id)
    if group is None:
        raise NotFound(what="group", name=str(group_id))
    if group.allow is Allow.ANYONE:
        return
    try:
        address = addresses.parse(sender)
    except InvalidAddress:  # the null reverse-path as well
        raise GroupRefused(address=group.address) from None
    lease = addresses.resolve(tx, address)
    is_ours = lease is not None or queries.domains.by_name(tx, address.domain) is not None
    if is_ours and not is_known:
        raise GroupRefused(address=group.address)
    names = {str(address), str(address.untagged)}
    if lease is not None and lease.mailbox_id is not None:
        names.update(addresses.every(tx, lease.mailbox_id))
    if not _may_send(tx, group, sorted(names), is_ours=lease is not None):
        raise GroupRefused(address=group.address)


def _may_send(tx: Tx, group: Group, names: Sequence[str], *, is_ours: bool) -> bool:
    match group.allow:
        case Allow.ANYONE:
            return True
        case Allow.ORGANISATION:
            return is_ours
        case Allow.MEMBERS:
            return _holds(tx, [group.id], names)
        case Allow.CUSTOM:
            named = queries.groups.senders
            return _names(tx, named, group.id, names) or _holds(tx, named.groups(tx, group.id), names)


def _holds(tx: Tx, group_ids: Sequence[GroupId], names: Sequence[str]) -> bool:
    """Whether one of the groups, or of the groups within them, has one of the names for a member."""
    met = list(dict.fromkeys(group_ids))
    for group_id in met:  # it grows
        if _names(tx, queries.groups.members, group_id, names):
            return True
        if len(met) < _NESTED_MOST:
            met += [one for one in queries.groups.members.groups(tx, group_id) if one not in met]
    return False


def _names(tx: Tx, named: GroupList, group_id: GroupId, names: Sequence[str]) -> bool:
    """Whether the list names one of them, or a department or tag that its holder is in."""
    if named.names(tx, group_id, names):
        return True
    units = named.units(tx, group_id)
    return bool(units) and not set(names).isdisjoint(_within(tx, units))


def _named(name: str) -> str:
    name = name.strip()
    if not 0 < len(name.encode(errors="replace")) <= _NAME_MOST or not name.isprintable():
        raise InvalidValue(name="name", reason=f"1 to {_NAME_MOST} printable octets")
    return name


def _let_in(tx: Tx, group_id: GroupId, members: Collection[str]) -> None:
    addresses.ask_known(tx, [addresses.parse(one) for one in members if not _UNIT.fullmatch(one)])
    _fill(tx, queries.groups.members, group_id, members, most=MEMBERS_MOST)


def _fill(tx: Tx, into: GroupList, group_id: GroupId, texts: Collection[str], *, most: int) -> None:
    into.add(tx, group_id, dict.fromkeys(_canonical(tx, text) for text in texts))
    if into.count(tx, group_id) > most:
        raise TooMany(what="addresses", limit=most)


def _canonical(tx: Tx, text: str) -> str:
    unit = _UNIT.fullmatch(text)
    if unit is None:
        return str(addresses.parse(text))
    if unit[1] == "department":
        departments.get(tx, DepartmentId(int(unit[2])))
    else:
        tags.get(tx, TagId(int(unit[2])))
    return text


def _ask_lists(tx: Tx, group_id: GroupId, allow: Allow) -> None:
    if not queries.groups.members.count(tx, group_id):
        raise InvalidValue(name="members", reason="a group has at least one")
    has_senders = queries.groups.senders.count(tx, group_id) > 0
    if has_senders != (allow is Allow.CUSTOM):
        raise InvalidValue(name="senders", reason="are named where allow is custom, and only there")

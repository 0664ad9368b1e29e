# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mailing groups: one address, many members, and who may write to it (spec 3.6)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from mailroom.core.errors import GroupRefused, InvalidAddress, InvalidValue, NameTaken, NotFound, TooMany
from mailroom.core.ids import GroupId, OrganisationId
from mailroom.directory import addresses, queries
from mailroom.directory.addresses import Address
from mailroom.directory.model import Allow, Group
from mailroom.directory.queries.groups import GroupList
from mailroom.storage.ports import Conflict, Tx

MEMBERS_MOST: Final = 10_000
SENDERS_MOST: Final = 1_000
_NAME_MOST: Final = 200  # octets
_NESTED_MOST: Final = 100  # groups that are looked into for one sender


@dataclass(frozen=True, slots=True)
class Lists:
    """What a group names, in canonical form."""

    members: Sequence[str]
    senders: Sequence[str]  # who may send, where `allow` is custom


def create(
    tx: Tx,
    organisation_id: OrganisationId,
    address: Address,
    *,
    name: str,
    members: Collection[str],
    allow: Allow = Allow.ORGANISATION,
    senders: Collection[str] = (),
) -> Group:
    """Make a group. Members are addresses: of mailboxes, of other groups, of anybody elsewhere. Raises `InvalidValue`,
    `InvalidAddress`, `NameTaken`, `AddressTaken`, `TooMany`, `NotFound` (no such domain, or no such address here).
    """
    name = _named(name)
    try:
        group_id = queries.groups.add(tx, organisation_id, name, allow)
    except Conflict as taken:
        raise NameTaken(what="group", name=name) from taken
    addresses.take_for_group(tx, address, group_id)
    _let_in(tx, group_id, members)
    _fill(tx, queries.groups.senders, group_id, senders, most=SENDERS_MOST)
    _ask_lists(tx, group_id, allow)
    return Group(group_id, str(address), name, allow)


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


def lists(tx: Tx, group_id: GroupId) -> Lists:
    """What the group names."""
    return Lists(members(tx, group_id), queries.groups.senders.all(tx, group_id))


def members(tx: Tx, group_id: GroupId) -> Sequence[str]:
    """The addresses that a mail to the group goes to, in canonical form."""
    return queries.groups.members.all(tx, group_id)


def rename(tx: Tx, group: Group, name: str) -> None:
    """Call the group something else. Raises `InvalidValue`, `NameTaken`."""
    try:
        queries.groups.change(tx, group.id, _named(name), group.allow)
    except Conflict as taken:
        raise NameTaken(what="group", name=name) from taken


def allow(tx: Tx, group: Group, whom: Allow, *, senders: Collection[str] = ()) -> None:
    """Decide who may send to the group; `senders` are those of a custom list, and replace the old ones. An address of a
    group stands for its members. Raises `InvalidValue`, `InvalidAddress`, `TooMany`.
    """
    queries.groups.change(tx, group.id, group.name, whom)
    queries.groups.senders.clear(tx, group.id)
    _fill(tx, queries.groups.senders, group.id, senders, most=SENDERS_MOST)
    _ask_lists(tx, group.id, whom)


def replace(tx: Tx, group: Group, members: Collection[str]) -> None:
    """Let the group have these members and no others. Raises as `add` does."""
    queries.groups.members.clear(tx, group.id)
    add(tx, group, members)


def add(tx: Tx, group: Group, members: Collection[str]) -> None:
    """Let these be members too. Doing it again is harmless. Raises `InvalidAddress`, `InvalidValue`, `TooMany`,
    `NotFound` for an address of ours that nobody has.
    """
    _let_in(tx, group.id, members)
    _ask_lists(tx, group.id, group.allow)


def remove(tx: Tx, group: Group, member: str) -> None:
    """Let that address be no member any more. Raises `NotFound`, `InvalidValue` (it is the last), `InvalidAddress`."""
    if not queries.groups.members.remove(tx, group.id, str(addresses.parse(member))):
        raise NotFound(what="group member", name=member)
    _ask_lists(tx, group.id, group.allow)


def delete(tx: Tx, group: Group) -> None:
    """Give the group up, and its address; it stays a member of others by name, for who takes the address next."""
    queries.groups.members.clear(tx, group.id)
    queries.groups.senders.clear(tx, group.id)
    queries.groups.remove(tx, group.id)


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
            return named.names(tx, group.id, names) or _holds(tx, named.groups(tx, group.id), names)


def _holds(tx: Tx, group_ids: Sequence[GroupId], names: Sequence[str]) -> bool:
    """Whether one of the groups, or of the groups within them, has one of the names for a member."""
    met = list(dict.fromkeys(group_ids))
    for group_id in met:  # it grows
        if queries.groups.members.names(tx, group_id, names):
            return True
        if len(met) < _NESTED_MOST:
            met += [one for one in queries.groups.members.groups(tx, group_id) if one not in met]
    return False


def _named(name: str) -> str:
    name = name.strip()
    if not 0 < len(name.encode(errors="replace")) <= _NAME_MOST or not name.isprintable():
        raise InvalidValue(name="name", reason=f"1 to {_NAME_MOST} printable octets")
    return name


def _let_in(tx: Tx, group_id: GroupId, members: Collection[str]) -> None:
    addresses.ask_known(tx, [addresses.parse(one) for one in members])
    _fill(tx, queries.groups.members, group_id, members, most=MEMBERS_MOST)


def _fill(tx: Tx, into: GroupList, group_id: GroupId, texts: Collection[str], *, most: int) -> None:
    into.add(tx, group_id, dict.fromkeys(str(addresses.parse(text)) for text in texts))
    if into.count(tx, group_id) > most:
        raise TooMany(what="addresses", limit=most)


def _ask_lists(tx: Tx, group_id: GroupId, allow: Allow) -> None:
    if not queries.groups.members.count(tx, group_id):
        raise InvalidValue(name="members", reason="a group has at least one")
    has_senders = queries.groups.senders.count(tx, group_id) > 0
    if has_senders != (allow is Allow.CUSTOM):
        raise InvalidValue(name="senders", reason="are named where allow is custom, and only there")

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Proofs under way. A scene is known by its digest alone."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, delete, func, insert, select, update

from mailroom.core.ids import MemberId
from mailroom.notify.model import TicketState, Way
from mailroom.storage import schema, sql
from mailroom.storage.ports import Row, Tx

_tickets = schema.link_tickets

_ADD = insert(_tickets).values(
    scene=bindparam("scene"),
    member_id=bindparam("member_id"),
    kind=bindparam("kind"),
    address=bindparam("address"),
    state=TicketState.OPEN.value,
    created_at=bindparam("now"),
    expires_at=bindparam("expires"),
)
_TICKET = select(
    _tickets.c.scene,
    _tickets.c.member_id,
    _tickets.c.kind,
    _tickets.c.address,
    _tickets.c.label,
    _tickets.c.state,
    _tickets.c.tries,
    _tickets.c.expires_at,
).where(_tickets.c.expires_at > bindparam("now"))
_HIS = (_tickets.c.member_id == bindparam("which_member"), _tickets.c.kind == bindparam("which_kind"))
_BY_SCENE = _TICKET.where(_tickets.c.scene == bindparam("scene")).with_for_update()
_LATEST = _TICKET.where(*_HIS, _tickets.c.state != TicketState.USED.value)
_LATEST = _LATEST.order_by(_tickets.c.created_at.desc()).limit(1)
_HOLD_LATEST = _LATEST.with_for_update()
_CHANGE = (
    update(_tickets)
    .where(_tickets.c.scene == bindparam("which"))
    .values(
        state=bindparam("new_state"),
        address=bindparam("new_address"),
        label=bindparam("new_label"),
        tries=bindparam("new_tries"),
    )
)
# Not against those who only refer to the row.
_LOCK = select(schema.members.c.id).where(schema.members.c.id == bindparam("member_id"))
_LOCK = _LOCK.with_for_update(key_share=True)
_END_ALL = update(_tickets).where(*_HIS).values(state=TicketState.USED.value)
_FORGET = delete(_tickets).where(*_HIS, _tickets.c.created_at < bindparam("before"))
_REMOVE_ALL = delete(_tickets).where(_tickets.c.member_id == bindparam("which_member"))
_MADE = select(func.count(), func.min(_tickets.c.created_at), func.max(_tickets.c.created_at))
_MADE = _MADE.where(_tickets.c.created_at > bindparam("since"))
_MADE_BY = _MADE.where(*_HIS)
_MADE_TO = _MADE.where(_tickets.c.address == bindparam("address"), _tickets.c.kind == Way.SMS.value)


@dataclass(frozen=True, slots=True)
class Kept:
    """A ticket that has not expired."""

    scene: str  # its digest
    member_id: MemberId
    way: Way
    address: str
    label: str
    state: TicketState
    tries: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Made:
    """Tickets that were made lately: how many, and when the first and the last of them."""

    count: int
    first_at: int
    last_at: int


def _to_kept(row: Row | None) -> Kept | None:
    if row is None:
        return None
    return Kept(row[0], MemberId(row[1]), Way(row[2]), row[3], row[4], TicketState(row[5]), row[6], row[7])


def lock(tx: Tx, member_id: MemberId) -> None:
    """Let nobody else who calls this for the member go on until the commit: for what counts."""
    tx.first(_LOCK, member_id=member_id)


def add(tx: Tx, scene: str, member_id: MemberId, way: Way, *, address: str, expires_at: int) -> None:
    tx.run(_ADD, scene=scene, member_id=member_id, kind=way.value, address=address, now=tx.now, expires=expires_at)


def by_scene(tx: Tx, scene: str) -> Kept | None:
    """The one with that digest, kept from others until the commit."""
    return _to_kept(tx.first(_BY_SCENE, scene=scene, now=tx.now))


def latest(tx: Tx, member_id: MemberId, way: Way) -> Kept | None:
    """The member's last one that is not used."""
    return _to_kept(tx.first(_LATEST, which_member=member_id, which_kind=way.value, now=tx.now))


def hold_latest(tx: Tx, member_id: MemberId, way: Way) -> Kept | None:
    """The same, kept from others until the commit."""
    return _to_kept(tx.first(_HOLD_LATEST, which_member=member_id, which_kind=way.value, now=tx.now))


def change(tx: Tx, one: Kept) -> None:
    """Write its state, address, label and tries."""
    tx.run(
        _CHANGE,
        which=one.scene,
        new_state=one.state.value,
        new_address=one.address,
        new_label=one.label,
        new_tries=one.tries,
    )


def end_all(tx: Tx, member_id: MemberId, way: Way) -> None:
    """Let none of the member's be good for anything any more."""
    tx.run(_END_ALL, which_member=member_id, which_kind=way.value)


def forget(tx: Tx, member_id: MemberId, way: Way, *, before: int) -> None:
    tx.run(_FORGET, which_member=member_id, which_kind=way.value, before=before)


def remove_all(tx: Tx, member_id: MemberId) -> None:
    tx.run(_REMOVE_ALL, which_member=member_id)


def made_by(tx: Tx, member_id: MemberId, way: Way, *, since: int) -> Made:
    row = tx.first(_MADE_BY, which_member=member_id, which_kind=way.value, since=since)
    return _to_made(row)


def made_to(tx: Tx, number: str, *, since: int) -> Made:
    return _to_made(tx.first(_MADE_TO, address=number, since=since))


def _to_made(row: Row | None) -> Made:
    count: int = sql.returned(row)
    return Made(count, row[1] or 0, row[2] or 0) if row else Made(count, 0, 0)

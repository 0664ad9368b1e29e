# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Where members can be told."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, select, update

from mailroom.core.ids import MemberId
from mailroom.notify.model import Link, LinkState, Way
from mailroom.storage import schema, sql
from mailroom.storage.ports import Row, Tx

_links = schema.links

_LINK = select(
    _links.c.member_id,
    _links.c.kind,
    _links.c.address,
    _links.c.label,
    _links.c.state,
    _links.c.reason,
    _links.c.linked_at,
)
_OF = _LINK.where(_links.c.member_id == bindparam("member_id"))
_ONE = _OF.where(_links.c.kind == bindparam("kind"))
_KEY = (_links.c.member_id == bindparam("which_member"), _links.c.kind == bindparam("which_kind"))
_NEW = sql.insert(_links).values(
    member_id=bindparam("member_id"),
    kind=bindparam("kind"),
    address=bindparam("address"),
    label=bindparam("label"),
    state=LinkState.VALID.value,
    reason="",
    linked_at=bindparam("now"),
)
_PUT = _NEW.on_conflict_do_update(
    index_elements=[_links.c.member_id, _links.c.kind],
    set_={name: _NEW.excluded[name] for name in ("address", "label", "state", "reason", "linked_at")},
)
_REMOVE = delete(_links).where(*_KEY)
_REMOVE_ALL = delete(_links).where(_links.c.member_id == bindparam("which_member"))
_BREAK = (
    update(_links)
    .where(_links.c.kind == bindparam("which_kind"), _links.c.address == bindparam("which_address"))
    .values(state=LinkState.BROKEN.value, reason=bindparam("new_reason"))
)
_DELAY = update(_links).where(*_KEY).values(free_at=bindparam("until"))


def _to_link(row: Row) -> Link:
    return Link(MemberId(row[0]), Way(row[1]), row[2], row[3], LinkState(row[4]), row[5], row[6])


def of(tx: Tx, member_id: MemberId) -> Sequence[Link]:
    return [_to_link(row) for row in tx.all(_OF, member_id=member_id)]


def get(tx: Tx, member_id: MemberId, way: Way) -> Link | None:
    row = tx.first(_ONE, member_id=member_id, kind=way.value)
    return _to_link(row) if row else None


def put(tx: Tx, member_id: MemberId, way: Way, address: str, label: str) -> None:
    """Make the link, or give it this address; either way it works."""
    tx.run(_PUT, member_id=member_id, kind=way.value, address=address, label=label, now=tx.now)


def remove(tx: Tx, member_id: MemberId, way: Way) -> int:
    """1 when there was one, else 0."""
    return tx.run(_REMOVE, which_member=member_id, which_kind=way.value)


def remove_all(tx: Tx, member_id: MemberId) -> None:
    tx.run(_REMOVE_ALL, which_member=member_id)


def break_(tx: Tx, way: Way, address: str, reason: str) -> int:
    """Whoever has linked the address; how many they are."""
    return tx.run(_BREAK, which_kind=way.value, which_address=address, new_reason=reason)


def delay(tx: Tx, member_id: MemberId, way: Way, *, until: int) -> None:
    """Let the next notice wait until then."""
    tx.run(_DELAY, which_member=member_id, which_kind=way.value, until=until)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The organisation."""

from __future__ import annotations

from sqlalchemy import bindparam, insert, select

from mailroom.core.ids import OrganisationId
from mailroom.storage import schema, sql
from mailroom.storage.ports import Tx

_organisations = schema.organisations

_ORGANISATION = select(_organisations.c.id).order_by(_organisations.c.id).limit(1)
_LOCK = _ORGANISATION.with_for_update(key_share=True)
_ADD_ORGANISATION = (
    insert(_organisations).values(name=bindparam("name"), created_at=bindparam("now")).returning(_organisations.c.id)
)


def get(tx: Tx) -> OrganisationId | None:
    row = tx.first(_ORGANISATION)
    return OrganisationId(row[0]) if row else None


def add(tx: Tx, name: str) -> OrganisationId:
    return OrganisationId(sql.returned(tx.first(_ADD_ORGANISATION, name=name, now=tx.now)))


def lock(tx: Tx) -> None:
    """Nobody else who asks for this lock goes on until the commit. Whoever only refers to the organisation does."""
    tx.first(_LOCK)

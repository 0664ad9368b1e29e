# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The providers' access tokens."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, delete, select, update

from mailroom.storage import schema, sql
from mailroom.storage.ports import Tx

_tokens = schema.tokens

_TOKEN = _tokens.c.key == bindparam("which")
_MAKE = sql.insert(_tokens).values(key=bindparam("which")).on_conflict_do_nothing()
_HELD = select(_tokens.c.token, _tokens.c.fetched_at, _tokens.c.expires_at, _tokens.c.fetching_until)
_HELD = _HELD.where(_TOKEN).with_for_update()
_BEGIN = update(_tokens).where(_TOKEN).values(fetching_until=bindparam("until"))
_KEEP = (
    update(_tokens)
    .where(_TOKEN)
    .values(
        token=bindparam("sealed"), fetched_at=bindparam("fetched"), expires_at=bindparam("expires"), fetching_until=0
    )
)
_FORGET = delete(_tokens).where(
    _tokens.c.expires_at < bindparam("before"), _tokens.c.fetching_until <= bindparam("now")
)


@dataclass(frozen=True, slots=True)
class HeldToken:
    """An access token as it is kept; none before the first has been fetched."""

    sealed: bytes | None
    fetched_at: int
    expires_at: int


def begin(tx: Tx, key: str, *, until: int) -> tuple[HeldToken, bool]:
    """The token, and whether it is for the caller to fetch it anew, until that time."""
    tx.run(_MAKE, which=key)
    row = tx.first(_HELD, which=key)
    assert row is not None, "it has just been made"
    ours = row[3] <= tx.now
    if ours:
        tx.run(_BEGIN, which=key, until=until)
    return HeldToken(None if row[0] is None else bytes(row[0]), row[1], row[2]), ours


def leave(tx: Tx, key: str) -> None:
    """Nobody fetches it now."""
    tx.run(_BEGIN, which=key, until=0)


def keep(tx: Tx, key: str, sealed: bytes, *, fetched_at: int, expires_at: int) -> None:
    """It has been fetched."""
    tx.run(_KEEP, which=key, sealed=sealed, fetched=fetched_at, expires=expires_at)


def forget(tx: Tx, *, before: int) -> None:
    """Forget those that ended before that time, but for those that are being fetched."""
    tx.run(_FORGET, before=before, now=tx.now)

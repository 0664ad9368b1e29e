# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Certificates, and the answers that prove a host name."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, delete, select

from mailroom.storage import schema, sql
from mailroom.storage.ports import Tx

_certificates = schema.certificates
_acme_answers = schema.acme_answers

_CERTIFICATE = select(_certificates.c.chain, _certificates.c.private_key, _certificates.c.expires_at).where(
    _certificates.c.name == bindparam("name")
)
_CHANGED: dict[str, Any] = {name: bindparam(name) for name in ("chain", "private_key", "expires_at", "changed_at")}
_SAVE_CERTIFICATE = (
    sql.insert(_certificates)
    .values({**_CHANGED, "name": bindparam("name")})
    .on_conflict_do_update(index_elements=[_certificates.c.name], set_=_CHANGED | {"renewing_until": 0})
)
_BEGIN_RENEWAL = (
    sql.insert(_certificates)
    .values(
        name=bindparam("name"),
        chain="",
        private_key=b"",
        expires_at=0,
        changed_at=0,
        renewing_until=bindparam("until"),
    )
    .on_conflict_do_update(
        index_elements=[_certificates.c.name],
        set_={"renewing_until": bindparam("until")},
        where=_certificates.c.renewing_until < bindparam("now"),
    )
)
_ANSWER = select(_acme_answers.c.answer).where(_acme_answers.c.token == bindparam("token"))
_ADD_ANSWER = (
    sql.insert(_acme_answers)
    .values(token=bindparam("token"), answer=bindparam("answer"), created_at=bindparam("now"))
    .on_conflict_do_update(index_elements=[_acme_answers.c.token], set_={"answer": bindparam("answer")})
)
_FORGET_ANSWERS = delete(_acme_answers).where(_acme_answers.c.created_at < bindparam("before"))


def get(tx: Tx, name: str) -> tuple[str, bytes, int] | None:
    """Chain, sealed key and end of one that is there; a renewal that has only begun is none."""
    row = tx.first(_CERTIFICATE, name=name)
    return (row[0], bytes(row[1]), row[2]) if row and row[1] else None


def save(tx: Tx, name: str, *, chain: str, private_key: bytes, expires_at: int) -> None:
    tx.run(_SAVE_CERTIFICATE, name=name, chain=chain, private_key=private_key, expires_at=expires_at, changed_at=tx.now)


def begin_renewal(tx: Tx, name: str, *, until: int) -> int:
    """1 when nobody else is at it, else 0."""
    return tx.run(_BEGIN_RENEWAL, name=name, until=until, now=tx.now)


def answer(tx: Tx, token: str) -> str:
    row = tx.first(_ANSWER, token=token)
    return row[0] if row else ""


def add_answer(tx: Tx, token: str, text: str) -> None:
    tx.run(_ADD_ANSWER, token=token, answer=text, now=tx.now)


def forget_answers(tx: Tx, before: int) -> None:
    tx.run(_FORGET_ANSWERS, before=before)

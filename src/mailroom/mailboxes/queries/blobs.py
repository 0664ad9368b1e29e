# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Large bodies: who refers to them, and which can be collected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import and_, bindparam, delete, select, update

from mailroom.storage import schema, sql
from mailroom.storage.ports import Tx

_blobs = schema.blobs

_PIN_BLOB = (
    sql.insert(_blobs)
    .values(name=bindparam("name"), pinned_at=bindparam("now"))
    .on_conflict_do_update(
        index_elements=[_blobs.c.name], set_={"pinned_at": bindparam("now")}, where=_blobs.c.doomed == 0
    )
)
_COUNT_BLOB = (
    update(_blobs)
    .where(_blobs.c.name == bindparam("which"), _blobs.c.doomed == 0)
    .values(refs=_blobs.c.refs + bindparam("by"), pinned_at=bindparam("now"))
)
# Neither in use nor just being kept, or left half deleted.
_COLLECTABLE = and_(
    schema.UNREFERRED,
    ((_blobs.c.doomed == 0) & (_blobs.c.pinned_at < bindparam("unpinned_before")))
    | ((_blobs.c.doomed == 1) & (_blobs.c.pinned_at < bindparam("doomed_before"))),
)
_COLLECTABLE_BLOBS = select(_blobs.c.name).where(_COLLECTABLE).limit(bindparam("limit"))
_DOOM_BLOB = (
    update(_blobs).where(_blobs.c.name == bindparam("which"), _COLLECTABLE).values(doomed=1, pinned_at=bindparam("now"))
)
_FORGET_BLOB = delete(_blobs).where(
    _blobs.c.name == bindparam("which"), _blobs.c.doomed == 1, _blobs.c.pinned_at == bindparam("doomed_at")
)


def pin(tx: Tx, name: str) -> int:
    """1 when the blob may be kept and referred to for the next day, 0 when it is just being deleted."""
    return tx.run(_PIN_BLOB, name=name, now=tx.now)


def refer(tx: Tx, name: str) -> int:
    """1 when the blob is there for as long as it is referred to, 0 when it has been, or is being, deleted."""
    return tx.run(_COUNT_BLOB, which=name, by=1, now=tx.now)


def release(tx: Tx, counts: Mapping[str, int]) -> None:
    """So many contents fewer refer to each."""
    rows = [{"which": name, "by": -count, "now": tx.now} for name, count in sorted(counts.items())]
    tx.many(_COUNT_BLOB, rows)


def collectable(tx: Tx, *, unpinned_before: int, doomed_before: int, limit: int) -> Sequence[str]:
    """What nobody refers to. One that was doomed is among them only when its collector must have died."""
    rows = tx.all(_COLLECTABLE_BLOBS, unpinned_before=unpinned_before, doomed_before=doomed_before, limit=limit)
    return [name for (name,) in rows]


def doom(tx: Tx, name: str, *, unpinned_before: int, doomed_before: int) -> int:
    """1 when the blob was collectable even now, and is ours to delete: the doom is known by its time, `tx.now`."""
    return tx.run(_DOOM_BLOB, which=name, unpinned_before=unpinned_before, doomed_before=doomed_before, now=tx.now)


def forget(tx: Tx, name: str, *, doomed_at: int) -> None:
    """Allow it to be kept anew, unless another collector has doomed it since."""
    tx.run(_FORGET_BLOB, which=name, doomed_at=doomed_at)

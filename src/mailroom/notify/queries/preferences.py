# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""How members want to hear of the mails of a mailbox."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam, delete, select, update

from mailroom.core.ids import MailboxId, MemberId
from mailroom.notify.model import Way
from mailroom.storage import schema, sql
from mailroom.storage.ports import Tx

_preferences = schema.preferences
_switches = schema.switches

_OF = select(_preferences.c.mailbox_id, _preferences.c.only_from, _preferences.c.quiet)
_OF = _OF.where(_preferences.c.member_id == bindparam("member_id"))
_NEW = sql.insert(_preferences).values(
    member_id=bindparam("member_id"),
    mailbox_id=bindparam("mailbox_id"),
    only_from=bindparam("only_from"),
    quiet=bindparam("quiet"),
)
_PUT = _NEW.on_conflict_do_update(
    index_elements=[_preferences.c.member_id, _preferences.c.mailbox_id],
    set_={"only_from": _NEW.excluded.only_from, "quiet": _NEW.excluded.quiet},
)
_ON = select(_switches.c.mailbox_id, _switches.c.kind)
_ON = _ON.where(_switches.c.member_id == bindparam("member_id"), _switches.c.is_on == 1)
_IS_ON = select(_switches.c.is_on).where(
    _switches.c.member_id == bindparam("member_id"),
    _switches.c.mailbox_id == bindparam("mailbox_id"),
    _switches.c.kind == bindparam("kind"),
)
_NEW_SWITCH = sql.insert(_switches).values(
    member_id=bindparam("member_id"),
    mailbox_id=bindparam("mailbox_id"),
    kind=bindparam("kind"),
    is_on=bindparam("is_on"),
)
_SWITCH = _NEW_SWITCH.on_conflict_do_update(
    index_elements=[_switches.c.member_id, _switches.c.mailbox_id, _switches.c.kind],
    set_={"is_on": _NEW_SWITCH.excluded.is_on},
)
_HIS = _switches.c.member_id == bindparam("which_member")
_TAKE = delete(_switches).where(_HIS, _switches.c.kind == bindparam("which_kind"))
_TAKE_ALL = delete(_switches).where(_HIS)
_REMOVE_ALL = delete(_preferences).where(_preferences.c.member_id == bindparam("which_member"))
_JOIN = (
    update(_switches)
    .where(
        _HIS,
        _switches.c.mailbox_id == bindparam("which_mailbox"),
        _switches.c.kind == bindparam("which_kind"),
    )
    .values(recipient_id=bindparam("new_recipient"))
)


def of(tx: Tx, member_id: MemberId) -> Mapping[MailboxId, tuple[Sequence[str], str]]:
    """By mailbox: from whom only, and the quiet hours as they are kept."""
    return {MailboxId(row[0]): (json.loads(row[1]), row[2]) for row in tx.all(_OF, member_id=member_id)}


def put(tx: Tx, member_id: MemberId, mailbox_id: MailboxId, *, only_from: Sequence[str], quiet: str) -> None:
    tx.run(
        _PUT,
        member_id=member_id,
        mailbox_id=mailbox_id,
        only_from=json.dumps(list(only_from), ensure_ascii=False),
        quiet=quiet,
    )


def on(tx: Tx, member_id: MemberId) -> frozenset[tuple[MailboxId, Way]]:
    """What he has switched on."""
    return frozenset((MailboxId(row[0]), Way(row[1])) for row in tx.all(_ON, member_id=member_id))


def is_on(tx: Tx, member_id: MemberId, mailbox_id: MailboxId, way: Way) -> bool:
    row = tx.first(_IS_ON, member_id=member_id, mailbox_id=mailbox_id, kind=way.value)
    return row is not None and bool(row[0])


def switch(tx: Tx, member_id: MemberId, mailbox_id: MailboxId, way: Way, *, to: bool) -> None:
    tx.run(_SWITCH, member_id=member_id, mailbox_id=mailbox_id, kind=way.value, is_on=int(to))


def take(tx: Tx, member_id: MemberId, way: Way) -> None:
    """Forget his switches of one way."""
    tx.run(_TAKE, which_member=member_id, which_kind=way.value)


def remove_all(tx: Tx, member_id: MemberId) -> None:
    """Forget all that he has chosen."""
    tx.run(_TAKE_ALL, which_member=member_id)
    tx.run(_REMOVE_ALL, which_member=member_id)


def join(tx: Tx, member_id: MemberId, mailbox_id: MailboxId, way: Way, *, recipient_id: int) -> None:
    """Let the next mail look whether it may join this notice."""
    tx.run(_JOIN, which_member=member_id, which_mailbox=mailbox_id, which_kind=way.value, new_recipient=recipient_id)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""All SQL of delivery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, case, delete, func, insert, select, update

from mailroom.core.ids import ContentId, MailboxId, MemberId, MessageId
from mailroom.senders.contract import Kept
from mailroom.storage import schema, sql
from mailroom.storage.ports import Row, Tx

_outgoing = schema.outgoing


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A mail on its way out: what the message with that id carries."""

    message_id: MessageId
    content_id: ContentId
    envelope_from: str
    ret: str
    envid: str
    created_at: int


_ADD_OUTGOING = insert(_outgoing).values(
    message_id=bindparam("message_id"),
    content_id=bindparam("content_id"),
    envelope_from=bindparam("envelope_from"),
    ret=bindparam("ret"),
    envid=bindparam("envid"),
    sent_by=bindparam("sent_by"),
    created_at=bindparam("now"),
)
_OUTGOING = select(
    _outgoing.c.message_id,
    _outgoing.c.content_id,
    _outgoing.c.envelope_from,
    _outgoing.c.ret,
    _outgoing.c.envid,
    _outgoing.c.created_at,
)
_LOCK_OUTGOING = (
    _OUTGOING.where(_outgoing.c.message_id.in_(bindparam("message_ids", expanding=True)))
    .order_by(_outgoing.c.message_id)
    .with_for_update()
)
_LATE = (
    _OUTGOING.where(_outgoing.c.created_at < bindparam("before"), _outgoing.c.delay_told == 0)
    .order_by(_outgoing.c.created_at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_DELAY_TOLD = update(_outgoing).where(_outgoing.c.message_id == bindparam("which")).values(delay_told=1)
_REMOVE_OUTGOING = delete(_outgoing).where(_outgoing.c.message_id.in_(bindparam("message_ids", expanding=True)))
_CHUNK = 500  # ids that one statement names


def _to_outgoing(row: Row) -> Outgoing:
    return Outgoing(
        message_id=MessageId(row[0]),
        content_id=ContentId(row[1]),
        envelope_from=row[2],
        ret=row[3],
        envid=row[4],
        created_at=row[5],
    )


def add_outgoing(
    tx: Tx,
    message_id: MessageId,
    content_id: ContentId,
    *,
    envelope_from: str,
    ret: str,
    envid: str,
    sent_by: MemberId | None,
) -> None:
    tx.run(
        _ADD_OUTGOING,
        message_id=message_id,
        content_id=content_id,
        envelope_from=envelope_from,
        ret=ret,
        envid=envid,
        sent_by=sent_by,
        now=tx.now,
    )


def lock_outgoing(tx: Tx, message_ids: Sequence[MessageId]) -> Sequence[Outgoing]:
    """Those of the mails that are not over, kept from others until the commit."""
    return [_to_outgoing(row) for ids in _chunks(message_ids) for row in tx.all(_LOCK_OUTGOING, message_ids=ids)]


def late(tx: Tx, *, before: int, limit: int) -> Sequence[Outgoing]:
    """Mails from before that time whose sender has not been told that they take long; the oldest first, locked."""
    return [_to_outgoing(row) for row in tx.all(_LATE, before=before, limit=limit)]


def delay_told(tx: Tx, message_id: MessageId) -> None:
    tx.run(_DELAY_TOLD, which=message_id)


def remove_outgoing(tx: Tx, message_ids: Sequence[MessageId]) -> None:
    for ids in _chunks(message_ids):
        tx.run(_REMOVE_OUTGOING, message_ids=ids)


def _chunks(message_ids: Sequence[MessageId]) -> Iterator[Sequence[MessageId]]:
    ordered = sorted(set(message_ids))
    return (ordered[at : at + _CHUNK] for at in range(0, len(ordered), _CHUNK))


_sts = schema.sts_policies
_POLICY = select(_sts.c.policy_id, _sts.c.policy, _sts.c.expires_at).where(
    _sts.c.domain == bindparam("domain"), _sts.c.expires_at > bindparam("now")
)
_KEPT: dict[str, Any] = {name: bindparam(name) for name in ("policy_id", "policy", "expires_at")}
_KEEP_POLICY = (
    sql.insert(_sts)
    .values(_KEPT | {"domain": bindparam("domain")})
    .on_conflict_do_update(index_elements=[_sts.c.domain], set_=_KEPT)
)


def sts_policy(tx: Tx, domain: str) -> Kept | None:
    """The policy that is kept, unless it has expired."""
    row = tx.first(_POLICY, domain=domain, now=tx.now)
    return Kept(row[0], row[1], row[2]) if row else None


def keep_sts_policy(tx: Tx, domain: str, kept: Kept) -> None:
    tx.run(_KEEP_POLICY, domain=domain, policy_id=kept.policy_id, policy=kept.policy, expires_at=kept.expires_at)


_sent = schema.sent_counts
_COUNT_SENT = sql.insert(_sent).values(who=bindparam("who"), hour=bindparam("hour"), recipients=bindparam("more"))
_COUNT_SENT = _COUNT_SENT.on_conflict_do_update(
    index_elements=[_sent.c.who, _sent.c.hour], set_={"recipients": _sent.c.recipients + bindparam("more")}
)
_SENT = select(
    func.coalesce(func.sum(case((_sent.c.hour == bindparam("hour"), _sent.c.recipients), else_=0)), 0),
    func.coalesce(func.sum(_sent.c.recipients), 0),
).where(_sent.c.who == bindparam("who"), _sent.c.hour > bindparam("hour") - 24)
_FORGET_SENT = delete(_sent).where(_sent.c.hour <= bindparam("hour") - 24)


def count_sent(tx: Tx, who: str, *, hour: int, more: int) -> None:
    tx.run(_COUNT_SENT, who=who, hour=hour, more=more)


def sent(tx: Tx, who: str, *, hour: int) -> tuple[int, int]:
    """Recipients in the hour, and in the day that ends with it."""
    row = tx.first(_SENT, who=who, hour=hour)
    return (int(row[0]), int(row[1])) if row else (0, 0)


def forget_sent(tx: Tx, *, hour: int) -> None:
    """Forget what is no longer of the day that ends with the hour."""
    tx.run(_FORGET_SENT, hour=hour)


_greylist = schema.greylist
_GREYLISTED = select(_greylist.c.first_at, _greylist.c.last_at).where(_greylist.c.key == bindparam("key"))
_GREYLIST = (
    sql.insert(_greylist)
    .values(key=bindparam("key"), first_at=bindparam("now"), last_at=bindparam("now"), passed=bindparam("passed"))
    .on_conflict_do_update(
        index_elements=[_greylist.c.key],
        set_={"last_at": bindparam("now"), "passed": _greylist.c.passed + bindparam("passed")},
    )
)
_FORGET_GREYLIST = delete(_greylist).where(_greylist.c.last_at < bindparam("before"))


def greylisted(tx: Tx, key: str) -> tuple[int, int] | None:
    """When the key was first and last seen."""
    row = tx.first(_GREYLISTED, key=key)
    return (row[0], row[1]) if row else None


def greylist(tx: Tx, key: str, *, passed: int) -> None:
    tx.run(_GREYLIST, key=key, now=tx.now, passed=passed)


def forget_greylist(tx: Tx, *, before: int) -> None:
    tx.run(_FORGET_GREYLIST, before=before)


_reports = schema.reports
_REPORT_COLUMNS = ("kind", "domain", "reporter", "report_id", "begins_at", "ends_at", "report")
_ADD_REPORT = (
    sql.insert(_reports)
    .values({name: bindparam(name) for name in (*_REPORT_COLUMNS, "received_at")})
    .on_conflict_do_nothing()
)
_REPORTS = (
    select(*(_reports.c[name] for name in _REPORT_COLUMNS))
    .where(_reports.c.domain == bindparam("domain"))
    .order_by(_reports.c.ends_at.desc(), _reports.c.id.desc())
    .limit(bindparam("limit"))
)
_CAP_REPORTS = delete(_reports).where(
    _reports.c.id.in_(
        select(_reports.c.id)
        .where(_reports.c.domain == bindparam("domain"))
        .order_by(_reports.c.id.desc())
        .offset(bindparam("most"))
    )
)
_FORGET_REPORTS = delete(_reports).where(_reports.c.received_at < bindparam("before"))


def add_report(
    tx: Tx, *, kind: str, domain: str, reporter: str, report_id: str, begins_at: int, ends_at: int, report: str
) -> None:
    """Write a report down, unless it has come before."""
    tx.run(
        _ADD_REPORT,
        kind=kind,
        domain=domain,
        reporter=reporter,
        report_id=report_id,
        begins_at=begins_at,
        ends_at=ends_at,
        report=report,
        received_at=tx.now,
    )


def cap_reports(tx: Tx, domain: str, *, most: int) -> None:
    """Keep so many on the domain, those that came last."""
    tx.run(_CAP_REPORTS, domain=domain, most=most)


def forget_reports(tx: Tx, *, before: int) -> None:
    """Forget what came before that time."""
    tx.run(_FORGET_REPORTS, before=before)


def reports(tx: Tx, domain: str, *, limit: int) -> Sequence[Row]:
    """Kind, domain, reporter, id, beginning, end and content of each, the newest first."""
    return tx.all(_REPORTS, domain=domain, limit=limit)


_rules = schema.mailbox_rules
_scripts = schema.scripts
_replies = schema.replies_sent

_RULE_COLUMNS = ("forward_to", "forward_keeps", "reply_on", "reply_subject", "reply_text", "reply_from", "reply_until")
_RULES = select(_rules.c.mailbox_id, *(_rules.c[name] for name in _RULE_COLUMNS)).where(
    _rules.c.mailbox_id.in_(bindparam("mailbox_ids", expanding=True))
)
_RULES_GIVEN: dict[str, Any] = {name: bindparam(name) for name in _RULE_COLUMNS}
_SET_RULES = (
    sql.insert(_rules)
    .values(_RULES_GIVEN | {"mailbox_id": bindparam("mailbox_id")})
    .on_conflict_do_update(index_elements=[_rules.c.mailbox_id], set_=_RULES_GIVEN)
)
_ACTIVE_SCRIPTS = select(_scripts.c.mailbox_id, _scripts.c.text).where(
    _scripts.c.mailbox_id.in_(bindparam("mailbox_ids", expanding=True)), _scripts.c.active == 1
)
_SCRIPTS = (
    select(_scripts.c.name, _scripts.c.active)
    .where(_scripts.c.mailbox_id == bindparam("mailbox_id"))
    .order_by(_scripts.c.name)
)
_ONE_SCRIPT = (_scripts.c.mailbox_id == bindparam("which"), _scripts.c.name == bindparam("named"))
_SCRIPT = select(_scripts.c.text).where(*_ONE_SCRIPT)
_PUT_SCRIPT = (
    sql.insert(_scripts)
    .values(
        mailbox_id=bindparam("mailbox_id"), name=bindparam("name"), text=bindparam("text"), changed_at=bindparam("now")
    )
    .on_conflict_do_update(
        index_elements=[_scripts.c.mailbox_id, _scripts.c.name],
        set_={"text": bindparam("text"), "changed_at": bindparam("now")},
    )
)
_DEACTIVATE = update(_scripts).where(_scripts.c.mailbox_id == bindparam("which"), _scripts.c.active == 1)
_DEACTIVATE = _DEACTIVATE.values(active=0)
_ACTIVATE = update(_scripts).where(*_ONE_SCRIPT).values(active=1)
_REMOVE_SCRIPT = delete(_scripts).where(*_ONE_SCRIPT)
_RENAME_SCRIPT = update(_scripts).where(*_ONE_SCRIPT).values(name=bindparam("new_name"))
_NOTE_REPLY = (
    sql.insert(_replies)
    .values(
        mailbox_id=bindparam("mailbox_id"),
        handle=bindparam("handle"),
        address=bindparam("address"),
        sent_at=bindparam("now"),
    )
    .on_conflict_do_update(
        index_elements=[_replies.c.mailbox_id, _replies.c.handle, _replies.c.address],
        set_={"sent_at": bindparam("now")},
        where=_replies.c.sent_at <= bindparam("before"),
    )
)
_FORGET_REPLIES = delete(_replies).where(_replies.c.sent_at < bindparam("before"))


def rules(tx: Tx, mailbox_ids: Sequence[MailboxId]) -> Sequence[Row]:
    """Each mailbox's id, and its rules in the order of `_RULE_COLUMNS`."""
    return tx.all(_RULES, mailbox_ids=mailbox_ids)


def set_rules(tx: Tx, mailbox_id: MailboxId, *values: str | int | None) -> None:
    tx.run(_SET_RULES, mailbox_id=mailbox_id, **dict(zip(_RULE_COLUMNS, values, strict=True)))


def active_scripts(tx: Tx, mailbox_ids: Sequence[MailboxId]) -> Mapping[MailboxId, str]:
    return {MailboxId(row[0]): row[1] for row in tx.all(_ACTIVE_SCRIPTS, mailbox_ids=mailbox_ids)}


def scripts(tx: Tx, mailbox_id: MailboxId) -> Mapping[str, bool]:
    """The names, and which one is active."""
    return {row[0]: bool(row[1]) for row in tx.all(_SCRIPTS, mailbox_id=mailbox_id)}


def script(tx: Tx, mailbox_id: MailboxId, name: str) -> str | None:
    row = tx.first(_SCRIPT, which=mailbox_id, named=name)
    return row[0] if row else None


def put_script(tx: Tx, mailbox_id: MailboxId, name: str, text: str) -> None:
    tx.run(_PUT_SCRIPT, mailbox_id=mailbox_id, name=name, text=text, now=tx.now)


def deactivate_scripts(tx: Tx, mailbox_id: MailboxId) -> None:
    tx.run(_DEACTIVATE, which=mailbox_id)


def activate_script(tx: Tx, mailbox_id: MailboxId, name: str) -> int:
    """1 when there is such a one, else 0."""
    return tx.run(_ACTIVATE, which=mailbox_id, named=name)


def remove_script(tx: Tx, mailbox_id: MailboxId, name: str) -> None:
    tx.run(_REMOVE_SCRIPT, which=mailbox_id, named=name)


def rename_script(tx: Tx, mailbox_id: MailboxId, name: str, new_name: str) -> None:
    tx.run(_RENAME_SCRIPT, which=mailbox_id, named=name, new_name=new_name)


def note_reply(tx: Tx, mailbox_id: MailboxId, handle: str, address: str, *, before: int) -> int:
    """1 when none has been noted since `before`, else 0."""
    return tx.run(_NOTE_REPLY, mailbox_id=mailbox_id, handle=handle, address=address, now=tx.now, before=before)


def forget_replies(tx: Tx, *, before: int) -> None:
    tx.run(_FORGET_REPLIES, before=before)

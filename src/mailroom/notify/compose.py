# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The words of notices, codes and tests, in each member's language.

A notice is enqueued without words: they are made when it is about to leave, of the mails that are still news then, and
stay the same over all of its attempts that count. A code is never written down at all.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mailroom.core.clock import HOUR
from mailroom.core.errors import NotFound
from mailroom.core.ids import FolderId, MailboxId, MemberId
from mailroom.core.text import N_, translation
from mailroom.directory import access, addresses, members
from mailroom.directory.model import Member, MemberStatus
from mailroom.mailboxes import read
from mailroom.mailboxes.model import MailboxStatus
from mailroom.messaging import send
from mailroom.messaging.model import Due, Withdrawn
from mailroom.notify import contents, days, queries, settings, ways
from mailroom.notify.model import LinkState, TicketState, Way
from mailroom.notify.queries.notices import Latest
from mailroom.notify.settings import Rules
from mailroom.senders.note import Note, Use, cut, cut_octets
from mailroom.storage.ports import Tx

CODES = "codes"  # what the key of codes is derived for
_LATE = 12 * HOUR  # after it was due a notice is no news
_UNITS = (("MB", 1 << 20), ("KB", 1 << 10), ("B", 1))
# What fits into one SMS, and into each of several, in UCS-2.
_SMS_ONE, _SMS_EACH = 70, 67
_WECOM_OCTETS = 2048
_CHAT = 500
_BRACKETS = str.maketrans("【】", "[]")
_VALUE = 200

_SMS_TEXT = N_("You have new mail. Please look into your mailbox.")
_TITLE = N_("New mail")
_TEXT = N_("New mail from {fromname}: {subject}")
_SEVERAL = N_("{count} new mails, the last from {fromname}: {subject}")
# What stands for the subject where a provider's template, or an administrator's own words, have no place for the count.
_OF_SEVERAL = N_("({count} new mails) {subject}")
_FROM, _SUBJECT, _TO, _TIME, _MAILS = N_("From"), N_("Subject"), N_("To"), N_("Time"), N_("New mails")
_NO_SUBJECT = N_("(no subject)")
_CODE = N_("Your code is {code}. It is good for 5 minutes. If you did not ask for it, pay no heed.")
_TEST_TITLE = N_("Test")
_TEST = N_("This is how you will be told of new mail.")


def code(key: bytes, scene: str, number: str) -> str:
    """The six digits that prove a number."""
    digest = hmac.digest(key, f"{scene}\n{number}".encode(), "sha256")
    return f"{int.from_bytes(digest[:8]) % 1_000_000:06}"


def asked_code(member: Member, scene: str, now: int) -> dict[str, Any]:
    """What is written down of a code: all but the code."""
    return {"use": Use.CODE.value, "scene": scene, "language": _language(member), "at": now}


def asked_notice(*, way: Way, member_id: MemberId, mailbox_id: MailboxId, at: int) -> dict[str, Any]:
    """What is noted with the recipient of a notice, for when its words are made."""
    return {"way": way.value, "member": member_id, "mailbox": mailbox_id, "at": at}


def sample(member: Member | None, now: int) -> dict[str, Any]:
    """A test note."""
    say = translation(_language(member)).gettext
    values = {"from": "Mailroom <mailroom@corp.example>", "fromname": "Mailroom", "sender": "mailroom@corp.example"}
    values |= {"subject": say(_TEST_TITLE), "to": "amy@corp.example", "size": "1 KB", "body": say(_TEST)}
    values |= {"date": _time(now), "attachnum": "0", "count": "1"}
    note = Note(text=say(_TEST), title=say(_TEST_TITLE), values=values, use=Use.TEST, at=now)
    return note.content()


def _language(member: Member | None) -> str:
    return (member.language if member else "") or "zh"


def _time(moment: int) -> str:
    return days.local(moment).strftime("%Y-%m-%d %H:%M")


def _size(octets: int) -> str:
    unit, many = next(((unit, many) for unit, many in _UNITS if octets >= many), _UNITS[-1])
    return f"{-(-octets // many)} {unit}"


@dataclass(frozen=True, slots=True)
class _Whom:
    """Who is told, of the mails of which mailbox, and by what."""

    member: Member
    mailbox_id: MailboxId
    way: Way
    address: str


@dataclass(frozen=True, slots=True)
class Composer:
    """Makes of what is due what leaves. `codes_key` is derived from the seal."""

    public_url: str
    codes_key: bytes

    def codes(self, tx: Tx, dues: Sequence[Due]) -> Sequence[Due | Withdrawn]:
        """Codes as they are sent; none that is not awaited any more."""
        return [self._code(tx, due) for due in dues]

    def _code(self, tx: Tx, due: Due) -> Due | Withdrawn:
        asked = due.content
        kept = queries.tickets.by_scene(tx, asked["scene"])
        if kept is None or kept.state is not TicketState.OPEN:
            return Withdrawn(due, "expired")
        secret = code(self.codes_key, kept.scene, due.address)
        text = translation(asked["language"]).gettext(_CODE).format(code=secret)
        note = Note(text=text, values={"code": secret, "minutes": "5"}, use=Use.CODE, at=asked["at"])
        return replace(due, content=note.content())

    def notices(self, tx: Tx, dues: Sequence[Due]) -> Sequence[Due | Withdrawn]:
        """Notices as they are sent; none of mails that have been seen meanwhile, or to somebody who is not to be told
        any more. Pushes go as they are.
        """
        rules: Rules | None = None
        made: list[Due | Withdrawn] = []
        for due in dues:
            # What a holder that died may have sent goes as it was.
            if due.content.get("use") != Use.NOTICE or (due.interrupted and "text" in due.content):
                made.append(due)
                continue
            rules = rules or settings.rules(tx)
            made.append(self._notice(tx, due, rules))
        return made

    def _notice(self, tx: Tx, due: Due, rules: Rules) -> Due | Withdrawn:
        count = queries.notices.fresh(tx, due.message_id)
        if not count:
            return Withdrawn(due, "read")
        asked = due.options
        member = members.by_id(tx, MemberId(asked["member"]))
        whom = _Whom(member, MailboxId(asked["mailbox"]), Way(asked["way"]), due.address)
        if reason := _against(tx, rules, whom):
            return Withdrawn(due, reason)
        if "resent" in asked:  # somebody wants it to be said once more, as it was
            return due
        latest = queries.notices.latest(tx, due.message_id)
        if latest is None or tx.now > max(asked["at"], latest.arrived_at) + _LATE:
            return Withdrawn(due, "late")
        if due.attempts > 1 and "text" in due.content:  # the provider may have seen it, and tells a repeat by its words
            return due
        content = self._note(tx, rules, whom, latest, count).content()
        send.rewrite(tx, due.message_id, content)
        return replace(due, content=content)

    def _note(self, tx: Tx, rules: Rules, whom: _Whom, latest: Latest, count: int) -> Note:
        say = translation(_language(whom.member)).gettext
        values = _values(tx, whom.mailbox_id, latest, count, nothing=say(_NO_SUBJECT))
        if whom.way is Way.SMS:  # in corner brackets stands who signs; gateways believe the text
            values = {name: value.translate(_BRACKETS) for name, value in values.items()}
        own, several = rules.content(whom.way), count > 1
        template = dict(values) | ({"subject": say(_OF_SEVERAL).format(**values)} if several else {})
        rows: tuple[tuple[str, str], ...] = ()
        if own and (not several or whom.way is Way.SMS or contents.uses(own, "count")):
            text = contents.fill(own, values if contents.uses(own, "count") else template)
        elif whom.way is Way.SMS:  # providers in China send what they have approved, and nothing else
            text = say(_SMS_TEXT)
        else:
            text = say(_SEVERAL if several else _TEXT).format(**values)
            rows = _rows(say, values, several=several)
        return Note(
            text=_cut(text, whom.way, rules),
            title=say(_TITLE),
            rows=rows,
            url=self._url(latest.folder_id, None if several else latest.uid),
            values=template,
            use=Use.NOTICE,
            at=tx.now,
        )

    def _url(self, folder_id: FolderId, uid: int | None) -> str:
        folder = f"{self.public_url}/mail/{folder_id}"
        return folder if uid is None else f"{folder}/{uid}"


def _against(tx: Tx, rules: Rules, whom: _Whom) -> str:
    """Why he is not to be told after all; "" if he is."""
    if not rules.finishes(whom.way):
        return "off"
    member = whom.member
    link = queries.links.get(tx, member.id, whom.way)
    if link is None or link.state is not LinkState.VALID or link.address != whom.address:
        return "unlinked"
    if not queries.preferences.is_on(tx, member.id, whom.mailbox_id, whom.way):
        return "switched_off"
    if not is_his(tx, member, whom.mailbox_id):
        return "no_access"
    reached = whom.way is not Way.SMS or rules.reaches(whom.address)
    return "" if reached and ways.permits(tx, rules, member) else "not_permitted"


def is_his(tx: Tx, member: Member, mailbox_id: MailboxId) -> bool:
    """Whether the member may read the mails of the mailbox now."""
    try:
        mailbox = read.mailbox(tx, mailbox_id)
    except NotFound:
        return False
    return (
        member.status is MemberStatus.ACTIVE
        and mailbox.status is MailboxStatus.ACTIVE
        and access.uses(tx, member.id, mailbox_id)
    )


def _values(tx: Tx, mailbox_id: MailboxId, latest: Latest, count: int, *, nothing: str) -> Mapping[str, str]:
    mail = read.content(tx, latest.content_id)
    name, _, rest = mail.sender.rpartition("<")
    values = {
        "from": mail.sender,
        "fromname": name.strip() or rest.rstrip(">"),
        "sender": latest.envelope_from,
        "to": addresses.primary(tx, mailbox_id),
        "subject": mail.subject or nothing,
        "date": _time(latest.arrived_at),
        "size": _size(latest.size),
        "attachnum": str(len(mail.attachments)),
        "count": str(count),
    }
    cleaned = {key: cut(contents.clean(value), _VALUE) for key, value in values.items()}
    return cleaned | {"body": contents.clean(mail.preview)}


def _rows(say: Callable[[str], str], values: Mapping[str, str], *, several: bool) -> tuple[tuple[str, str], ...]:
    rows = [(say(_FROM), values["from"]), (say(_SUBJECT), values["subject"]), (say(_TO), values["to"])]
    rows.append((say(_TIME), values["date"]))
    return ((say(_MAILS), values["count"]), *rows) if several else tuple(rows)


def _cut(text: str, way: Way, rules: Rules) -> str:
    if way is Way.SMS:
        return _cut_units(text, _SMS_ONE if rules.segments == 1 else _SMS_EACH * rules.segments)
    return cut_octets(text, _WECOM_OCTETS) if way is Way.WECOM else cut(text, _CHAT)


def _cut_units(text: str, most: int) -> str:
    """At most so many units of UTF-16, of which a picture takes two."""
    units = text.encode("utf-16-be", "replace")
    return text if len(units) <= 2 * most else units[: 2 * (most - 1)].decode("utf-16-be", "ignore") + "…"

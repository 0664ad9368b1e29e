# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`/notify`: the settings of notices, and what has become of them. `/me/notify`: a member's own wishes, number and
accounts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from mailroom.core.errors import InvalidValue, NotFound
from mailroom.core.ids import MailboxId, RecipientId
from mailroom.directory.model import Member
from mailroom.messaging.model import Entry, Origin
from mailroom.messaging.senders import Health
from mailroom.messaging.states import State
from mailroom.notify import days, linking, log, preferences, settings, trials, ways
from mailroom.notify.log import Wanted
from mailroom.notify.model import Link, LinkState, Preference, Way
from mailroom.notify.settings import NotifySettings
from mailroom.senders.contract import Outcome, Sent, Why
from mailroom.storage.ports import Tx
from mailroom.web.api.contract import (
    Asked,
    House,
    Line,
    Moment,
    Number,
    Operation,
    Page,
    Paging,
    Query,
    Shape,
    Sheet,
    before,
    follows,
    moment,
    storable,
)
from mailroom.web.api.contract import read as look
from mailroom.web.numbers import number

_SHEET_MOST = 10_000
_MONTH = 30
Text = Annotated[str, Field(max_length=16 * 1024), AfterValidator(storable)]


class SenderHealth(Shape):
    """How a sender does."""

    state: Health
    reason: str
    """Of its last failure, until it works."""


class Settings(Shape):
    """All settings, by their names; a secret that is set is `***`."""

    values: Mapping[str, str]
    senders: Mapping[str, SenderHealth]
    """Those that have been set up, by their codes."""
    warnings: Sequence[str]


class SettingsChange(Shape):
    """What is to change, all of it or nothing; what is absent stays, "" is the default, and `***` leaves a secret."""

    values: Annotated[Mapping[Line, Text | bool | Number], Field(max_length=200)]
    """`yes` and `no` may be true and false, and numbers numbers."""


async def _settings(house: House, _asked: Asked[Any]) -> NotifySettings:
    return house.notify


def show(tx: Tx, asked: Asked[Any]) -> Settings:
    """The settings of notices, and how the senders do."""
    known: NotifySettings = asked.prepared
    values = known.show_to(tx, asked.by)
    senders = {code: SenderHealth(state=how, reason=why) for code, (how, why) in known.health(tx).items()}
    return Settings(values=values, senders=senders, warnings=known.warnings(tx))


def change(tx: Tx, asked: Asked[SettingsChange]) -> Settings:
    """Change some of the settings."""
    values = {name: one if isinstance(one, str) else json.dumps(one) for name, one in asked.body.values.items()}
    asked.prepared.change_all(tx, asked.by, values)
    return show(tx, asked)


class Trial(Shape):
    """What to try."""

    kind: Line
    """The kind of sender, such as `sms_gateway`."""
    address: Line = ""
    """A number, an account at the provider, or a URL; without one the push URL."""


class TrialShape(Shape):
    """What the other end said."""

    sent: bool
    outcome: str
    """`Sent`, `Refused`, `TryLater` or `Unknown`."""
    code: str
    text: str
    why: Why
    """What is behind a failure: `account`, `quota`, `gone`, `opted_out`, `content`, or nothing that is known."""
    advice: str
    """What to do, if the account does not work."""


async def _try(house: House, asked: Asked[Trial]) -> Outcome:
    return await house.trials.send(asked.by, asked.body.kind, asked.body.address)


def test(_tx: Tx, asked: Asked[Trial]) -> TrialShape:
    """Send a sample at once, once; it counts for nothing."""
    said: Outcome = asked.prepared
    return TrialShape(
        sent=isinstance(said, Sent),
        outcome=type(said).__name__,
        code=said.code,
        text=said.text,
        why=trials.why(said),
        advice=trials.advice(asked.body.kind, said, "en"),
    )


class Choice(Query):
    """Which notices."""

    state: State | None = None
    kind: Line = ""
    """Of this kind of sender."""
    since: Annotated[int, Field(ge=0, le=log.LATEST)] = 0
    """Put in from then on: milliseconds since 1970."""
    until: Annotated[int, Field(ge=0, le=log.LATEST)] = log.LATEST
    text: Line = ""
    """A part of the address, or of the mail's Message-ID."""


class ChoicePage(Choice, Paging):
    """Which part of a list of which notices."""


class NoticeShape(Shape):
    """A notice, a test or a code, and what has become of it."""

    id: int
    created: Moment | None
    origin: Origin
    sender: str
    kind: str
    address: str
    state: State
    attempts: int
    next: Moment | None
    """When it is tried next."""
    reason: str
    """Of its last failure; the member whom it was for sees its code alone."""
    mail: str
    """The Message-ID of the first mail that it tells of."""


class AttemptShape(Shape):
    """One attempt."""

    number: int
    began: Moment | None
    ms: int
    outcome: str
    code: str
    """The provider's own."""
    text: str


class WholeNotice(NoticeShape):
    """The same, and every attempt."""

    tries: Sequence[AttemptShape]


class FigureShape(Shape):
    """How many were put in on a day by a kind of sender, by what has become of them."""

    day: str
    kind: str
    states: Mapping[State, int]


class Figures(Shape):
    """The days, the oldest first."""

    items: Sequence[FigureShape]


class Span(Query):
    """How many days."""

    days: Annotated[int, Field(ge=1, le=366)] = _MONTH


def _fields(one: Entry) -> dict[str, Any]:
    return {
        "id": one.id,
        "created": moment(one.created_at),
        "origin": one.origin,
        "sender": one.sender,
        "kind": one.kind,
        "address": one.address,
        "state": one.state,
        "attempts": one.attempts,
        "next": moment(one.next_at),
        "reason": one.reason,
        "mail": one.trace,
    }


def _page(found: Sequence[Entry], query: Paging) -> Page[NoticeShape]:
    return Page[NoticeShape](items=[NoticeShape(**_fields(one)) for one in found], next=follows(found, query))


def _wanted(query: Choice) -> Wanted:
    return Wanted(
        states=() if query.state is None else (query.state,),
        kinds=(query.kind,) if query.kind else (),
        since=query.since,
        until=query.until,
        text=query.text,
    )


def entries(tx: Tx, asked: Asked[None]) -> Page[NoticeShape]:
    """The notices, the newest first; of a domain's administrator, those of its mailboxes."""
    query: ChoicePage = asked.query
    found = log.entries(tx, asked.by, _wanted(query), before=RecipientId(before(query)), limit=query.limit)
    return _page(found, query)


def sheet(tx: Tx, asked: Asked[None]) -> Sheet:
    """The newest 10,000 of them, as a table for spreadsheets."""
    return Sheet(log.sheet(log.entries(tx, asked.by, _wanted(asked.query), limit=_SHEET_MOST)), "notices.csv")


def _id(asked: Asked[Any]) -> RecipientId:
    return RecipientId(number(asked.path["notice"]))


def get(tx: Tx, asked: Asked[None]) -> WholeNotice:
    """One notice, and every attempt."""
    found, tries = log.entry(tx, asked.by, _id(asked))
    told = [
        AttemptShape(
            number=one.number,
            began=moment(one.began_at),
            ms=one.took,
            outcome=one.outcome,
            code=one.code,
            text=one.detail,
        )
        for one in tries
    ]
    return WholeNotice(**_fields(found), tries=told)


def resend(tx: Tx, asked: Asked[None]) -> WholeNotice:
    """Send one that has ended without arriving once more, from the first attempt on."""
    log.resend(tx, asked.by, _id(asked))
    return get(tx, asked)


def figures(tx: Tx, asked: Asked[None]) -> Figures:
    """How many there were a day, by what has become of them."""
    found = log.figures(tx, asked.by, of_days=asked.query.days)
    shapes = [FigureShape(day=days.iso(one.day), kind=one.kind, states=one.counts) for one in found]
    return Figures(items=shapes)


class PreferenceShape(Shape):
    """How a member hears of the mails of one mailbox."""

    mailbox: int
    address: str
    is_own: bool
    on: Mapping[Way, bool]
    only_from: Sequence[str]
    """Patterns of senders; none: everybody."""
    quiet: str
    """Such as `22:00-07:00`, by the server's clock; "": never."""


class LinkShape(Shape):
    """A number, or an account with a provider."""

    way: Way
    address: str
    label: str
    state: LinkState
    reason: str
    linked: Moment | None


class Mine(Shape):
    """What a member may choose, and has chosen."""

    permitted: bool
    """Whether the administrator permits him notices on his phone."""
    offered: Mapping[Way, bool]
    links: Sequence[LinkShape]
    preferences: Sequence[PreferenceShape]
    sms_today: int
    """How many SMS of today's are used."""
    sms_most: int
    """How many there are a day; 0: no limit."""


class PreferenceChange(Shape):
    """What is to change; what is absent stays."""

    on: Mapping[Way, bool] = Field(default_factory=dict)
    only_from: Annotated[Sequence[Line], Field(max_length=100)] | None = None
    quiet: Line | None = None


class NumberShape(Shape):
    """A mobile number."""

    number: Line


class CodeShape(Shape):
    """The code that was sent."""

    code: Line


class Started(Shape):
    """What was begun."""

    id: int
    """Its number among `/me/notices`."""


def _member(asked: Asked[Any]) -> Member:
    if asked.by.member is None:
        raise NotFound(what="member", name=asked.by.name)
    return asked.by.member


def _way(asked: Asked[Any]) -> Way:
    try:
        return Way(asked.path["way"])
    except ValueError:
        raise InvalidValue(name="way", reason=f"must be one of {', '.join(Way)}") from None


def _link(one: Link) -> LinkShape:
    return LinkShape(
        way=one.way,
        address=one.address,
        label=one.label,
        state=one.state,
        reason=one.reason,
        linked=moment(one.linked_at),
    )


def _preference(one: Preference) -> PreferenceShape:
    return PreferenceShape(
        mailbox=one.mailbox_id,
        address=one.address,
        is_own=one.is_own,
        on=one.on,
        only_from=one.only_from,
        quiet=days.show_quiet(one.quiet),
    )


def mine(tx: Tx, asked: Asked[Any]) -> Mine:
    """My wishes, my number and my accounts."""
    member = _member(asked)
    return Mine(
        permitted=ways.permitted(tx, member),
        offered=ways.offered(tx),
        links=[_link(one) for one in preferences.links(tx, member)],
        preferences=[_preference(one) for one in preferences.of(tx, member)],
        sms_today=preferences.sms_today(tx, member),
        sms_most=settings.rules(tx).most_a_day,
    )


def own(tx: Tx, asked: Asked[None]) -> Page[NoticeShape]:
    """What was sent to me, the newest first."""
    query: Paging = asked.query
    found = log.own(tx, _member(asked), before=RecipientId(before(query)), limit=query.limit)
    return _page(found, query)


def prefer(tx: Tx, asked: Asked[PreferenceChange]) -> PreferenceShape:
    """Say how I want to hear of the mails of a mailbox that I use."""
    member, mailbox_id, said = _member(asked), MailboxId(number(asked.path["mailbox"])), asked.body
    now = _of(tx, member, mailbox_id)
    preferences.change(
        tx,
        member,
        mailbox_id,
        on=said.on,
        only_from=now.only_from if said.only_from is None else said.only_from,
        quiet=now.quiet if said.quiet is None else days.parse_quiet(said.quiet),
    )
    return _preference(_of(tx, member, mailbox_id))


def _of(tx: Tx, member: Member, mailbox_id: MailboxId) -> Preference:
    found = next((one for one in preferences.of(tx, member) if one.mailbox_id == mailbox_id), None)
    if found is None:
        raise NotFound(what="mailbox", name=str(mailbox_id))
    return found


async def _send_code(house: House, asked: Asked[NumberShape]) -> None:
    await house.linking.send_code(_member(asked), asked.body.number)


def send_code(_tx: Tx, _asked: Asked[NumberShape]) -> None:
    """Have a code of six digits sent to my number; it is good for five minutes."""


async def _prove(house: House, asked: Asked[CodeShape]) -> Link:
    return await house.linking.prove(_member(asked), asked.body.code)


def prove(_tx: Tx, asked: Asked[CodeShape]) -> LinkShape:
    """Show that the number is mine."""
    return _link(asked.prepared)


def unlink(tx: Tx, asked: Asked[None]) -> None:
    """Forget my number, or an account."""
    preferences.unlink(tx, _member(asked), _way(asked))


def try_(tx: Tx, asked: Asked[None]) -> Started:
    """Send me a test note; it counts for nothing."""
    return Started(id=linking.test(tx, _member(asked), _way(asked)))


OPERATIONS = (
    Operation(method="GET", path="/notify/settings", work=show, answer=Settings, prepare=_settings),
    Operation(
        method="PATCH", path="/notify/settings", work=change, body=SettingsChange, answer=Settings, prepare=_settings
    ),
    Operation(method="POST", path="/notify/test", work=test, body=Trial, answer=TrialShape, prepare=_try),
    look("/notify/log", entries, Page[NoticeShape], query=ChoicePage),
    look("/notify/log.csv", sheet, Sheet, query=Choice),
    look("/notify/log/{notice}", get, WholeNotice),
    Operation(method="POST", path="/notify/log/{notice}/resend", work=resend, answer=WholeNotice),
    look("/notify/figures", figures, Figures, query=Span),
    look("/me/notices", own, Page[NoticeShape], query=Paging),
    look("/me/notify", mine, Mine),
    Operation(method="POST", path="/me/notify/code", work=send_code, body=NumberShape, prepare=_send_code, status=204),
    Operation(method="POST", path="/me/notify/prove", work=prove, body=CodeShape, answer=LinkShape, prepare=_prove),
    Operation(method="DELETE", path="/me/notify/links/{way}", work=unlink),
    Operation(method="POST", path="/me/notify/test/{way}", work=try_, answer=Started),
    Operation(method="PATCH", path="/me/notify/{mailbox}", work=prefer, body=PreferenceChange, answer=PreferenceShape),
)

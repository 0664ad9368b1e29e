# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Posting: where a letter goes, in one transaction. What is for us is filed, what is for others is put into the outbox,
groups are expanded, rules are obeyed. Each mailbox gets a letter once, however many ways lead to it.

`plan` finds out, by reading alone; `carry_out` makes it so; `post` is both.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from mailroom.core.clock import HOUR, SECOND
from mailroom.core.errors import (
    ComeAgain,
    DomainNotActive,
    GroupRefused,
    InvalidAddress,
    MailboxDisabled,
    NotFound,
    Refusal,
    TooMany,
)
from mailroom.core.ids import ContentId, GroupId, MailboxId, MemberId
from mailroom.delivery import filing, outgoing, queries, rules, srs
from mailroom.delivery.answers import Answer, Missed, Writer
from mailroom.delivery.filing import Arrival, Copy
from mailroom.delivery.judge import Client
from mailroom.delivery.letters import Letter
from mailroom.delivery.rules import Rules
from mailroom.delivery.srs import Srs
from mailroom.directory import access, addresses, domains, groups
from mailroom.directory.addresses import Address
from mailroom.directory.model import Lease
from mailroom.mailboxes import quota
from mailroom.mailboxes.model import FolderRole
from mailroom.mime import headers
from mailroom.storage.ports import Tx

# How many groups and rules a mail may pass on its way to one mailbox.
_STAGES_MOST: Final = 20
_RECIPIENTS_MOST: Final = 50_000
_AT_ONCE: Final = 100  # mailboxes whose rules are read
_RETURNS_MOST: Final = 100  # bounces to one sender in an hour; the others come again
_SILENT: Final = frozenset({"NEVER"})


@dataclass(frozen=True, slots=True)
class Local:
    """One of our mailboxes."""

    mailbox_id: MailboxId
    has_rules: bool = True  # it may have some; False: it was looked up, and has none


@dataclass(frozen=True, slots=True)
class Group:
    """One of our mailing groups."""

    group_id: GroupId
    address: str  # its own


@dataclass(frozen=True, slots=True)
class Foreign:
    """Somebody elsewhere."""

    address: str
    is_return: bool = False  # to whom a bounce goes back by way of us (`srs`)


Whom = Local | Group | Foreign


@dataclass(frozen=True, slots=True)
class Addressee:
    """One recipient of an envelope, as RCPT names it, with what RFC 3461 lets the sender ask for."""

    address: str
    whom: Whom | None = None  # who is behind the address; None: `Posting.post` looks it up
    notify: frozenset[str] = frozenset()  # SUCCESS, FAILURE, DELAY, or NEVER alone; empty: as usual
    orcpt: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """From whom a mail is and to whom it goes (RFC 5321 §2.3.1)."""

    sender: str  # "" is the null reverse-path
    destinations: tuple[Addressee, ...]
    utf8: bool = False  # the mail needs SMTPUTF8 (RFC 6531)
    ret: str = ""  # RET and ENVID of RFC 3461
    envid: str = ""
    sent_by: MemberId | None = None
    client: Client | None = None  # who is to be judged; None: whoever hands it over is believed

    @property
    def is_plain(self) -> bool:
        """Whether nobody in it is a group or has rules, so that it is quickly posted."""
        known = (one.whom for one in self.destinations)
        return all(isinstance(whom, Foreign) or (isinstance(whom, Local) and not whom.has_rules) for whom in known)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who hands a mail in, as far as it matters to where the mail may go."""

    sender: str = ""  # of the envelope
    is_known: bool = False  # he has signed in, or comes from a trusted network: what he says of himself is believed


@dataclass(frozen=True, slots=True)
class Way:
    """How a mail leaves for elsewhere: as it came, or sent on by a group or a mailbox of ours."""

    sender: str  # of the envelope
    prefix: str = ""  # header fields that it is given on the way
    is_sent_on: bool = False


@dataclass(slots=True)
class Plan:
    """Where a letter goes."""

    copies: dict[MailboxId, list[Copy]] = field(default_factory=dict)
    parcels: dict[Way, list[Addressee]] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    returns: list[str] = field(default_factory=list)  # to whom a bounce goes back
    missed: dict[str, Refusal] = field(default_factory=dict)  # members of groups who do not get it: its sender is told

    @property
    def sent_on(self) -> int:
        """How many elsewhere have it from a group or a mailbox of ours."""
        return sum(len(addressees) for way, addressees in self.parcels.items() if way.is_sent_on)


@dataclass(frozen=True, slots=True)
class _Stop:
    """One who is to have the mail: by which address, and which way it came to him."""

    whom: Whom
    addressee: Addressee
    way: Way


@dataclass(frozen=True, slots=True)
class Posting:
    """Posts letters. With `key` it marks what it sends on."""

    srs: Srs
    writer: Writer
    key: bytes = field(repr=False)

    def find(self, tx: Tx, address: str, *, size: int, caller: Caller) -> Addressee:
        """Whom the address names, with room for `size` octets (0: unknown), if the caller may write to him. Anybody
        elsewhere will do. Raises `InvalidAddress`, `NotFound`, `DomainNotActive`, `GroupRefused`, `MailboxDisabled`,
        `OverQuota`, `ComeAgain`.
        """
        whom = self.resolve(tx, address, caller)
        if isinstance(whom, Local):
            mailbox = quota.ask(tx, whom.mailbox_id, size=size, address=address)
            whom = replace(whom, has_rules=mailbox.has_rules)
        return Addressee(address, whom)

    def resolve(self, tx: Tx, address: str, caller: Caller) -> Whom:
        """Who is behind an address. Raises `InvalidAddress`, `NotFound`, `DomainNotActive`, `GroupRefused`,
        `ComeAgain`.
        """
        if address.casefold() == "postmaster":  # RFC 5321 §4.1.1.3: without a domain, and in any case of letters
            return _postmaster(tx, address)
        if not caller.sender and (sender := self.srs.original(address, now=tx.now)):
            _ask_return(tx, sender, at=address.rpartition("@")[2])
            return Foreign(sender, is_return=True)
        parsed = addresses.parse(address)
        lease = addresses.resolve(tx, parsed)
        if lease is None:
            return _stranger(tx, parsed, address)
        whom = _holder(lease)
        if isinstance(whom, Group):
            groups.ask(tx, whom.group_id, sender=caller.sender, is_known=caller.is_known)
        return whom

    def plan(self, tx: Tx, letter: Letter, envelope: Envelope, *, role: FolderRole = FolderRole.INBOX) -> Plan:
        """Where the letter goes, found by reading alone. Junk is filed by no rules and sent on by none. Raises as
        `resolve` does, and `TooMany`, `MailboxDisabled` where groups lead to nobody who takes mail.
        """
        way = Way(envelope.sender)
        caller = Caller(envelope.sender, is_known=True)
        stops = [_Stop(one.whom or self.resolve(tx, one.address, caller), one, way) for one in envelope.destinations]
        return _Walk(self, tx, letter, envelope, role).run(stops)

    def carry_out(self, tx: Tx, letter: Letter, envelope: Envelope, plan: Plan) -> ContentId | None:
        """File and send the letter as planned; durable with the caller's commit. None: nobody keeps it. Raises
        `OverQuota`, `MailboxDisabled`, `Unavailable`.
        """
        refs = sum(map(len, plan.copies.values())) + len(plan.parcels)
        content_id = letter.file(tx, refs=refs) if refs else None
        if content_id is not None:
            # In the order of ids, so that two such transactions cannot wait for each other.
            for mailbox_id in sorted(plan.copies):
                filing.file(tx, content_id, plan.copies[mailbox_id], size=letter.size, sender=envelope.sender)
            for parcel in plan.parcels.items():
                _send(tx, content_id, letter, envelope, parcel)
        for sender in plan.returns:
            queries.count_sent(tx, _returning(sender), hour=tx.now // HOUR, more=1)
        for answer in plan.answers:
            self._answer(tx, letter, answer)
        if plan.missed and envelope.sender:  # RFC 5321 §4.5.5: nobody is told of a mail that has no sender
            self._answer(tx, letter, Missed(envelope.sender, plan.missed))
        return content_id

    def post(
        self, tx: Tx, letter: Letter, envelope: Envelope, *, role: FolderRole = FolderRole.INBOX
    ) -> ContentId | None:
        """Send the letter to everybody; durable with the caller's commit, with all that rules make of it. None: nobody
        keeps it. Raises as `plan` and `carry_out` do; then the transaction must not be committed.
        """
        return self.carry_out(tx, letter, envelope, self.plan(tx, letter, envelope, role=role))

    def tell(self, tx: Tx, letter: Letter, *, to: str) -> Refusal | None:
        """`post` what we have written ourselves, from nobody (RFC 3834 §3.3), so that nobody answers it in turn. Why it
        goes nowhere, if so: no reason to fail for the mail that it tells of. Nothing of it is kept then.
        """
        try:
            envelope = Envelope("", (self.find(tx, to, size=letter.size, caller=Caller()),), utf8=not to.isascii())
            plan = self.plan(tx, letter, envelope)
        except Refusal as refused:  # he has gone, or has no room
            return refused
        self.carry_out(tx, letter, envelope, plan)
        return None

    def _answer(self, tx: Tx, letter: Letter, answer: Answer) -> None:
        written = self.writer.write(tx, letter, answer)
        if written is not None:
            self.tell(tx, written, to=answer.to)


class _Walk:
    """One letter's way to everybody. No mailbox, group or stranger is met twice, so it ends."""

    def __init__(self, posting: Posting, tx: Tx, letter: Letter, envelope: Envelope, role: FolderRole) -> None:
        self._posting = posting
        self._tx = tx
        self._letter = letter
        self._envelope = envelope
        self._role = role
        self._plan = Plan()
        self._met: set[MailboxId | str] = set()  # strangers by address
        self._groups: set[GroupId] = set()
        self._handed_on: dict[MailboxId, list[MailboxId]] = {}  # by mailboxes that keep nothing, to mailboxes only
        self._circles = False  # we have sent it on before

    @cached_property
    def _ours(self) -> Collection[str]:
        return {domain.name for domain in domains.every(self._tx)}

    @cached_property
    def _fields(self) -> headers.Headers:
        return headers.read(self._letter.header)

    def run(self, stops: Sequence[_Stop]) -> Plan:
        """From these to all whom groups and rules name. Raises `TooMany`, and `MailboxDisabled` when that is nobody."""
        for _ in range(_STAGES_MOST):
            if not stops:
                break
            stops = self._pass(stops)
        if not (self._plan.copies or self._plan.parcels or self._circles):  # it would be lost without a word
            raise MailboxDisabled(address=self._envelope.destinations[0].address)
        if self._handed_on:
            self._rescue()
        return self._plan

    def invite(
        self, texts: Iterable[str], way: Way, *, notify: frozenset[str] = frozenset()
    ) -> tuple[list[_Stop], dict[str, Refusal]]:
        """Those of the addresses that are somebody's who takes mail, and why the others do not."""
        named = dict(_parsed(texts))
        leases = addresses.resolve_all(self._tx, named)
        room = quota.with_room(self._tx, [one.mailbox_id for one in leases.values() if one.mailbox_id is not None])
        stops, missed = [], {}
        for address, text in named.items():
            try:
                whom = self._invited(address, text, leases.get(address), room)
            except Refusal as refusal:
                missed[text] = refusal
            else:
                stops.append(_Stop(whom, Addressee(text, notify=notify), way))
        return stops, missed

    def _invited(self, address: Address, text: str, lease: Lease | None, room: Mapping[MailboxId, bool]) -> Whom:
        if lease is None and address.domain not in self._ours:
            return Foreign(text)
        whom = _stranger(self._tx, address, text) if lease is None else _holder(lease)
        if not isinstance(whom, Local):
            return whom
        if whom.mailbox_id in room:
            return Local(whom.mailbox_id, room[whom.mailbox_id])
        return Local(whom.mailbox_id, quota.ask(self._tx, whom.mailbox_id, size=0, address=text).has_rules)

    def _pass(self, stops: Sequence[_Stop]) -> list[_Stop]:
        """Give it to those at these stops; where it goes on to."""
        onwards: list[_Stop] = []
        ruled: list[tuple[MailboxId, _Stop]] = []
        for stop in stops:
            match stop.whom:
                case Group(group_id, address):
                    if group_id not in self._groups:
                        self._groups.add(group_id)
                        onwards += self._members(group_id, address, stop.addressee.notify)
                case Foreign(address, is_return):
                    if self._role is FolderRole.INBOX and self._meet(address.casefold()):
                        self._plan.returns += [address] * is_return
                        self._plan.parcels.setdefault(stop.way, []).append(replace(stop.addressee, address=address))
                case Local(mailbox_id, has_rules):
                    if not self._meet(mailbox_id):
                        continue
                    if has_rules and self._role is FolderRole.INBOX:
                        ruled.append((mailbox_id, stop))
                    else:
                        self._plan.copies[mailbox_id] = [Copy(mailbox_id, self._role)]
        for start in range(0, len(ruled), _AT_ONCE):
            onwards += self._obey_all(ruled[start : start + _AT_ONCE])
        return onwards

    def _meet(self, whom: MailboxId | str) -> bool:
        """Whether it is the first time."""
        if whom in self._met:
            return False
        self._met.add(whom)
        if len(self._met) > _RECIPIENTS_MOST:
            raise TooMany(what="recipients", limit=_RECIPIENTS_MOST)
        return True

    def _members(self, group_id: GroupId, address: str, notify: frozenset[str]) -> list[_Stop]:
        mark = self._mark("group", group_id)
        if self._is_back(mark):  # from a member elsewhere: each has it already
            return []
        local, _, domain = address.rpartition("@")
        way = Way(self._sender_at(domain), f"List-Id: <{local}.{domain}>\r\nX-Loop: {mark}\r\n", is_sent_on=True)
        is_silent = bool(notify) and "FAILURE" not in notify  # RFC 3461 §4.1: else failures are told of
        members = groups.members(self._tx, group_id)
        stops, missed = self.invite(members, way, notify=_SILENT if is_silent else frozenset())
        if not is_silent:
            self._plan.missed |= missed
        return stops

    def _mark(self, kind: str, number: int) -> str:
        """What a mail bears that we have sent on for this mailbox or group; nobody else can write it."""
        return srs.token(self._posting.key, f"{kind} {number} {self._letter.summary.message_id}")

    def _is_back(self, mark: str) -> bool:
        is_back = any(mark.encode() in raw for raw in self._fields.all("x-loop"))
        self._circles = self._circles or is_back
        return is_back

    def _obey_all(self, ruled: Sequence[tuple[MailboxId, _Stop]]) -> list[_Stop]:
        found = rules.of(self._tx, [mailbox_id for mailbox_id, _ in ruled])
        return [
            onward
            for mailbox_id, stop in ruled
            for onward in self._obey(mailbox_id, stop, found.get(mailbox_id, rules.NONE))
        ]

    def _obey(self, mailbox_id: MailboxId, stop: _Stop, rules_: Rules) -> list[_Stop]:
        names = addresses.every(self._tx, mailbox_id)
        mark = self._mark("mailbox", mailbox_id)
        if self._is_back(mark):
            self._keep(mailbox_id)
            return []
        arrival = Arrival(self._letter, self._fields, self._envelope.sender, stop.addressee.address, names)
        decision = filing.decide(self._tx, mailbox_id, rules_, arrival)
        self._plan.copies[mailbox_id] = list(decision.copies)
        self._plan.answers += decision.answers
        onwards = []
        for address in decision.redirects:
            onwards += (further := self._redirect(mailbox_id, address, mark))
            if not further:
                self._keep(mailbox_id)  # better here than nowhere
        targets = [one.whom.mailbox_id for one in onwards if isinstance(one.whom, Local)]
        if onwards and len(targets) == len(onwards) and not self._plan.copies[mailbox_id]:
            self._handed_on[mailbox_id] = targets
        return onwards

    def _redirect(self, mailbox_id: MailboxId, address: str, mark: str) -> list[_Stop]:
        own = addresses.primary(self._tx, mailbox_id)
        way = Way(self._sender_at(own.rpartition("@")[2]), f"X-Loop: {mark}\r\n", is_sent_on=True)
        stops, _ = self.invite([address], way)
        for stop in stops:
            if isinstance(stop.whom, Group):
                try:
                    groups.ask(self._tx, stop.whom.group_id, sender=own, is_known=True)
                except GroupRefused:
                    return []
        return stops

    def _sender_at(self, domain: str) -> str:
        """The envelope sender of what a domain of ours sends on: one for which SPF passes, and that takes bounces."""
        sender = self._envelope.sender
        try:
            if not sender or addresses.parse(sender).domain in self._ours:
                return sender
        except InvalidAddress:
            pass
        return self._posting.srs.forward(sender, domain=domain, now=self._tx.now)

    def _keep(self, mailbox_id: MailboxId) -> None:
        if not self._plan.copies.get(mailbox_id):
            self._plan.copies[mailbox_id] = [Copy(mailbox_id)]

    def _rescue(self) -> None:
        """Where mailboxes hand it on to each other and none of them keeps it, the last one does."""
        sources: dict[MailboxId, list[MailboxId]] = {}
        for source, targets in self._handed_on.items():
            for target in targets:
                sources.setdefault(target, []).append(source)
        circling = dict.fromkeys(self._handed_on)
        landed = [target for target in sources if target in self._met and target not in circling]
        while True:
            while landed:
                for source in sources.get(landed.pop(), ()):
                    if source in circling:
                        del circling[source]
                        landed.append(source)
            if not circling:
                return
            last, _ = circling.popitem()
            self._keep(last)
            landed.append(last)


def _send(
    tx: Tx, content_id: ContentId, letter: Letter, envelope: Envelope, parcel: tuple[Way, Sequence[Addressee]]
) -> None:
    way, addressees = parcel
    outgoing.post(
        tx,
        content_id,
        size=letter.size,
        sender=way.sender,
        addressees=addressees,
        trace=letter.summary.message_id,
        utf8=envelope.utf8,
        eight_bit=letter.eight_bit,
        ret="" if way.is_sent_on else envelope.ret,
        envid="" if way.is_sent_on else envelope.envid,
        sent_by=envelope.sent_by,
        prefix=way.prefix,
    )


def _holder(lease: Lease) -> Local | Group:
    if not lease.domain_state.works:
        raise DomainNotActive(domain=lease.address.rpartition("@")[2])
    if lease.mailbox_id is not None:
        return Local(lease.mailbox_id)
    if lease.group_id is None:
        raise NotFound(what="mailbox", name=lease.address)
    return Group(lease.group_id, lease.address)


def _stranger(tx: Tx, address: Address, text: str) -> Whom:
    try:
        domain = domains.get(tx, address.domain)
    except NotFound:
        return Foreign(text)
    if not domain.state.works:
        raise DomainNotActive(domain=domain.name)
    if address.local in addresses.OFFICES:
        return _postmaster(tx, text)
    raise NotFound(what="mailbox", name=text)


def _postmaster(tx: Tx, text: str) -> Local:
    administrators = access.administrators(tx)
    if not administrators:
        raise NotFound(what="mailbox", name=text)
    return Local(administrators[0])


def _ask_return(tx: Tx, sender: str, *, at: str) -> None:
    """Whether a bounce may go back to the sender now. Who knows such an address could else write to him through us as
    much as he likes. Raises `NotFound`, `DomainNotActive`, `ComeAgain`.
    """
    domain = domains.get(tx, at)
    if not domain.state.works:
        raise DomainNotActive(domain=domain.name)
    returned, _ = queries.sent(tx, _returning(sender), hour=tx.now // HOUR)
    if returned >= _RETURNS_MOST:
        raise ComeAgain(seconds=HOUR // SECOND)


def forget(tx: Tx) -> None:
    """Forget what is counted for limits and has passed."""
    queries.forget_sent(tx, hour=tx.now // HOUR)


def _returning(sender: str) -> str:
    return f"return:{sender.casefold()}"


def _parsed(texts: Iterable[str]) -> Iterator[tuple[Address, str]]:
    for text in texts:
        with contextlib.suppress(InvalidAddress):
            yield addresses.parse(text), text

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever becomes of mailboxes, in any order: no address has two holders, no mail is lost or doubled, none is open to
whom it is not for, and an address that is free again shows nothing old.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import assume, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import func, select

from mailroom.core import ids
from mailroom.core.clock import DAY, HOUR
from mailroom.core.errors import (
    AddressTaken,
    AliasLimit,
    InvalidValue,
    MailboxDisabled,
    MemberHasMailbox,
    NotFound,
    NotInBin,
    PublicMailboxLimit,
    Refusal,
    TargetIsSource,
)
from mailroom.core.ids import EntryId, MailboxId
from mailroom.delivery.accept import Acceptance
from mailroom.directory import access as uses
from mailroom.directory import addresses, audit
from mailroom.directory.audit import Checked
from mailroom.directory.model import SYSTEM, AddressRole, Member, Role, Users
from mailroom.mailboxes import access, backup, create, leave, purge, queries, read, reassign, recycle, rename
from mailroom.mailboxes.backup import Backups
from mailroom.mailboxes.model import EntryState
from mailroom.mailboxes.purge import Purge
from mailroom.runtime.workers import Work
from mailroom.storage import schema
from mailroom.storage.engines import open_store
from mailroom.storage.ports import Store, Tx
from tests import make
from tests.stores import Watch, postgres_database

T = TypeVar("T")

LOCALS = ("a", "b", "c", "d", "e", "f")
PUBLIC_MOST = 3
ALIASES_MOST = 5
KEPT = 30 * DAY

_mails, _folders, _contents = schema.mails, schema.folders, schema.contents
_MAILS = select(_folders.c.mailbox_id, _contents.c.message_id, _mails.c.size).select_from(
    _mails.join(_folders, _folders.c.id == _mails.c.folder_id).join(_contents, _contents.c.id == _mails.c.content_id)
)
_REFS = select(_contents.c.id, _contents.c.refs)
_SHOWN = select(_mails.c.content_id, func.count()).group_by(_mails.c.content_id)
_USED = select(schema.mailboxes.c.id, schema.mailboxes.c.used)
_FOLDERS = select(_folders.c.mailbox_id, func.sum(_folders.c.mails), func.sum(_folders.c.size)).group_by(
    _folders.c.mailbox_id
)
_ADDRESSES = select(schema.addresses.c.address, schema.addresses.c.mailbox_id, schema.addresses.c.role)

numbers = some.integers(0, 7)
locals_ = some.sampled_from(LOCALS)


@dataclass(eq=False)
class Box:
    """A mailbox as the model has it."""

    id: MailboxId
    owner: Member | None
    users: set[str] = field(default_factory=set)  # userids
    purge_at: int | None = None  # while it is in the bin
    entry: int = 0  # which stay there
    purging_from: int | None = None  # when its job is due, while it is there
    mails: Counter[str] = field(default_factory=Counter)  # by Message-ID
    copied: dict[MailboxId, Counter[str]] = field(default_factory=dict)  # to which other, and what

    @property
    def is_active(self) -> bool:
        return self.purge_at is None

    @property
    def is_purging(self) -> bool:
        return self.purging_from is not None


class Lifecycle(RuleBasedStateMachine):
    """The store, and the model beside it."""

    def __init__(self, runner: asyncio.Runner, place: contextlib.ExitStack, url: str) -> None:
        super().__init__()
        self.runner, self.place = runner, place
        self.watch = Watch()
        self.folder = Path(place.enter_context(tempfile.TemporaryDirectory()))
        self.numbers = count(1)
        self.members: list[Member] = []
        self.boxes: list[Box] = []  # all that are there
        self.held: dict[str, tuple[Box, AddressRole]] = {}
        self.due: frozenset[EntryId] = frozenset()  # as the last look gave them
        self.was_due: set[tuple[MailboxId, int]] = set()  # as the model has it

        async def opened() -> tuple[Store, Acceptance]:
            store = open_store(url, self.watch)
            return store, make.acceptance(store, self.folder)

        self.store, self.acceptance = runner.run(opened())

    def write(self, work: Callable[[Tx], T]) -> T:
        async def run() -> T:
            return await self.store.write(work)

        return self.runner.run(run())

    def expect(self, refusal: type[Refusal] | None, work: Callable[[Tx], Any]) -> Any:
        """Do it, or hear that refusal."""
        if refusal is None:
            return self.write(work)
        with pytest.raises(refusal):
            self.write(work)
        return None

    @initialize()
    def found(self) -> None:
        made = self.write(lambda tx: make.organise(tx, people=("u0",)))
        self.organisation_id = made.id
        self.members = list(made.members.values())
        box = Box(made.mailboxes["u0"], self.members[0])
        self.boxes.append(box)
        self.held["u0@corp.example"] = (box, AddressRole.PRIMARY)
        for local in LOCALS[:2]:
            self.join(local)

    def box(self, number: int) -> Box:
        assume(self.boxes)
        return self.boxes[number % len(self.boxes)]

    def member(self, number: int) -> Member:
        return self.members[number % len(self.members)]

    def own(self, member: Member) -> Box | None:
        return next((box for box in self.boxes if box.owner is member), None)

    def address(self, local: str) -> str:
        return f"{local}@corp.example"

    def parsed(self, local: str) -> addresses.Address:
        return addresses.parse_new(self.address(local))

    def primary(self, box: Box) -> str:
        return next(text for text, held in self.held.items() if held == (box, AddressRole.PRIMARY))

    def in_role(self, box: Box, role: AddressRole) -> list[str]:
        return sorted(text for text, held in self.held.items() if held == (box, role))

    def public(self) -> list[Box]:
        return [box for box in self.boxes if box.is_active and box.owner is None]

    def waits(self, box: Box) -> bool:
        return box.purge_at is not None and not box.is_purging and self.watch.now < box.purge_at

    def bin(self, box: Box) -> None:
        box.owner, box.users, box.purge_at = None, set(), self.watch.now + KEPT
        box.entry = next(self.numbers)

    def take_out(self, box: Box) -> None:
        box.purge_at, box.users = None, set()

    @rule(local=locals_)
    def join(self, local: str) -> None:
        userid = f"u{next(self.numbers)}"
        add = partial(
            create.member,
            by=SYSTEM,
            organisation_id=self.organisation_id,
            userid=userid,
            name=userid,
            password_hash="",
            role=Role.MEMBER,
            address=self.address(local),
        )
        member = self.expect(AddressTaken if self.address(local) in self.held else None, add)
        if member is not None:
            self.members.append(member)
            self.furnish(member, local)

    @rule(who=numbers, local=locals_)
    def give_a_new_one(self, who: int, local: str) -> None:
        member = self.member(who)
        refusal: type[Refusal] | None = AddressTaken if self.address(local) in self.held else None
        if self.own(member):
            refusal = MemberHasMailbox
        if self.expect(refusal, lambda tx: create.personal(tx, SYSTEM, member, self.parsed(local))):
            self.furnish(member, local)

    def furnish(self, member: Member, local: str) -> None:
        box_id = self.write(lambda tx: uses.own_mailbox(tx, member.id))
        assert box_id is not None
        assert all(box.id != box_id for box in self.boxes)
        box = Box(box_id, member)
        self.boxes.append(box)
        self.held[self.address(local)] = (box, AddressRole.PRIMARY)
        self.deliver(local, 300)

    @rule(who=numbers)
    def leave(self, who: int) -> None:
        if len(self.members) > 1:
            member = self.member(who)
            self.write(lambda tx: leave.member(tx, SYSTEM, member.userid))
            self.members.remove(member)
            if box := self.own(member):
                self.bin(box)
            for box in self.boxes:
                box.users.discard(member.userid)

    @rule(local=locals_, size=some.integers(200, 900))
    def deliver(self, local: str, size: int) -> None:
        message_id = f"<{next(self.numbers)}@out.example>"
        octets = make.mail(message_id=message_id, size=size)

        async def run() -> None:
            await make.delivered(self.acceptance, octets, self.address(local))

        box, _ = self.held.get(self.address(local), (None, None))
        if box is not None and box.is_active:
            self.runner.run(run())
            box.mails[message_id] += 1
        else:
            with pytest.raises(NotFound if box is None else MailboxDisabled):
                self.runner.run(run())

    @rule(which=numbers, other=numbers)
    def back_up(self, which: int, other: int) -> None:
        from_, into = self.box(which), self.box(other)
        refusal: type[Refusal] | None = None
        if from_ is into:
            refusal = TargetIsSource
        elif not from_.is_active and not self.waits(from_):
            refusal = NotInBin
        elif not into.is_active:
            refusal = MailboxDisabled
        self.expect(refusal, lambda tx: backup.start(tx, SYSTEM, from_.id, into.id))
        if refusal is None:
            self.do_jobs()
            into.mails += from_.mails - from_.copied.get(into.id, Counter())
            from_.copied[into.id] = from_.mails.copy()

    @rule(which=numbers, local=locals_)
    def rename(self, which: int, local: str) -> None:
        box, new = self.box(which), self.address(local)
        holder, role = self.held.get(new, (box, AddressRole.FORMER))
        refusal = NotFound if not box.is_active else AddressTaken if holder is not box else None
        self.expect(refusal, lambda tx: rename.rename(tx, SYSTEM, box.id, self.parsed(local)))
        if refusal is None and role is not AddressRole.PRIMARY:
            self.held[self.primary(box)] = (box, role)
            self.held[new] = (box, AddressRole.PRIMARY)

    @rule(which=numbers, local=locals_)
    def alias(self, which: int, local: str) -> None:
        box = self.box(which)
        if not box.is_active:
            return
        refusal: type[Refusal] | None = None
        if len(self.in_role(box, AddressRole.ALIAS)) >= ALIASES_MOST:
            refusal = AliasLimit
        elif self.address(local) in self.held:
            refusal = AddressTaken
        self.expect(refusal, lambda tx: create.alias(tx, SYSTEM, box.id, self.parsed(local)))
        if refusal is None:
            self.held[self.address(local)] = (box, AddressRole.ALIAS)

    @rule(which=numbers, local=locals_)
    def forget(self, which: int, local: str) -> None:
        box, old = self.box(which), addresses.parse(self.address(local))
        held = self.held.get(str(old))
        is_his = held is not None and held[0] is box and held[1] is not AddressRole.PRIMARY
        self.expect(None if is_his else NotFound, lambda tx: rename.forget(tx, SYSTEM, box.id, old))
        if is_his:
            del self.held[str(old)]

    @rule(which=numbers, who=numbers, verb=some.sampled_from([reassign.reassign, reassign.restore]))
    def hand_over(self, which: int, who: int, verb: Any) -> None:
        box, to = self.box(which), self.member(who)
        refusal: type[Refusal] | None = None
        if not self.waits(box) and (verb is reassign.restore or not box.is_active):
            refusal = NotInBin
        elif box.owner is to:
            refusal = TargetIsSource
        self.expect(refusal, lambda tx: verb(tx, SYSTEM, box.id, to))
        if refusal is None:
            if displaced := self.own(to):
                self.bin(displaced)
            self.take_out(box)
            box.owner = to

    @rule(which=numbers, whose=some.sets(numbers, max_size=3))
    def publish(self, which: int, whose: set[int]) -> None:
        box, number = self.box(which), next(self.numbers)
        users = tuple({self.member(who).userid: self.member(who) for who in sorted(whose)}.values())
        refusal: type[Refusal] | None = None
        if len(self.public()) >= PUBLIC_MOST:
            refusal = PublicMailboxLimit
        elif box in self.public():
            refusal = InvalidValue
        elif not box.is_active and not self.waits(box):
            refusal = NotInBin
        elif not users:
            refusal = InvalidValue
        self.expect(refusal, lambda tx: reassign.to_public(tx, SYSTEM, box.id, Users(users), name=f"P{number}"))
        if refusal is None:
            self.take_out(box)
            box.owner, box.users = None, {member.userid for member in users}

    @rule(which=numbers)
    def remove(self, which: int) -> None:
        box = self.box(which)
        self.expect(None if box.is_active else NotFound, lambda tx: recycle.remove(tx, SYSTEM, box.id))
        if box.is_active:
            self.bin(box)

    @rule(which=numbers, at_once=some.booleans())
    def purge_by_hand(self, which: int, at_once: bool) -> None:  # noqa: FBT001 # hypothesis draws it
        waiting = [box for box in self.boxes if self.waits(box)]
        box = waiting[which % len(waiting)] if waiting else self.box(which)
        if len(self.boxes) == 1:
            return
        refusal = None if waiting else NotInBin
        self.expect(refusal, lambda tx: purge.start(tx, SYSTEM, box.id))
        if refusal is None:
            box.purging_from = self.watch.now
            if at_once:
                self.do_jobs()

    @rule(by=some.sampled_from([HOUR, DAY, 7 * DAY, 29 * DAY, 31 * DAY, -2 * DAY, -31 * DAY]))
    def pass_time(self, by: int) -> None:
        self.watch.now += by

    @rule()
    def look(self) -> None:
        due = {
            (box.id, box.entry)
            for box in self.boxes
            if box.purge_at is not None and not box.is_purging and box.purge_at <= self.watch.now
        }
        self.due = self.write(partial(purge.look, due_before=self.due))
        for box in self.boxes:
            if (box.id, box.entry) in due & self.was_due:
                box.purging_from = self.watch.now
        self.was_due = due
        self.do_jobs()

    @rule()
    def let_expire(self) -> None:
        for pause in (31 * DAY, HOUR):
            self.pass_time(pause)
            self.look()

    def do_jobs(self) -> None:
        work = Work(self.store, {purge.KIND: Purge(self.store, at_once=3), backup.KIND: Backups(self.store)}, ids.new)

        async def run() -> None:
            while await work.once():
                pass

        self.runner.run(run())
        # One that was begun before the clock was put back waits until it is as late again.
        for box in [box for box in self.boxes if box.purging_from is not None and box.purging_from <= self.watch.now]:
            self.boxes.remove(box)
            self.held = {text: held for text, held in self.held.items() if held[0] is not box}
            for other in self.boxes:
                other.copied.pop(box.id, None)

    @invariant()
    def rows_are_as_the_model_says(self) -> None:
        if self.boxes:
            self.write(self.hold_together)

    def hold_together(self, tx: Tx) -> None:
        assert {(address, which, role) for address, which, role in tx.all(_ADDRESSES)} == {
            (text, box.id, role.value) for text, (box, role) in self.held.items()
        }
        mails: dict[int, Counter[str]] = {}
        sizes: Counter[int] = Counter()
        for mailbox_id, message_id, size in tx.all(_MAILS):
            mails.setdefault(mailbox_id, Counter())[message_id] += 1
            sizes[mailbox_id] += size
        assert {which: found for which, found in mails.items() if which not in self.purging()} == {
            box.id: box.mails for box in self.boxes if box.mails and not box.is_purging
        }
        assert dict(tx.all(_USED)) == {box.id: sizes[box.id] for box in self.boxes}
        for mailbox_id, number, size in tx.all(_FOLDERS):
            assert (number, size) == (mails.get(mailbox_id, Counter()).total(), sizes[mailbox_id])
        assert dict(tx.all(_REFS)) == dict(tx.all(_SHOWN))
        for member in self.members:
            self.sees_only_his(tx, member)
        for box in self.boxes:
            entry = queries.recycled.of(tx, box.id)
            assert (entry is None) == box.is_active
            if entry is not None:
                assert entry.purge_at == box.purge_at
                assert (entry.state is EntryState.WAITING) == self.waits(box)

    def purging(self) -> set[MailboxId]:
        return {box.id for box in self.boxes if box.is_purging}

    def sees_only_his(self, tx: Tx, member: Member) -> None:
        opens = set()
        for box in self.boxes:
            with contextlib.suppress(NotFound):
                opens.add(access.open_mailbox(tx, member, box.id).id)
                for folder in read.folders(tx, box.id):
                    access.open_folder(tx, member, folder.id)
        his = {box.id for box in self.boxes if box.is_active and (box.owner is member or member.userid in box.users)}
        assert opens == his == set(uses.mailboxes_of(tx, member.id))

    def teardown(self) -> None:
        checked = Checked()
        while not checked.is_whole:
            checked = self.write(partial(audit.verify, so_far=checked))
        self.runner.run(self.store.close())
        self.place.close()


@contextlib.contextmanager
def sqlite_copy(template: Path) -> Iterator[str]:
    """A database of its own for one walk."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(template, f"{folder}/mailroom.db")
        yield f"sqlite:///{folder}/mailroom.db"


@pytest.mark.parametrize(("engine", "examples", "steps"), [("sqlite", 60, 40), ("postgres", 6, 30)])
def test_lives_of_mailboxes(request: pytest.FixtureRequest, engine: str, examples: int, steps: int) -> None:
    if engine == "sqlite":
        database = partial(sqlite_copy, request.getfixturevalue("sqlite_template"))
    else:
        database = partial(postgres_database, request.getfixturevalue("postgres_server"), template="template_mailroom")
    with asyncio.Runner() as runner:

        class Here(Lifecycle):
            def __init__(self) -> None:
                place = contextlib.ExitStack()
                super().__init__(runner, place, place.enter_context(database()))

        run_state_machine_as_test(
            Here, settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None)
        )

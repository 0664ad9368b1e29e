# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mailboxes that go to others, and the recycle bin: nothing is lost, and nobody sees what is not his."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select

from mailroom.core.clock import DAY, HOUR
from mailroom.core.errors import (
    CannotDisable,
    InUse,
    InvalidValue,
    MailboxDisabled,
    MemberHasMailbox,
    NoPermission,
    NotFound,
    NotInBin,
    PublicMailboxLimit,
    Refusal,
    TargetIsSource,
)
from mailroom.core.ids import MailboxId
from mailroom.core.secrets import Secret
from mailroom.delivery import rules
from mailroom.delivery.rules import AutoReply, Forwarding
from mailroom.directory import access as directory_access
from mailroom.directory import addresses, audit, clients, domains, members, policies, rights, users
from mailroom.directory.clients import ClientPasswords
from mailroom.directory.model import SYSTEM, AddressRole, Member, MemberStatus, Principal, Service, Users
from mailroom.events import jobs
from mailroom.mailboxes import access, backup, create, folders, leave, queries, quota, read, reassign, recycle
from mailroom.mailboxes.model import Entry, EntryState, MailboxKind, MailboxStatus, Source
from mailroom.storage import schema
from mailroom.storage.ports import Store, Tx
from tests import make
from tests.cut import at_every_statement
from tests.stores import Watch

_REASSIGNED = select(
    schema.reassignments.c.from_userid, schema.reassignments.c.to_userid, schema.reassignments.c.address
)


def give(tx: Tx, mailbox_id: MailboxId, to: Member) -> Entry | None:
    return reassign.reassign(tx, SYSTEM, mailbox_id, to)


def recycled(tx: Tx, mailbox_id: MailboxId, source: Source = Source.UNBOUND) -> Entry:
    return recycle.enter(tx, SYSTEM, mailbox_id, source)


def publish(tx: Tx, mailbox_id: MailboxId, *who: Member, name: str = "") -> None:
    reassign.to_public(tx, SYSTEM, mailbox_id, Users(who), name=name)


def may_open(tx: Tx, made: make.Organisation) -> dict[str, list[str]]:
    """The mailboxes that each member may open, by their first keepers' names."""
    seen = {}
    for userid, member in made.members.items():
        seen[userid] = [name for name, mailbox_id in made.mailboxes.items() if _opens(tx, member, mailbox_id)]
    return seen


def _opens(tx: Tx, member: Member, mailbox_id: MailboxId) -> bool:
    try:
        access.open_mailbox(tx, member, mailbox_id)
    except NotFound:
        return False
    return True


def waits(tx: Tx) -> list[tuple[str, str]]:
    entries = recycle.entries(tx, before=1 << 60, limit=99, states=[EntryState.WAITING])
    return [(entry.address, entry.source.value) for entry in entries]


def principal(made: make.Organisation, userid: str) -> Principal:
    return Principal(made.mailboxes[userid], f"{userid}@corp.example", made.members[userid])


async def test_a_mailbox_with_its_mail_goes_to_another_and_his_own_goes_to_the_bin(
    store: Store, tmp_path: Path, watch: Watch
) -> None:
    made = await make.organisation(store)
    amy, bob = made.mailboxes["amy"], made.mailboxes["bob"]
    acceptance = make.acceptance(store, tmp_path)
    for address in ("amy@corp.example", "bob@corp.example"):
        await make.delivered(acceptance, make.mail(), address)
    await store.write(lambda tx: create.alias(tx, SYSTEM, amy, addresses.parse_new("a@corp.example")))
    inbox = await store.read(lambda tx: make.folder(tx, amy))

    entry = await store.write(lambda tx: give(tx, amy, made.members["bob"]))
    assert entry is not None
    assert (entry.address, entry.source, entry.userid) == ("bob@corp.example", Source.UNBOUND, "bob")
    assert (entry.entered_at, entry.purge_at) == (watch.now, watch.now + 30 * DAY)
    assert await store.read(lambda tx: may_open(tx, made)) == {"amy": [], "bob": ["amy"], "carol": ["carol"]}
    assert await store.read(lambda tx: make.folder(tx, amy)) == inbox
    assert await store.read(lambda tx: sorted(addresses.every(tx, amy))) == ["a@corp.example", "amy@corp.example"]
    assert (await store.read(lambda tx: read.mailbox(tx, amy))).name == "Bob"
    assert await store.read(lambda tx: directory_access.own_mailbox(tx, made.members["amy"].id)) is None
    assert await store.read(lambda tx: access.reachable(tx, principal(made, "amy"))) == ()
    assert await store.read(lambda tx: access.reachable(tx, principal(made, "bob"))) == ()
    # Mail to what went with it comes to Bob now; mail to the bin comes to nobody, and nobody else gets its address.
    await make.delivered(acceptance, make.mail(message_id="<2@x>"), "a@corp.example")
    assert (await store.read(lambda tx: make.folder(tx, amy))).mails == 2
    with pytest.raises(MailboxDisabled):
        await make.delivered(acceptance, make.mail(), "bob@corp.example")
    assert await store.read(lambda tx: make.folder(tx, bob).mails) == 1
    with pytest.raises(MemberHasMailbox):
        await store.write(
            lambda tx: create.personal(tx, SYSTEM, made.members["bob"], addresses.parse_new("bobby@corp.example"))
        )
    with pytest.raises(TargetIsSource):
        await store.write(lambda tx: give(tx, amy, made.members["bob"]))
    assert await store.read(lambda tx: tx.all(_REASSIGNED)) == [("amy", "bob", "amy@corp.example")]
    shown = await store.read(lambda tx: audit.entries(tx, before=1 << 60, limit=1, action="mailbox.reassign"))
    assert (shown[0].mailbox_id, shown[0].after) == (amy, {"owner": "bob", "displaced": "bob@corp.example"})


async def test_what_its_users_had_set_up_does_not_outlast_them(store: Store, tmp_path: Path) -> None:
    made = await make.organisation(store, public={"sales": ["bob"]})
    amy, sales = made.mailboxes["amy"], made.mailboxes["sales"]
    logins = make.logins(store, tmp_path)
    passwords = ClientPasswords(store, logins.passwords, logins.seal)
    for mailbox_id in (amy, sales):
        await passwords.create(SYSTEM, mailbox_id, remark="Office PC")

    def furnish(tx: Tx) -> None:
        for mailbox_id in (amy, sales):
            rules.forward(tx, mailbox_id, Forwarding(("home@out.example",), keeps=True))
            rules.reply(tx, mailbox_id, AutoReply("Away."))
            rules.put(tx, mailbox_id, "main", 'redirect "home@out.example";')
            rules.activate(tx, mailbox_id, "main")
            folders.subscribe(tx, mailbox_id, "Shared/boss@corp.example")

    await store.write(furnish)

    def left(tx: Tx, mailbox_id: MailboxId) -> tuple[rules.Rules, bool, int, Sequence[str], bool]:
        return (
            rules.get(tx, mailbox_id),
            read.mailbox(tx, mailbox_id).has_rules,
            len(clients.of(tx, mailbox_id)),
            directory_access.users(tx, mailbox_id),
            "Shared/boss@corp.example" in folders.subscriptions(tx, mailbox_id),
        )

    nothing: object = (rules.NONE, False, 0, [], False)
    await store.write(lambda tx: give(tx, amy, made.members["carol"]))
    assert await store.read(lambda tx: left(tx, amy)) == nothing
    assert await store.read(lambda tx: rules.scripts(tx, amy)) == {"main": False}
    await store.write(lambda tx: give(tx, sales, made.members["amy"]))
    assert await store.read(lambda tx: left(tx, sales)) == nothing
    assert await store.read(lambda tx: "INBOX" in folders.subscriptions(tx, sales))


async def test_who_may_and_to_whom(store: Store) -> None:
    made = await make.organisation(store, people=("amy", "bob", "carol"))
    bob, carol = made.members["bob"], made.members["carol"]

    def begin(tx: Tx) -> None:
        rights.administer(tx, bob, [domains.get(tx, make.DOMAIN)])
        leave.member(tx, SYSTEM, "carol")

    await store.write(begin)
    by = await store.read(lambda tx: rights.of(tx, bob))
    amy = made.mailboxes["amy"]
    for work in (
        lambda tx: reassign.reassign(tx, by, amy, bob),
        lambda tx: reassign.restore(tx, by, made.mailboxes["carol"], bob),
        lambda tx: reassign.to_public(tx, by, amy, Users((bob,))),
    ):
        with pytest.raises(NoPermission):
            await store.write(work)
    with pytest.raises(NotFound):  # she has gone
        await store.write(lambda tx: give(tx, amy, carol))
    with pytest.raises(NotFound):
        await store.write(lambda tx: give(tx, MailboxId(99), bob))


async def test_nobody_throws_his_own_mailbox_away_nor_the_creators(store: Store) -> None:
    made = await make.organisation(store)
    amy, bob = made.members["amy"], made.members["bob"]
    await store.write(lambda tx: members.mark_creator(tx, bob))
    by = await store.read(lambda tx: rights.of(tx, amy))
    for userid in ("amy", "bob"):
        with pytest.raises(CannotDisable):
            await store.write(lambda tx, one=made.mailboxes[userid]: recycle.remove(tx, by, one))  # type: ignore[misc]  # a lambda's default


@pytest.mark.parametrize(("source", "target"), [("amy", "carol"), ("carol", "amy")])
async def test_a_mailbox_that_is_copied_changes_hands_when_that_is_done(store: Store, source: str, target: str) -> None:
    made = await make.organisation(store)
    amy, bob = made.mailboxes["amy"], made.members["bob"]
    job = await store.write(lambda tx: backup.start(tx, SYSTEM, made.mailboxes[source], made.mailboxes[target]))
    with pytest.raises(InUse, match=f"backup {job.id}"):
        await store.write(lambda tx: reassign.reassign(tx, SYSTEM, amy, bob))
    with pytest.raises(InUse):
        await store.write(lambda tx: reassign.to_public(tx, SYSTEM, amy, Users((bob,)), name="Was Amy's"))
    await store.write(lambda tx: jobs.cancel(tx, job.id))
    await store.write(lambda tx: reassign.reassign(tx, SYSTEM, amy, bob))
    assert await store.read(lambda tx: directory_access.own_mailbox(tx, bob.id)) == amy


async def test_a_disabled_mailbox_works_again_when_it_is_given_away(store: Store) -> None:
    made = await make.organisation(store)
    await store.write(lambda tx: quota.change_status(tx, SYSTEM, made.mailboxes["amy"], MailboxStatus.DISABLED))
    await store.write(lambda tx: give(tx, made.mailboxes["amy"], made.members["bob"]))
    assert (await store.read(lambda tx: may_open(tx, made)))["bob"] == ["amy"]


async def test_personal_to_public_and_back(store: Store, tmp_path: Path) -> None:
    made = await make.organisation(store, public={"sales": ["amy"]})
    amy, bob, carol = (made.members[each] for each in ("amy", "bob", "carol"))
    mine = made.mailboxes["amy"]
    with pytest.raises(InvalidValue):
        await store.write(lambda tx: publish(tx, mine))
    with pytest.raises(InvalidValue):
        await store.write(lambda tx: publish(tx, made.mailboxes["sales"], bob, name="Again"))
    await store.write(lambda tx: publish(tx, mine, bob, carol, name="Amy's heirs"))
    now = await store.read(lambda tx: read.mailbox(tx, mine))
    assert (now.kind, now.owner_id, now.status, now.name) == (
        MailboxKind.PUBLIC,
        None,
        MailboxStatus.ACTIVE,
        "Amy's heirs",
    )
    opened = await store.read(lambda tx: may_open(tx, made))
    assert opened == {"amy": ["sales"], "bob": ["amy", "bob"], "carol": ["amy", "carol"]}
    await make.delivered(make.acceptance(store, tmp_path), make.mail(), "amy@corp.example")
    assert await store.write(lambda tx: give(tx, mine, amy)) is None
    opened = await store.read(lambda tx: may_open(tx, made))
    assert opened == {"amy": ["amy", "sales"], "bob": ["bob"], "carol": ["carol"]}
    assert (await store.read(lambda tx: make.folder(tx, mine))).mails == 1
    assert await store.read(lambda tx: tx.all(_REASSIGNED)) == [
        ("amy", "", "amy@corp.example"),
        ("", "amy", "amy@corp.example"),
    ]


async def test_the_limit_of_public_mailboxes_counts_those_that_were_personal_and_not_those_in_the_bin(
    store: Store,
) -> None:
    made = await make.organisation(store, public={"a": ["amy"], "b": ["amy"], "c": ["amy"]})
    amy, mine = made.members["amy"], made.mailboxes["amy"]
    with pytest.raises(PublicMailboxLimit):
        await store.write(lambda tx: publish(tx, mine, amy))
    await store.write(lambda tx: recycle.remove(tx, SYSTEM, made.mailboxes["a"]))
    await store.write(lambda tx: publish(tx, mine, amy))
    with pytest.raises(PublicMailboxLimit):
        await store.write(lambda tx: publish(tx, made.mailboxes["a"], amy))
    await store.write(lambda tx: policies.change(tx, SYSTEM, "mailbox.public_most", "0"))
    await store.write(lambda tx: publish(tx, made.mailboxes["a"], amy))


async def test_each_way_into_the_bin_has_its_source_and_its_days(store: Store, watch: Watch) -> None:
    made = await make.organisation(store, people=("amy", "bob", "carol"), public={"sales": ["amy"]})
    await store.write(lambda tx: policies.change(tx, SYSTEM, "bin.unbound_days", "60"))
    await store.write(lambda tx: policies.change(tx, SYSTEM, "bin.deleted_member_days", "1"))
    with pytest.raises(InvalidValue):
        await store.write(lambda tx: policies.change(tx, SYSTEM, "bin.unbound_days", "0"))

    def work(tx: Tx) -> list[Entry | None]:
        return [
            leave.member(tx, SYSTEM, "carol"),
            recycle.remove(tx, SYSTEM, made.mailboxes["bob"]),
            recycle.remove(tx, SYSTEM, made.mailboxes["sales"]),
        ]

    entries = [entry for entry in await store.write(work) if entry]
    assert [(entry.source, entry.userid, (entry.purge_at - watch.now) // DAY) for entry in entries] == [
        (Source.DELETED_MEMBER, "carol", 1),
        (Source.UNBOUND, "bob", 60),
        (Source.RECYCLED_PUBLIC, "", 30),
    ]
    assert (await store.read(lambda tx: members.get(tx, "bob"))).status is MemberStatus.ACTIVE
    assert await store.read(lambda tx: may_open(tx, made)) == {"amy": ["amy"], "bob": [], "carol": []}
    with pytest.raises(NotFound):
        await store.write(lambda tx: recycled(tx, made.mailboxes["bob"]))


async def test_the_list_is_filtered_by_source_state_and_time(store: Store, watch: Watch) -> None:
    made = await make.organisation(store, people=("amy", "bob", "carol"), public={"sales": ["amy"]})
    begun = watch.now
    for number, local in enumerate(("bob", "carol", "sales")):
        watch.now = begun + number * HOUR
        await store.write(lambda tx, one=made.mailboxes[local]: recycle.remove(tx, SYSTEM, one))  # type: ignore[misc]  # a lambda's default

    def found(tx: Tx, **wanted: object) -> list[str]:
        page = recycle.entries(tx, before=1 << 60, limit=9, **wanted)  # type: ignore[arg-type]  # any of them
        return [entry.address.partition("@")[0] for entry in page]

    assert await store.read(found) == ["sales", "carol", "bob"]
    assert await store.read(partial(found, source=Source.UNBOUND)) == ["carol", "bob"]
    assert await store.read(partial(found, since=begun + 1, until=begun + HOUR)) == ["carol"]
    await store.write(lambda tx: reassign.restore(tx, SYSTEM, made.mailboxes["bob"], made.members["bob"]))
    assert await store.read(partial(found, states=[EntryState.RESTORED])) == ["bob"]
    watch.now = begun + 30 * DAY + HOUR
    assert await store.read(partial(found, states=[EntryState.EXPIRED])) == ["carol"]
    assert await store.read(partial(found, states=[EntryState.WAITING])) == ["sales"]
    newest = (await store.read(lambda tx: recycle.entries(tx, before=1 << 60, limit=1)))[0]
    older = await store.read(lambda tx: recycle.entries(tx, before=newest.id, limit=1))
    assert [entry.address for entry in older] == ["carol@corp.example"]


async def test_restored_it_is_as_it_was(store: Store, tmp_path: Path) -> None:
    made = await make.organisation(store)
    amy, acceptance = made.mailboxes["amy"], make.acceptance(store, tmp_path)
    await make.delivered(acceptance, make.mail(), "amy@corp.example")
    await store.write(lambda tx: recycled(tx, amy))
    with pytest.raises(NotInBin):
        await store.write(lambda tx: reassign.restore(tx, SYSTEM, made.mailboxes["bob"], made.members["bob"]))
    await store.write(lambda tx: reassign.restore(tx, SYSTEM, amy, made.members["amy"]))
    assert await store.read(waits) == []
    assert (await store.read(lambda tx: may_open(tx, made)))["amy"] == ["amy"]
    await make.delivered(acceptance, make.mail(message_id="<2@x>"), "amy@corp.example")
    assert (await store.read(lambda tx: make.folder(tx, amy))).mails == 2
    # And may go there again.
    await store.write(lambda tx: recycled(tx, amy))
    assert await store.read(waits) == [("amy@corp.example", "unbound")]


async def test_past_its_time_an_entry_is_as_good_as_gone(store: Store, watch: Watch) -> None:
    made = await make.organisation(store)
    amy = made.mailboxes["amy"]
    entry = await store.write(lambda tx: recycled(tx, amy))
    watch.now = entry.purge_at - 1
    assert (await store.read(lambda tx: recycle.waiting(tx, amy))).address == "amy@corp.example"
    watch.now = entry.purge_at
    for work in (
        lambda tx: reassign.restore(tx, SYSTEM, amy, made.members["amy"]),
        lambda tx: reassign.reassign(tx, SYSTEM, amy, made.members["bob"]),
        lambda tx: reassign.to_public(tx, SYSTEM, amy, Users((made.members["amy"],))),
    ):
        with pytest.raises(NotInBin):
            await store.write(work)
    # The clock is put right: it was not its time.
    watch.now = entry.entered_at + DAY
    await store.write(lambda tx: reassign.restore(tx, SYSTEM, amy, made.members["amy"]))


async def test_nobody_takes_an_address_of_the_bin(store: Store) -> None:
    made = await make.organisation(store)

    def take(tx: Tx, text: str) -> None:
        addresses.take(tx, addresses.parse_new(text), made.mailboxes["bob"], AddressRole.ALIAS)

    await store.write(lambda tx: take(tx, "robert@corp.example"))
    await store.write(lambda tx: recycled(tx, made.mailboxes["bob"]))
    for text in ("bob@corp.example", "robert@corp.example"):
        with pytest.raises(Refusal) as said:
            await store.write(lambda tx, one=text: take(tx, one))  # type: ignore[misc]  # a lambda's default
        assert said.value.about["by"] == "recycled"


async def test_what_is_open_ends(store: Store) -> None:
    made = await make.organisation(store, public={"sales": ["bob"]})
    heard: list[str] = []
    for name in ("amy", "sales"):
        store.hints.call(f"mailbox:{made.mailboxes[name]}", partial(heard.append, name))
    await store.write(lambda tx: give(tx, made.mailboxes["amy"], made.members["bob"]))
    await store.write(lambda tx: recycle.remove(tx, SYSTEM, made.mailboxes["sales"]))
    async with asyncio.timeout(5):
        while set(heard) != {"amy", "sales"}:  # noqa: ASYNC110  # a hint makes no event of ours
            await asyncio.sleep(0.01)
    opened = await store.read(lambda tx: access.reachable(tx, principal(made, "bob")))
    assert opened == ()


async def test_cut_off_at_any_statement_nothing_has_changed(store: Store) -> None:
    made = await make.organisation(store, public={"sales": ["bob"]})
    amy, bob = made.members["amy"], made.members["bob"]
    mine, sales = made.mailboxes["amy"], made.mailboxes["sales"]
    assert await at_every_statement(store, lambda tx: give(tx, mine, bob)) > 20
    assert await at_every_statement(store, lambda tx: publish(tx, mine, bob)) > 15
    assert await at_every_statement(store, lambda tx: recycle.remove(tx, SYSTEM, sales)) > 10
    assert await at_every_statement(store, lambda tx: reassign.restore(tx, SYSTEM, sales, amy)) > 15
    opened = await store.read(lambda tx: may_open(tx, made))
    assert opened == {"amy": ["sales"], "bob": ["amy"], "carol": ["carol"]}


async def test_two_who_want_one_mailbox_at_once_do_not_both_get_it(store: Store) -> None:
    made = await make.organisation(store)
    for round_ in range(6):
        await store.write(lambda tx: recycled(tx, made.mailboxes["amy"]))
        both = await asyncio.gather(
            *(
                store.write(partial(reassign.restore, by=SYSTEM, mailbox_id=made.mailboxes["amy"], to=made.members[to]))
                for to in ("bob", "carol")
            ),
            return_exceptions=True,
        )
        [loser] = [each for each in both if isinstance(each, BaseException)]
        assert isinstance(loser, NotInBin), round_
        opened = await store.read(lambda tx: may_open(tx, made))
        assert sorted(name for names in opened.values() for name in names if name == "amy") == ["amy"]


async def test_contrary_orders_at_once_end_as_if_one_came_after_the_other(store: Store) -> None:
    made = await make.organisation(store, people=("amy", "bob", "carol"), public={"sales": ["carol"]})
    amy, bob, carol = (made.members[each] for each in ("amy", "bob", "carol"))
    mine, his, sales = (made.mailboxes[each] for each in ("amy", "bob", "sales"))
    orders = [
        lambda tx: give(tx, mine, bob),
        lambda tx: give(tx, his, amy),
        lambda tx: give(tx, sales, bob),
        lambda tx: recycle.remove(tx, SYSTEM, sales),
        lambda tx: publish(tx, mine, carol),
        lambda tx: give(tx, sales, amy),
        lambda tx: recycle.remove(tx, SYSTEM, his),
    ]
    for _ in range(5):
        ends = await asyncio.gather(*(store.write(order) for order in orders), return_exceptions=True)
        assert all(isinstance(end, Refusal) for end in ends if isinstance(end, BaseException)), ends
        await store.read(lambda tx: consistent(tx, made))


def consistent(tx: Tx, made: make.Organisation) -> None:
    """Each mailbox is in one place, and each member has one at most."""
    for mailbox_id in made.mailboxes.values():
        mailbox = read.mailbox(tx, mailbox_id)
        entry = queries.recycled.of(tx, mailbox_id)
        assert (mailbox.status is MailboxStatus.RECYCLED) == (entry is not None)
        given = bool(users.of(tx, mailbox_id))
        if mailbox.status is MailboxStatus.RECYCLED:
            assert (mailbox.owner_id, given) == (None, False)
        else:
            assert (mailbox.owner_id is None) == (mailbox.kind is MailboxKind.PUBLIC) == given
        addresses.primary(tx, mailbox_id)


async def test_a_mailbox_in_the_bin_gets_no_client_password(store: Store) -> None:
    made = await make.organisation(store, public={"sales": ["bob"]})
    drawn = clients.Drawn(Secret("abcd"), "kept")

    def add(tx: Tx, local: str) -> None:
        clients.add(tx, SYSTEM, made.mailboxes[local], remark="CRM", services=tuple(Service), drawn=drawn)

    for local in ("sales", "bob"):
        await store.write(lambda tx, each=local: add(tx, each))  # type: ignore[misc] # a lambda's default
        await store.write(lambda tx, each=local: recycled(tx, made.mailboxes[each]))  # type: ignore[misc] # a lambda's default
        with pytest.raises(NotFound):
            await store.write(lambda tx, each=local: add(tx, each))  # type: ignore[misc] # a lambda's default
        assert await store.read(lambda tx, each=local: clients.of(tx, made.mailboxes[each])) == []  # type: ignore[misc] # a lambda's default

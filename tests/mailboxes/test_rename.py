# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A mailbox goes by another address: only that changes, and mail to the old one still comes."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from mailroom.core.errors import AddressTaken, DomainNotActive, NoPermission, NotFound, Refusal, TooMany
from mailroom.core.ids import MailboxId
from mailroom.core.secrets import Secret
from mailroom.directory import addresses, audit, domains, groups, rights
from mailroom.directory.model import SYSTEM, Allow, DomainState, Service
from mailroom.mailboxes import create, recycle, rename
from mailroom.mailboxes.model import Source
from mailroom.mailboxes.rename import Line, NotAll
from mailroom.storage.ports import Store, Tx
from tests import make
from tests.cut import at_every_statement, everything

OTHER = "other.example"


def names(tx: Tx, mailbox_id: MailboxId) -> tuple[str, list[str], list[str]]:
    """Its own address, its aliases, its former addresses."""
    return (
        addresses.primary(tx, mailbox_id),
        list(addresses.aliases(tx, mailbox_id)),
        list(addresses.former(tx, mailbox_id)),
    )


def to(tx: Tx, mailbox_id: MailboxId, new: str) -> None:
    rename.rename(tx, SYSTEM, mailbox_id, addresses.parse_new(new))


async def refused(store: Store, mailbox_id: MailboxId, new: str) -> Refusal:
    with pytest.raises(Refusal) as said:
        await store.write(lambda tx: to(tx, mailbox_id, new))
    return said.value


async def test_the_old_address_stays_and_can_be_given_up(store: Store) -> None:
    amy = (await make.organisation(store)).mailboxes["amy"]
    await store.write(lambda tx: to(tx, amy, "Amy.Li@corp.example"))
    assert await store.read(lambda tx: names(tx, amy)) == ("amy.li@corp.example", [], ["amy@corp.example"])
    await store.write(lambda tx: to(tx, amy, "amy.li@corp.example"))  # no change
    await store.write(lambda tx: to(tx, amy, "amy@corp.example"))
    assert await store.read(lambda tx: names(tx, amy)) == ("amy@corp.example", [], ["amy.li@corp.example"])

    def forget(tx: Tx) -> None:
        rename.forget(tx, SYSTEM, amy, addresses.parse("amy.li@corp.example"))

    await store.write(forget)
    assert await store.read(lambda tx: addresses.resolve(tx, addresses.parse("amy.li@corp.example"))) is None
    with pytest.raises(NotFound):
        await store.write(forget)
    with pytest.raises(NotFound):
        await store.write(lambda tx: rename.forget(tx, SYSTEM, amy, addresses.parse("amy@corp.example")))
    done = await store.read(lambda tx: audit.entries(tx, before=1 << 60, limit=3, mailbox_id=amy))
    assert [(one.action, one.before, one.after) for one in done] == [
        ("alias.remove", {"alias": "amy.li@corp.example"}, None),
        ("mailbox.rename", {"address": "amy.li@corp.example"}, {"address": "amy@corp.example"}),
        ("mailbox.rename", {"address": "amy@corp.example"}, {"address": "amy.li@corp.example"}),
    ]


async def test_former_addresses_do_not_count_among_the_aliases(store: Store) -> None:
    amy = (await make.organisation(store)).mailboxes["amy"]
    for number in range(create.ALIASES_MOST):
        await store.write(lambda tx, n=number: create.alias(tx, SYSTEM, amy, addresses.parse_new(f"a{n}@corp.example")))  # type: ignore[misc]  # a lambda's default
    await store.write(lambda tx: to(tx, amy, "amy.li@corp.example"))
    # To one of its own: the two change roles, and as many aliases are left.
    await store.write(lambda tx: to(tx, amy, "a0@corp.example"))
    own, aliases, former = await store.read(lambda tx: names(tx, amy))
    assert (own, former) == ("a0@corp.example", ["amy@corp.example"])
    assert aliases == [
        "a1@corp.example",
        "a2@corp.example",
        "a3@corp.example",
        "a4@corp.example",
        "amy.li@corp.example",
    ]


async def test_where_an_address_is_taken_is_said(store: Store) -> None:
    def furnish(tx: Tx) -> make.Organisation:
        made = make.organise(tx, people=("amy", "bob", "carol", "dan"), public={"sales": ["amy"]})
        create.alias(tx, SYSTEM, made.mailboxes["bob"], addresses.parse_new("robert@corp.example"))
        to(tx, made.mailboxes["carol"], "caroline@corp.example")
        groups.create(
            tx, SYSTEM, made.id, addresses.parse_new("all@corp.example"), name="All", members=["bob@corp.example"]
        )
        recycle.enter(tx, SYSTEM, made.mailboxes["dan"], Source.UNBOUND)
        return made

    amy = (await store.write(furnish)).mailboxes["amy"]
    taken = {
        "bob": "member",
        "robert": "alias",
        "carol": "alias",
        "caroline": "member",
        "all": "group",
        "sales": "public",
        "dan": "recycled",
    }
    for local, by in taken.items():
        refusal = await refused(store, amy, f"{local}@corp.example")
        assert isinstance(refusal, AddressTaken)
        assert refusal.about["by"] == by, local
    assert await store.read(lambda tx: names(tx, amy)) == ("amy@corp.example", [], [])


async def test_only_to_a_domain_of_ours_that_works(store: Store) -> None:
    made = await make.organisation(store)
    amy = made.mailboxes["amy"]
    await store.write(lambda tx: domains.add(tx, SYSTEM, made.id, OTHER))
    assert isinstance(await refused(store, amy, f"amy@{OTHER}"), DomainNotActive)
    assert isinstance(await refused(store, amy, "amy@strange.example"), NotFound)
    await store.write(lambda tx: domains.add(tx, SYSTEM, made.id, "third.example", state=DomainState.ABNORMAL))
    await store.write(lambda tx: to(tx, amy, "amy@third.example"))
    assert (await store.read(lambda tx: names(tx, amy)))[0] == "amy@third.example"
    # Nor one that lies in the bin.
    await store.write(lambda tx: recycle.enter(tx, SYSTEM, amy, Source.UNBOUND))
    assert isinstance(await refused(store, amy, "amy@corp.example"), NotFound)


async def test_who_may(store: Store) -> None:
    made = await make.organisation(store)
    bob = await store.read(lambda tx: rights.of(tx, made.members["bob"]))
    new = addresses.parse_new("x@corp.example")
    for userid in ("bob", "amy"):  # not even his own
        with pytest.raises(NoPermission):
            await store.write(lambda tx, one=made.mailboxes[userid]: rename.rename(tx, bob, one, new))  # type: ignore[misc]  # a lambda's default
    amy = await store.read(lambda tx: rights.of(tx, made.members["amy"]))
    await store.write(lambda tx: rename.rename(tx, amy, made.mailboxes["bob"], new))


async def test_mail_to_both_comes_to_the_same_folder_and_groups_go_on(store: Store, tmp_path: Path) -> None:
    acceptance = make.acceptance(store, tmp_path)

    def furnish(tx: Tx) -> make.Organisation:
        made = make.organise(tx)
        for name, listed in (
            ("all", ["amy@corp.example", "bob@corp.example"]),
            ("two", ["amy@corp.example", "x@y.example"]),
        ):
            address = addresses.parse_new(f"{name}@corp.example")
            senders = ["amy@corp.example"]
            groups.create(tx, SYSTEM, made.id, address, name=name, members=listed, allow=Allow.CUSTOM, senders=senders)
        return made

    made = await store.write(furnish)
    amy = made.mailboxes["amy"]
    inbox = await store.read(lambda tx: make.folder(tx, amy))
    await make.delivered(acceptance, make.mail(), "amy@corp.example")
    await store.write(lambda tx: to(tx, amy, "amy.li@corp.example"))
    await make.delivered(acceptance, make.mail(message_id="<2@x>"), "amy@corp.example")
    await make.delivered(acceptance, make.mail(message_id="<3@x>"), "amy.li@corp.example")
    now = await store.read(lambda tx: make.folder(tx, amy))
    assert (now.id, now.uidvalidity, now.uidnext, now.mails) == (inbox.id, inbox.uidvalidity, 4, 3)
    for name in ("all", "two"):
        group = await store.read(lambda tx, at=name: groups.get(tx, addresses.parse(f"{at}@corp.example")))  # type: ignore[misc]  # a lambda's default
        lists = await store.read(lambda tx, at=group: groups.lists(tx, at.id))  # type: ignore[misc]  # likewise
        assert "amy.li@corp.example" in lists.members
        assert "amy@corp.example" not in lists.members
        assert len(lists.members) == 2
        assert lists.senders == ["amy.li@corp.example"]


async def test_a_group_that_names_both_addresses_names_one(store: Store) -> None:
    def work(tx: Tx) -> list[str]:
        made = make.organise(tx)
        create.alias(tx, SYSTEM, made.mailboxes["amy"], addresses.parse_new("a@corp.example"))
        address = addresses.parse_new("all@corp.example")
        both = ["amy@corp.example", "a@corp.example"]
        group = groups.create(tx, SYSTEM, made.id, address, name="All", members=both)
        to(tx, made.mailboxes["amy"], "a@corp.example")
        return list(groups.members(tx, group.id))

    assert await store.write(work) == ["a@corp.example"]


async def test_passwords_open_under_the_new_address_and_under_the_old_one(store: Store, tmp_path: Path) -> None:
    amy = (await make.organisation(store)).mailboxes["amy"]
    logins = make.logins(store, tmp_path)
    await make.set_password(logins, "amy", "long enough")
    await store.write(lambda tx: to(tx, amy, "amy.li@corp.example"))
    for name in ("amy", "amy@corp.example", "amy.li@corp.example"):
        principal = await logins.by_password(name, Secret("long enough"), service=Service.IMAP, peer="127.0.0.1")
        assert (principal.mailbox_id, principal.address) == (amy, "amy.li@corp.example")


async def test_cut_off_at_any_statement_it_changes_nothing(store: Store) -> None:
    def furnish(tx: Tx) -> MailboxId:
        made = make.organise(tx)
        address = addresses.parse_new("all@corp.example")
        groups.create(tx, SYSTEM, made.id, address, name="All", members=["amy@corp.example"])
        return made.mailboxes["amy"]

    amy = await store.write(furnish)
    assert await at_every_statement(store, lambda tx: to(tx, amy, "amy.li@corp.example")) > 8
    assert (await store.read(lambda tx: names(tx, amy)))[0] == "amy.li@corp.example"


async def test_two_who_want_one_address_at_once(store: Store) -> None:
    made = (await make.organisation(store)).mailboxes
    for round_ in range(10):
        wanted = [partial(to, mailbox_id=made[who], new=f"x{round_}@corp.example") for who in ("amy", "bob")]
        both = await asyncio.gather(*map(store.write, wanted), return_exceptions=True)
        [loser] = [each for each in both if each is not None]
        assert isinstance(loser, AddressTaken)
        assert loser.about["by"] == "member"


async def test_two_who_rename_one_mailbox_at_once_leave_one_address_of_its_own(store: Store) -> None:
    amy = (await make.organisation(store)).mailboxes["amy"]
    await asyncio.gather(*(store.write(lambda tx, n=n: to(tx, amy, f"x{n}@corp.example")) for n in range(8)))  # type: ignore[misc]  # a lambda's default
    own, aliases, former = await store.read(lambda tx: names(tx, amy))
    assert (len({own, *former}), aliases) == (9, [])


async def test_a_sheet_is_done_as_a_whole_or_not_at_all(store: Store) -> None:
    made = await make.organisation(store, people=("amy", "bob", "carol"))
    lines = [
        Line(2, "amy@corp.example", "amy.li"),
        Line(3, "bob@corp.example", "carol@corp.example"),
        Line(4, "nobody@corp.example", "x"),
        Line(5, "carol@corp.example", "a b"),
    ]
    before = await everything(store)
    with pytest.raises(NotAll) as undone:
        await store.write(lambda tx: rename.rename_all(tx, SYSTEM, lines, keep=True))
    said = [(one.new, one.refusal and one.refusal.code) for one in undone.value.outcomes]
    assert said == [
        ("amy.li@corp.example", None),
        ("carol@corp.example", "address_taken"),
        ("x@corp.example", "not_found"),
        ("a b", "invalid_address"),
    ]
    assert await everything(store) == before

    good = [lines[0], Line(3, "bob@corp.example", "bob.li@corp.example")]
    with pytest.raises(NotAll) as dry:
        await store.write(lambda tx: rename.rename_all(tx, SYSTEM, good, keep=False))
    assert [one.refusal for one in dry.value.outcomes] == [None, None]
    assert await everything(store) == before
    await store.write(lambda tx: rename.rename_all(tx, SYSTEM, good, keep=True))
    assert (await store.read(lambda tx: names(tx, made.mailboxes["bob"])))[0] == "bob.li@corp.example"
    with pytest.raises(TooMany):
        await store.write(lambda tx: rename.rename_all(tx, SYSTEM, good * rename.ROWS_MOST, keep=False))

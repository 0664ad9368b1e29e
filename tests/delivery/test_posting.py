# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Where a mail goes: groups expanded, mail sent on, circles that end, and all of it or nothing."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from dns.asyncresolver import Resolver
from sqlalchemy import select

from mailroom.core.clock import HOUR
from mailroom.core.errors import (
    ComeAgain,
    DomainNotActive,
    GroupRefused,
    MailboxDisabled,
    NotFound,
    OverQuota,
    RelayDenied,
)
from mailroom.delivery import posting
from mailroom.delivery.checks.names import Names
from mailroom.delivery.judge import Client, Judge
from mailroom.delivery.posting import Caller, Envelope, Group, Local
from mailroom.delivery.spool import Spool
from mailroom.directory import addresses, domains, groups
from mailroom.directory.model import SYSTEM, Allow
from mailroom.mailboxes import create, quota
from mailroom.mailboxes.model import FolderRole, MailboxStatus
from mailroom.storage import schema
from mailroom.storage.ports import Store, Tx
from tests import dns, make
from tests.delivery import town as town_
from tests.delivery.town import Town
from tests.stores import Watch


@pytest.fixture
async def town(store: Store, tmp_path: Path) -> Town:
    return await town_.found(store, tmp_path)


async def test_a_mail_to_a_group_goes_to_each_member_once(town: Town) -> None:
    await town.group("all", "amy@corp.example", "bob@corp.example", "Zoe@Out.example", "amy@corp.example")
    await town.send("all@corp.example")
    assert await town.kept() == {"amy": 1, "bob": 1}
    [(address, content)] = await town.left()
    assert address == "zoe@out.example"
    assert content["prefix"].startswith("List-Id: <all.corp.example>\r\nX-Loop: ")
    assert content["size"] == (await town.mails("amy"))[0].size + len(content["prefix"])
    assert len(await town.told()) == 2
    assert await town.is_counted()


async def test_whoever_is_named_by_many_ways_has_it_once(town: Town) -> None:
    await town.group("all", "amy@corp.example", "team@corp.example", "zoe@out.example")
    await town.group("team", "amy+x@corp.example", "bob@corp.example", "zoe@out.example", "all@corp.example")
    await town.send("all@corp.example", "amy@corp.example", "team@corp.example", "amy+y@corp.example")
    assert await town.kept() == {"amy": 1, "bob": 1}
    assert [address for address, _ in await town.left()] == ["zoe@out.example"]
    assert await town.is_counted()


async def test_groups_within_each_other_end(town: Town) -> None:
    for number in range(30):
        await town.group(f"g{number}", f"g{(number + 1) % 30}@corp.example", *(["dave@corp.example"] * (number == 9)))
    await town.send("g0@corp.example")
    assert await town.kept() == {"dave": 1}


async def test_members_who_take_no_mail_keep_it_from_nobody_else(town: Town) -> None:
    await town.group("all", *(f"{who}@corp.example" for who in ("amy", "bob", "carol", "gone")))
    made = town.made.mailboxes

    def work(tx: Tx) -> None:
        quota.change_status(tx, SYSTEM, made["bob"], MailboxStatus.DISABLED)
        quota.change(tx, SYSTEM, made["carol"], 1)

    await town.store.write(work)
    await town.send("all@corp.example")  # the last mail may pass the quota
    await town.send("all@corp.example")
    assert await town.kept() == {"amy": 2, "carol": 1}
    assert await town.is_counted()


async def reported(town: Town) -> dict[str, str]:
    """What the last mail on its way out reports: each recipient's status."""
    (to, content) = (await town.left())[-1]
    message = await town.text(content["mail"])
    assert (to, content["from"]) == ("bob@out.example", "")
    assert "report-type=delivery-status" in message
    return dict(re.findall(r"Final-Recipient: rfc822;(\S+)\r\nAction: failed\r\nStatus: (\S+)", message))


async def test_the_sender_is_told_of_members_who_do_not_get_it(town: Town) -> None:
    await town.group("inner", "carol@corp.example", "abuse@corp.example")
    await town.group("all", "amy@corp.example", "bob@corp.example", "gone@corp.example", "inner@corp.example")
    made = town.made.mailboxes
    await town.send("carol@corp.example")

    def work(tx: Tx) -> None:
        quota.change_status(tx, SYSTEM, made["bob"], MailboxStatus.DISABLED)
        quota.change(tx, SYSTEM, made["carol"], 1)

    await town.store.write(work)
    await town.send("all@corp.example")
    assert await town.kept() == {"amy": 1, "carol": 1}
    expected = {"bob@corp.example": "5.2.1", "gone@corp.example": "5.1.1", "carol@corp.example": "5.2.2"}
    assert await reported(town) == expected
    assert await town.is_counted()
    # A report comes from nobody, and nobody is told of it; nor who does not want to be.
    await town.send("all@corp.example", sender="")
    for notify in ("NEVER", "DELAY"):
        found = await town.acceptance.find("all@corp.example", size=0)
        with acceptance_spool(town) as spool:
            to = replace(found, notify=frozenset({notify}))
            await town.acceptance.accept(Envelope("bob@out.example", (to,)), spool)
    assert [address for address, _ in await town.left()] == ["bob@out.example"]
    # One of us finds it in his inbox.
    await town.send("all@corp.example", sender="dave@corp.example")
    assert await town.kept() == {"amy": 5, "carol": 1, "dave": 1}


@pytest.mark.parametrize("client", ["127.0.0.1", "192.0.2.1"], ids=["believed", "forged"])
async def test_who_is_perhaps_forged_is_told_of_nobody(town: Town, client: str) -> None:
    await town.group("all", "amy@corp.example", "gone@corp.example")
    async with dns.serving() as names:
        judge = Judge(town.store, Names(names.resolver), "mx.corp.example", (ip_network("127.0.0.0/8"),), _post)
        acceptance = replace(town.acceptance, judge=judge)
        found = await acceptance.find("all@corp.example", size=0, client=Client(client), sender="bob@out.example")
        with acceptance_spool(town) as spool:
            await acceptance.accept(Envelope("bob@out.example", (found,), client=Client(client)), spool)
    assert await town.kept() == {"amy": 1}
    assert [address for address, _ in await town.left()] == ["bob@out.example"] * (client == "127.0.0.1")


async def test_a_group_whose_members_are_all_gone_refuses(town: Town) -> None:
    await town.group("old", "gone@corp.example", "older@corp.example")
    await town.group("older", "gone@corp.example")
    with pytest.raises(MailboxDisabled):
        await town.send("old@corp.example")
    await town.group("all", "older@corp.example", "amy@corp.example")
    await town.send("all@corp.example")
    assert await town.kept() == {"amy": 1}


async def test_junk_to_a_group_is_junk(town: Town, watch: Watch) -> None:
    await town.group("all", "amy@corp.example", "bob@corp.example")
    await town.group("some", "zoe@out.example", "bob@corp.example")
    await town.group("others", "zoe@out.example")
    await town.forward("amy", "zoe@out.example", keeps=False)
    acceptance = town.acceptance
    with acceptance.spool() as spool:
        spool.write(make.mail())
        letter = await acceptance.letters.take(spool, spool.finish())

    async def post(to: str, sender: str = "x@out.example") -> None:
        envelope = Envelope(sender, (await acceptance.find(to, size=0, sender=sender),))
        await town.store.write(lambda tx: acceptance.posting.post(tx, letter, envelope, role=FolderRole.JUNK))

    await post("all@corp.example")
    await post("some@corp.example")
    assert [len(await town.mails(who, "Junk")) for who in ("amy", "bob")] == [1, 2]
    assert (await town.kept(), await town.left(), await town.told()) == ({}, [], [])
    # What nobody here would keep is refused.
    back = acceptance.posting.srs.forward("li@out.example", domain="corp.example", now=watch.now)
    for to, sender in (("others@corp.example", "x@out.example"), (back, "")):
        with pytest.raises(MailboxDisabled):
            await post(to, sender)


@pytest.mark.parametrize("local", [True, False], ids=["ours", "theirs"])
async def test_ten_thousand_members(store: Store, tmp_path: Path, *, local: bool) -> None:
    people = [f"p{number}" for number in range(300 if local else 1)]
    town = await town_.found(store, tmp_path, *people)
    domain = "corp.example" if local else "out.example"
    await town.group("all", *(f"p{number}@{domain}" for number in range(groups.MEMBERS_MOST)))
    began = time.monotonic()
    await town.send("all@corp.example")
    assert time.monotonic() - began < 60
    assert len(await town.kept()) == (len(people) if local else 0)
    # Of those who are gone the sender is told, in few words.
    left = await town.left()
    assert len(left) == (1 if local else groups.MEMBERS_MOST)
    assert not local or left[0][1]["size"] < 64 * 1024


async def allowed(town: Town, sender: str, *, known: bool) -> bool:
    post = town.acceptance.posting
    try:
        found = await town.store.read(
            lambda tx: post.find(tx, "list@corp.example", size=0, caller=Caller(sender, is_known=known))
        )
    except GroupRefused:
        return False
    assert isinstance(found.whom, Group)
    return True


EVERYBODY = ("amy@corp.example", "bob@corp.example", "robert@corp.example", "dave@corp.example", "zoe@out.example")
ASKED = {*EVERYBODY, "eve@out.example", "nobody@corp.example", ""}
RIGHTS = {
    # allow: who may when he is known, and who when he is not
    Allow.ANYONE: (ASKED, ASKED),
    Allow.ORGANISATION: ({"amy@corp.example", "bob@corp.example", "robert@corp.example", "dave@corp.example"}, set()),
    Allow.MEMBERS: (
        {"bob@corp.example", "robert@corp.example", "dave@corp.example", "zoe@out.example"},
        {"zoe@out.example"},
    ),
    Allow.CUSTOM: ({"amy@corp.example", "dave@corp.example", "eve@out.example"}, {"eve@out.example"}),
}


@pytest.mark.parametrize("allow", list(Allow))
async def test_who_may_send_to_a_group(town: Town, allow: Allow) -> None:
    alias = addresses.parse_new("robert@corp.example")
    await town.store.write(lambda tx: create.alias(tx, SYSTEM, town.made.mailboxes["bob"], alias))
    await town.group("inner", "dave@corp.example")
    senders = ["Amy@corp.example", "eve@out.example", "inner@corp.example"] if allow is Allow.CUSTOM else []
    to = ["robert@corp.example", "zoe@out.example", "inner@corp.example"]
    await town.group("list", *to, allow=allow, senders=senders)
    known, unknown = RIGHTS[allow]
    assert {sender for sender in ASKED if await allowed(town, sender, known=True)} == known
    # Anybody can write an address of ours on an envelope.
    assert {sender for sender in ASKED if await allowed(town, sender, known=False)} == unknown


async def _post(url: str, body: AsyncIterator[bytes], **more: Any) -> bytes:
    raise AssertionError(url, body, more)


async def test_a_trusted_host_is_believed_and_a_stranger_is_not(town: Town) -> None:
    await town.group("list", "bob@corp.example", allow=Allow.ORGANISATION)
    judge = Judge(town.store, Names(Resolver(configure=False)), "mx.corp.example", (ip_network("127.0.0.0/8"),), _post)
    acceptance = replace(town.acceptance, judge=judge)
    found = await acceptance.find("list@corp.example", size=0, client=Client("127.0.0.1"), sender="amy@corp.example")
    assert isinstance(found.whom, Group)
    for client in (Client("192.0.2.1"), None):
        with pytest.raises(GroupRefused):
            await acceptance.find("list@corp.example", size=0, client=client, sender="amy@corp.example")


async def test_forwarding_keeps_a_copy_or_not(town: Town) -> None:
    await town.forward("amy", "zoe@out.example", "bob@corp.example", "bob+x@corp.example")
    await town.forward("carol", "dave@corp.example", keeps=False)
    await town.send("amy@corp.example", "carol@corp.example")
    assert await town.kept() == {"amy": 1, "bob": 1, "dave": 1}
    [(address, content)] = await town.left()
    assert address == "zoe@out.example"
    assert content["from"].startswith("SRS0=")
    assert content["from"].endswith("=out.example=bob@corp.example")
    assert await town.is_counted()


async def test_what_our_own_people_write_keeps_its_sender(town: Town) -> None:
    await town.forward("amy", "zoe@out.example")
    await town.group("all", "yan@out.example")
    await town.send("amy@corp.example", "all@corp.example", sender="dave@corp.example")
    await town.send("amy@corp.example", "all@corp.example", sender="")
    assert [content["from"] for _, content in await town.left()] == ["dave@corp.example"] * 2 + [""] * 2


async def test_a_bounce_of_what_was_sent_on_goes_back_to_the_sender(town: Town) -> None:
    await town.forward("amy", "zoe@out.example", keeps=False)
    await town.send("amy@corp.example", sender="Bob.Li@out.example")
    [(_, content)] = await town.left()
    await town.send(content["from"], sender="")
    (_, bounce) = (await town.left())[-1]
    assert [address for address, _ in await town.left()] == ["zoe@out.example", "Bob.Li@out.example"]
    assert (bounce["from"], await town.kept()) == ("", {})
    # A bounce comes from nobody; what comes from somebody is no bounce.
    with pytest.raises(NotFound):
        await town.acceptance.find(content["from"], size=0, sender="eve@out.example")


async def test_whoever_knows_such_an_address_cannot_write_to_the_sender_without_end(town: Town, watch: Watch) -> None:
    await town.forward("amy", "zoe@out.example", keeps=False)
    await town.send("amy@corp.example", sender="li@out.example")
    await town.send("amy@corp.example", sender="yan@out.example")
    (_, content), (_, other) = await town.left()
    for _ in range(100):
        await town.send(content["from"], sender="")
    with pytest.raises(ComeAgain):
        await town.acceptance.find(content["from"].upper(), size=0)
    await town.acceptance.find(other["from"], size=0)
    watch.now += HOUR
    await town.send(content["from"], sender="")
    assert [address for address, _ in await town.left()].count("li@out.example") == 101
    watch.now += 25 * HOUR
    await town.store.write(posting.forget)
    assert await town.store.read(lambda tx: tx.all(select(schema.sent_counts))) == []


async def test_such_an_address_is_one_of_a_domain_of_ours_that_works(town: Town) -> None:
    await town.forward("amy", "zoe@out.example", keeps=False)
    await town.send("amy@corp.example")
    [(_, content)] = await town.left()
    with pytest.raises(NotFound):
        await town.acceptance.find(content["from"].replace("@corp", "@evil"), size=0)
    await town.store.write(lambda tx: domains.disable(tx, SYSTEM, "corp.example"))
    with pytest.raises(DomainNotActive):
        await town.acceptance.find(content["from"], size=0)


async def test_a_mail_for_elsewhere_is_not_taken(town: Town) -> None:
    with pytest.raises(RelayDenied):
        await town.acceptance.find("zoe@out.example", size=0, sender="")


async def test_where_forwarding_leads_nowhere_the_mail_stays(town: Town) -> None:
    await town.group("staff", "dave@corp.example", allow=Allow.MEMBERS)
    made = town.made.mailboxes
    await town.store.write(lambda tx: quota.change_status(tx, SYSTEM, made["carol"], MailboxStatus.DISABLED))
    for number, to in enumerate(("gone@corp.example", "carol@corp.example", "staff@corp.example"), 1):
        await town.forward("amy", to, keeps=False)
        await town.send("amy@corp.example")
        assert await town.kept() == {"amy": number}


async def test_who_forwards_to_a_group_needs_its_right(town: Town) -> None:
    await town.group("staff", "dave@corp.example", "amy@corp.example", allow=Allow.MEMBERS)
    await town.forward("amy", "staff@corp.example", keeps=False)
    await town.send("amy@corp.example")
    assert await town.kept() == {"dave": 1}


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("people", [("amy",), ("amy", "bob"), ("amy", "bob", "carol")])
async def test_circles_end(town: Town, *, people: tuple[str, ...], keeps: bool) -> None:
    for who, next_ in zip(people, (*people[1:], people[0]), strict=True):
        await town.forward(who, f"{next_}@corp.example", keeps=keeps)
    await town.send("amy@corp.example")
    # Where nobody keeps it the last one does.
    assert await town.kept() == (dict.fromkeys(people, 1) if keeps else {people[-1]: 1})
    assert await town.is_counted()


async def test_a_circle_beside_somebody_who_keeps_it(town: Town) -> None:
    await town.forward("amy", "bob@corp.example", keeps=False)
    await town.forward("bob", "amy@corp.example", "carol@corp.example", keeps=False)
    await town.send("amy@corp.example", "bob@corp.example", "dave@corp.example")
    assert await town.kept() == {"carol": 1, "dave": 1}


async def test_a_circle_by_way_of_others_ends(town: Town) -> None:
    await town.forward("amy", "zoe@out.example", keeps=False)
    await town.send("amy@corp.example")
    [(_, content)] = await town.left()
    back = content["prefix"].encode() + make.mail(to="amy@corp.example")
    await town.send("amy@corp.example", mail=back, sender=content["from"])
    assert (await town.kept(), len(await town.left())) == ({"amy": 1}, 1)
    # The mark says whose mail has come back: another mailbox, or another mail, is no circle.
    await town.forward("bob", "zoe@out.example", keeps=False)
    await town.send("bob@corp.example", mail=back)
    await town.send("amy@corp.example", mail=back.replace(b"<1@out.example>", b"<2@out.example>"))
    assert (await town.kept(), len(await town.left())) == ({"amy": 1}, 3)


async def test_a_group_by_way_of_a_member_elsewhere_ends(town: Town) -> None:
    await town.group("all", "amy@corp.example", "zoe@out.example")
    await town.send("all@corp.example")
    [(_, content)] = await town.left()
    back = content["prefix"].encode() + make.mail(sender="bob@out.example", to="all@corp.example")
    await town.send("all@corp.example", mail=back, sender=content["from"])
    assert (await town.kept(), len(await town.left())) == ({"amy": 1}, 1)
    await town.send("all@corp.example", "bob@corp.example", mail=back, sender=content["from"])
    assert (await town.kept(), len(await town.left())) == ({"amy": 1, "bob": 1}, 1)


async def test_a_long_chain_is_cut_and_the_mail_stays(store: Store, tmp_path: Path) -> None:
    town = await town_.found(store, tmp_path, *(f"p{number}" for number in range(40)))
    for number in range(39):
        await town.forward(f"p{number}", f"p{number + 1}@corp.example", keeps=False)
    await town.send("p0@corp.example")
    kept = await town.kept()
    assert list(kept.values()) == [1]
    assert await town.is_counted()


async def test_a_mailbox_that_is_full_by_then_keeps_it_from_all(town: Town) -> None:
    await town.forward("bob", "zoe@out.example")
    await town.reply("bob")
    found = [await town.acceptance.find(f"{who}@corp.example", size=0) for who in ("amy", "bob", "carol")]
    await town.send("carol@corp.example")
    await town.store.write(lambda tx: quota.change(tx, SYSTEM, town.made.mailboxes["carol"], 1))
    before = await town.kept()
    with acceptance_spool(town) as spool, pytest.raises(OverQuota):
        await town.acceptance.accept(Envelope("bob@out.example", tuple(found)), spool)
    assert (await town.kept(), await town.left(), await town.is_counted()) == (before, [], True)


def acceptance_spool(town: Town) -> Spool:
    spool = town.acceptance.spool()
    spool.write(make.mail(to="bob@corp.example"))
    return spool


async def test_lmtp_answers_for_each_and_each_has_it_once(town: Town) -> None:
    await town.group("all", "amy@corp.example", "bob@corp.example")
    to = ("all@corp.example", "amy@corp.example", "bob+x@corp.example")
    assert await make.delivered_each(town.acceptance, make.mail(), *to) == dict.fromkeys(to, "")
    assert await town.kept() == {"amy": 1, "bob": 1}


async def test_it_is_known_at_rcpt_whether_there_are_rules(town: Town) -> None:
    found = await town.acceptance.find("amy@corp.example", size=0)
    assert found.whom == Local(town.made.mailboxes["amy"], has_rules=False)
    await town.forward("amy", "bob@corp.example")
    again = await town.acceptance.find("amy@corp.example", size=0)
    assert again.whom == Local(town.made.mailboxes["amy"], has_rules=True)
    await town.forward("amy")
    assert await town.acceptance.find("amy@corp.example", size=0) == found

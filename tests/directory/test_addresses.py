# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""One name-space: an address has one spelling that counts, and one holder."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mailroom.core.errors import AddressTaken, AliasLimit, InvalidAddress, NotFound
from mailroom.directory import addresses, domains
from mailroom.directory.addresses import Address, parse, parse_new
from mailroom.directory.model import SYSTEM, AddressRole, DomainState
from mailroom.mailboxes import create
from mailroom.storage.ports import Store, Tx
from tests import make


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("amy@corp.example", "amy@corp.example"),
        (" Amy.Li@Corp.EXAMPLE. ", "amy.li@corp.example"),
        ("Straße@corp.example", "strasse@corp.example"),
        ("rene\u0301@corp.example", "rené@corp.example"),
        ("J\u030c@corp.example", "\u01f0@corp.example"),
        ("\u01f0@corp.example", "\u01f0@corp.example"),
        ("王@例子.测试", "王@xn--fsqu00a.xn--0zwm56d"),
        ("amy@Bücher.example", "amy@xn--bcher-kva.example"),
        ("amy@xn--BCHER-KVA.example", "amy@xn--bcher-kva.example"),
        ('"amy"@corp.example', "amy@corp.example"),
        ('"a\\@b"@corp.example', "a@b@corp.example"),
        ('"amy li"@corp.example', "amy li@corp.example"),
        ("amy+news@corp.example", "amy+news@corp.example"),
        ("o'neil=x@corp.example", "o'neil=x@corp.example"),
        (f"{'a' * 64}@corp.example", f"{'a' * 64}@corp.example"),
    ],
)
def test_an_address_has_one_canonical_form(written: str, canonical: str) -> None:
    assert str(parse(written)) == canonical


@pytest.mark.parametrize(
    "written",
    [
        "",
        "amy",
        "@corp.example",
        "amy@",
        "amy@localhost",
        "amy@corp..example",
        "amy@-corp.example",
        "amy@[127.0.0.1]",
        "amy@corp example",
        f"{'a' * 65}@corp.example",
        f"{'王' * 22}@corp.example",
        f"amy@{'a' * 64}.example",
        f"amy@{'.'.join(['a' * 60] * 5)}.example",
        "a\0my@corp.example",
        "a\r\nmy@corp.example",
        "a\u202emy@corp.example",
        "amy@corp.exa\tmple",
        "amy\ud800@corp.example",
    ],
)
def test_what_is_no_address_is_refused_in_its_own_words(written: str) -> None:
    with pytest.raises(InvalidAddress) as refused:
        parse(written)
    assert refused.value.about == {"address": written}


@pytest.mark.parametrize(
    "written",
    ["a+b@corp.example", '"a b"@corp.example', ".a@corp.example", "a.@corp.example", "a..b@corp.example",
     "a/b@corp.example", "a@b@corp.example", "_a@corp.example", "a*@corp.example", "%@corp.example"],
)  # fmt: skip  # a list of one-liners
def test_new_addresses_are_plainer_than_those_that_mail_is_sent_to(written: str) -> None:
    parse(written)
    with pytest.raises(InvalidAddress):
        parse_new(written)


@given(some.text(max_size=30), some.sampled_from(["corp.example", "BÜCHER.example", "例子.测试"]))
def test_a_new_address_stays_as_it_is_when_read_again(local: str, domain: str) -> None:
    try:
        address = parse_new(f"{local}@{domain}")
    except InvalidAddress:
        return
    assert parse_new(str(address)) == address
    assert address.untagged == address


@given(some.text())
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        assert isinstance(parse(text), Address)
    except InvalidAddress:
        return


def taken_by(tx: Tx, address: str) -> str:
    """Who holds an address, in the words of the refusal; "" when it is free."""
    lease = addresses.resolve(tx, parse("amy@corp.example"))
    assert lease is not None
    assert lease.mailbox_id is not None
    try:
        addresses.take(tx, parse_new(address), lease.mailbox_id, AddressRole.ALIAS)
    except AddressTaken as refused:
        return str(refused.about["by"])
    return ""


async def test_an_address_has_one_holder_whatever_it_is(store: Store) -> None:
    organisation = await make.organisation(store, public={"sales": ["amy"]})
    bob = organisation.mailboxes["bob"]
    await store.write(lambda tx: create.alias(tx, SYSTEM, bob, parse_new("robert@corp.example")))
    for address, by in {
        "bob@corp.example": "member",
        "BOB@corp.example": "member",
        "robert@corp.example": "alias",
        "sales@corp.example": "public",
        "free@corp.example": "",
    }.items():
        assert await store.write(lambda tx, address=address: taken_by(tx, address)) == by  # type: ignore[misc]  # a lambda's default


async def test_a_mailbox_answers_to_five_aliases_and_no_more(store: Store) -> None:
    amy = (await make.organisation(store)).mailboxes["amy"]
    for number in range(5):
        await store.write(lambda tx, n=number: create.alias(tx, SYSTEM, amy, parse_new(f"a{n}@corp.example")))  # type: ignore[misc]  # a lambda's default
    with pytest.raises(AliasLimit, match=r"amy@corp\.example has 5"):
        await store.write(lambda tx: create.alias(tx, SYSTEM, amy, parse_new("a6@corp.example")))


async def test_a_released_alias_is_free_and_nobody_elses_can_be_released(store: Store) -> None:
    organisation = await make.organisation(store)
    amy, bob = organisation.mailboxes["amy"], organisation.mailboxes["bob"]
    alias = parse_new("a@corp.example")
    await store.write(lambda tx: create.alias(tx, SYSTEM, amy, alias))
    for mailbox_id, address in [(bob, alias), (amy, parse_new("amy@corp.example")), (amy, parse_new("b@corp.example"))]:
        with pytest.raises(NotFound):
            await store.write(lambda tx, m=mailbox_id, a=address: addresses.release(tx, a, m))  # type: ignore[misc]  # a lambda's default
    await store.write(lambda tx: addresses.release(tx, alias, amy))
    assert await store.read(lambda tx: addresses.resolve(tx, alias)) is None
    await store.write(lambda tx: create.alias(tx, SYSTEM, bob, alias))
    assert await store.read(lambda tx: addresses.aliases(tx, bob)) == ["a@corp.example"]


async def test_an_address_needs_a_domain_that_is_there(store: Store) -> None:
    amy = (await make.organisation(store)).mailboxes["amy"]
    with pytest.raises(NotFound, match=r"domain other\.example"):
        await store.write(lambda tx: create.alias(tx, SYSTEM, amy, parse_new("amy@other.example")))


async def test_a_tag_leads_to_the_address_without_it(store: Store) -> None:
    organisation = await make.organisation(store)

    def holder(tx: Tx, address: str) -> object:
        lease = addresses.resolve(tx, parse(address))
        return lease and (lease.address, lease.mailbox_id, lease.domain_state)

    found = ("amy@corp.example", organisation.mailboxes["amy"], DomainState.ACTIVE)
    for address, expected in {
        "amy@corp.example": found,
        "Amy+a+b@corp.example": found,
        "amy+@corp.example": found,
        "+amy@corp.example": None,
        "nobody@corp.example": None,
        "amy@other.example": None,
    }.items():
        assert await store.read(lambda tx, address=address: holder(tx, address)) == expected  # type: ignore[misc]  # a lambda's default


async def test_two_domains_are_two_name_spaces(store: Store) -> None:
    organisation = await make.organisation(store)
    await store.write(lambda tx: domains.add(tx, SYSTEM, organisation.id, "shop.example"))
    bob = organisation.mailboxes["bob"]
    await store.write(lambda tx: create.alias(tx, SYSTEM, bob, parse_new("amy@shop.example")))
    assert await store.read(lambda tx: addresses.primary(tx, bob)) == "bob@corp.example"

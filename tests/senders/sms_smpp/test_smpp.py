# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Messages over SMPP, against a message centre that reads each PDU by itself."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import trustme

from mailroom.core.clock import SECOND
from mailroom.core.errors import EgressRefused, InvalidValue
from mailroom.core.secrets import Secret
from mailroom.sandbox.behaviour import Behaviour, Does
from mailroom.sandbox.phones import Fate
from mailroom.senders.contract import News, Outcome, Refused, Reported, Scope, Sent, TryLater, Unknown, Why
from mailroom.senders.egress import Egress
from mailroom.senders.sms_smpp import errors
from tests.senders.peers import free_port
from tests.senders.sms_smpp.conftest import PHONE, Hall

LONG = "您有新邮件😀" * 25


async def test_a_message_arrives(hall: Hall) -> None:
    assert await hall.send("New mail: [1] €5", account=hall.account(source_addr="Corp", source_ton="5")) == Sent(
        "A0FA", "0x00"
    )
    (arrival,) = hall.shown
    assert (arrival.to, arrival.text, arrival.title) == (PHONE, "New mail: [1] €5", "Corp")


@pytest.mark.parametrize("long", ["udh", "sar", "payload"])
@pytest.mark.parametrize("text", [LONG, "x" * 300 + "€" * 20], ids=["UCS-2", "GSM"])
async def test_a_long_message_arrives_whole(hall: Hall, long: str, text: str) -> None:
    assert isinstance(await hall.send(text, account=hall.account(long=long)), Sent)
    assert [one.text for one in hall.shown] == [text]
    assert hall.double.heard.count("submit_sm") == (1 if long == "payload" else 3)


async def test_the_connection_stays_open(hall: Hall) -> None:
    for _ in range(5):
        await hall.send()
    assert hall.double.binds == 1


async def test_many_at_once_keep_to_the_window(hall: Hall) -> None:
    hall.double.turn(window=3)
    hall.double.script.begin(Behaviour(at="submit_sm", delay=10, times=40))
    account = hall.account(window="3")
    outcomes = await asyncio.gather(*(hall.send(f"n{at}", account=account) for at in range(40)))
    assert all(isinstance(outcome, Sent) for outcome in outcomes)
    assert sorted(one.text for one in hall.shown) == sorted(f"n{at}" for at in range(40))


async def test_a_window_that_overflows_is_throttled(hall: Hall) -> None:
    hall.double.turn(window=1)
    hall.double.script.begin(Behaviour(at="submit_sm", delay=50, times=5))
    outcomes = await asyncio.gather(*(hall.send(f"n{at}") for at in range(5)))
    assert {type(outcome) for outcome in outcomes} == {Sent, TryLater}


async def test_other_settings_are_another_connection(hall: Hall) -> None:
    await hall.send()
    await hall.send(account=hall.account(window="2"))
    assert hall.double.binds == 2
    assert hall.double.heard[-3:] == ["unbind", "bind_transceiver", "submit_sm"]


async def test_what_is_under_way_is_awaited_before_settings_change(hall: Hall) -> None:
    await hall.send()
    hall.double.script.begin(Behaviour(at="submit_sm", delay=300))
    slow = asyncio.create_task(hall.send("slow"))
    await hall.until(lambda: hall.double.heard.count("submit_sm") == 2)
    assert isinstance(await hall.send(account=hall.account(window="2")), Sent)
    assert isinstance(await slow, Sent)


async def test_the_end_is_an_unbind(hall: Hall) -> None:
    await hall.send()
    await hall.kind.close()
    assert hall.double.heard[-1] == "unbind"


# --- receipts


@pytest.mark.parametrize("receipts", ["text", "tlv", "both"])
@pytest.mark.parametrize(
    ("fate", "news", "word"), [("arrived", News.ARRIVED, "DELIVRD"), ("lost", News.LOST, "UNDELIV")]
)
async def test_a_receipt_is_heard(hall: Hall, receipts: str, fate: str, news: News, word: str) -> None:
    hall.double.turn(receipts=receipts)
    sent = await hall.send()
    await hall.double.press(hall.shown[0], Fate(fate))
    error = "000" if fate == "arrived" else "017"
    assert await hall.told() == [Reported(sent.provider_id, news, word, f"err:{error}", PHONE)]  # type: ignore[union-attr]  # or the test fails
    assert hall.heard[0][0] == "centre"


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize(
    ("ids", "receipt_ids", "setting", "provider_id"),
    [
        ("hex", "hex", "same", "A0FA"),
        ("decimal", "decimal", "same", "41210"),
        ("hex", "decimal", "same", "A0FA"),
        ("decimal", "hex", "same", "41210"),
        ("hex", "decimal", "decimal", "41210"),
        ("decimal", "hex", "hexadecimal", "a0fa"),
    ],
)
async def test_both_spellings_of_an_id(
    hall: Hall, ids: str, receipt_ids: str, setting: str, provider_id: str, *, early: bool
) -> None:
    hall.double.turn(ids=ids, receipt_ids=receipt_ids, reports="arrived", early=early)
    hall.double.script.begin(Behaviour(at="submit_sm", delay=20))
    sent = await hall.send(account=hall.account(receipt_ids=setting))
    assert sent == Sent(provider_id, "0x00")
    assert [one.provider_id for one in await hall.told()] == [provider_id]


@pytest.mark.parametrize(
    ("ids", "receipt_ids", "setting"), [("hex", "decimal", "decimal"), ("decimal", "hex", "hexadecimal")]
)
async def test_a_receipt_after_a_new_start(hall: Hall, ids: str, receipt_ids: str, setting: str) -> None:
    hall.double.turn(ids=ids, receipt_ids=receipt_ids)
    account = hall.account(receipt_ids=setting)
    sent = await hall.send(account=account)
    await hall.kind.close()
    await hall.send("another", account=account, to="+8613900000002")
    await hall.double.press(hall.shown[0], Fate.ARRIVED)
    assert [Sent(one.provider_id, "0x00") for one in await hall.told()] == [sent]


@pytest.mark.parametrize("early", [False, True])
async def test_the_receipt_of_a_long_message_is_that_of_all_its_parts(hall: Hall, *, early: bool) -> None:
    hall.double.turn(reports="arrived", early=early)
    sent = await hall.send(LONG)
    short = await hall.send()
    assert [Sent(one.provider_id, "0x00") for one in await hall.told(2)] == [sent, short]
    assert len(hall.heard) == 2


async def test_one_part_is_not_the_message(hall: Hall) -> None:
    sent = await hall.send(LONG)
    for at in range(3):
        assert hall.heard == []
        await hall.double.report(0xA0FA + at, PHONE[1:], "", Fate.ARRIVED)
    assert [Sent(one.provider_id, "0x00") for one in await hall.told()] == [sent]


async def test_one_lost_part_is_a_lost_message(hall: Hall) -> None:
    sent = await hall.send(LONG)
    await hall.double.press(hall.shown[0], Fate.LOST)
    assert [(Sent(one.provider_id, "0x00"), one.news) for one in await hall.told()] == [(sent, News.LOST)]


async def test_on_its_way_is_no_news(hall: Hall) -> None:
    await hall.send()
    await hall.double.press(hall.shown[0], Fate.SENT)
    await hall.double.press(hall.shown[0], Fate.ARRIVED)
    assert [one.news for one in await hall.told()] == [News.ARRIVED]


async def test_a_receipt_that_cannot_be_kept_is_wanted_again(hall: Hall) -> None:
    sent = await hall.send()
    hall.deaf = 1
    with pytest.raises(ConnectionError, match="0x64"):
        await hall.double.press(hall.shown[0], Fate.ARRIVED)
    await hall.double.press(hall.shown[0], Fate.ARRIVED)
    assert [Sent(one.provider_id, "0x00") for one in await hall.told()] == [sent]


# --- what goes wrong


@pytest.mark.parametrize("status", sorted({*errors._LATER, *errors._ACCOUNT, *errors._REFUSED, 0x03, 0x33, 0x4FF}))
async def test_every_status_of_a_message(hall: Hall, status: int) -> None:
    hall.double.script.begin(Behaviour(at="submit_sm", status=status))
    outcome = await hall.send()
    assert outcome == errors.of_submit(status)
    assert not hall.shown
    assert isinstance(await hall.send(), Sent)
    assert hall.double.binds == 1


@pytest.mark.parametrize(
    ("status", "kind", "scope", "why"),
    [
        (0x58, TryLater, Scope.SENDER, Why.OTHER),
        (0x14, TryLater, Scope.SENDER, Why.OTHER),
        (0x0A, TryLater, Scope.SENDER, Why.ACCOUNT),
        (0x0B, Refused, Scope.RECIPIENT, Why.GONE),
        (0x01, Refused, Scope.RECIPIENT, Why.CONTENT),
        (0x4FF, Refused, Scope.RECIPIENT, Why.OTHER),
    ],
)
def test_rows_of_the_table(status: int, kind: type[TryLater | Refused], scope: Scope, why: Why) -> None:
    found = errors.of_submit(status)
    assert isinstance(found, kind)
    assert (found.scope, found.why) == (scope, why)


@pytest.mark.parametrize(("changes", "code"), [({"password": "wrong"}, "0x0E"), ({"system_id": "somebody"}, "0x0F")])
async def test_a_bind_that_is_refused(hall: Hall, changes: dict[str, str], code: str) -> None:
    outcome = await hall.send(account=hall.account(**changes))
    assert isinstance(outcome, TryLater)
    assert (outcome.code, outcome.scope, outcome.why) == (code, Scope.SENDER, Why.ACCOUNT)
    # It is not asked again and again: centres lock those out who try.
    await asyncio.gather(*(hall.send(account=hall.account(**changes)) for _ in range(10)))
    assert hall.double.heard == ["bind_transceiver"]
    assert isinstance(await hall.send(), Sent)


@pytest.mark.parametrize("does", [Does.RESET, Does.GARBAGE, Does.HANG])
async def test_a_bind_that_is_not_answered(hall: Hall, does: Does) -> None:
    hall.hurry(SECOND // 2)
    hall.double.script.begin(Behaviour(at="bind", does=does))
    outcome = await hall.send()
    assert isinstance(outcome, TryLater)
    assert (outcome.scope, outcome.why) == (Scope.SENDER, Why.OTHER)


async def test_nobody_there(hall: Hall) -> None:
    outcome = await hall.send(account=hall.account(where=f"127.0.0.1:{free_port()}"))
    assert isinstance(outcome, TryLater)
    assert (outcome.code, outcome.scope) == ("connect", Scope.SENDER)


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("does", [Does.RESET, Does.GARBAGE, Does.HANG])
async def test_a_lost_answer_is_in_doubt(hall: Hall, does: Does, *, taken: bool) -> None:
    hall.hurry(SECOND)
    hall.double.script.begin(Behaviour(at="submit_sm", does=does, taken=taken))
    assert isinstance(await hall.send(), Unknown)
    assert len(hall.shown) == taken
    hall.hurry(10 * SECOND)
    assert isinstance(await hall.send("next"), Sent)


async def test_a_link_that_breaks_leaves_the_whole_window_in_doubt(hall: Hall) -> None:
    hall.double.script.begin(*[Behaviour(at="submit_sm", does=Does.HANG, taken=True)] * 4, Behaviour(does=Does.RESET))
    outcomes = await asyncio.gather(*(hall.send(f"n{at}") for at in range(5)))
    assert {type(outcome) for outcome in outcomes} == {Unknown}
    assert isinstance(await hall.send("next"), Sent)
    assert hall.double.binds == 2


async def test_half_a_message_is_in_doubt(hall: Hall) -> None:
    hall.double.script.begin(Behaviour(at="submit_sm", delay=1), Behaviour(at="submit_sm", status=0x58))
    assert await hall.send(LONG) == Unknown("0x58", "of 3 parts the centre had 2 and confirmed 1: throttled")


async def test_the_other_side_takes_leave(hall: Hall) -> None:
    await hall.send()
    await hall.double.unbind()
    assert isinstance(await hall.send(), Sent)
    assert hall.double.binds == 2


async def test_a_silent_link_is_given_up(hall: Hall) -> None:
    hall.kind = replace(hall.kind, way=replace(hall.kind.way, enquire=0.05))
    await hall.send()
    hall.double.script.begin(Behaviour(at="enquire_link", does=Does.RESET))
    await hall.until(lambda: hall.double.binds == 2)
    assert hall.double.heard.count("enquire_link") >= 1


async def test_numbers(hall: Hall) -> None:
    hall.double.turn(gone=(PHONE,))
    assert await hall.send() == Refused("0x0B", "invalid destination address", why=Why.GONE)
    refused = await hall.send(to="nobody")
    assert isinstance(refused, Refused)
    assert refused.why is Why.GONE


async def test_addresses_that_may_not_be_reached(hall: Hall) -> None:
    hall.kind = replace(hall.kind, way=replace(hall.kind.way, egress=Egress()))
    with pytest.raises(EgressRefused):
        hall.kind.check(hall.account().settings, {})
    outcome = await hall.send()
    assert isinstance(outcome, TryLater)
    assert (outcome.code, outcome.why) == ("egress", Why.ACCOUNT)
    assert hall.double.heard == []


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"host": "a b"}, "host: must be a name or an address"),
        ({"port": "65536"}, "port: must be a number from 1 to 65535"),
        ({"window": "11"}, "window: must be a number from 1 to 10"),
        ({"system_id": "x" * 16}, "system_id: must be at most 15 characters of ASCII"),
        ({"source_addr": "公司"}, "source_addr: must be at most 20 characters of ASCII"),
        ({"long": "csms"}, "long: must be one of"),
    ],
)
def test_settings_that_cannot_work(hall: Hall, settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidValue, match=complaint):
        hall.kind.check(dict(hall.account().settings) | settings, {})


def test_a_password_is_ascii(hall: Hall) -> None:
    with pytest.raises(InvalidValue, match="password: must be at most 64 characters of ASCII"):
        hall.kind.check(hall.account().settings, {"password": Secret("密码")})


# --- TLS


@contextlib.asynccontextmanager
async def in_tls(where: str, authority: trustme.CA) -> AsyncIterator[str]:
    """The same centre behind TLS, by another address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    host, _, port = where.rpartition(":")

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while octets := await reader.read(4096):
                writer.write(octets)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner = await asyncio.open_connection(host, int(port))
        await asyncio.gather(pump(reader, inner[1]), pump(inner[0], writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_tls_with_a_certificate_that_we_trust(hall: Hall) -> None:
    authority, trust = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trust)
    hall.kind = replace(hall.kind, way=replace(hall.kind.way, trust=trust))
    async with in_tls(hall.double.where, authority) as where:
        assert isinstance(await hall.send(account=hall.account(where=where, tls="yes")), Sent)
        await hall.kind.close()


async def test_tls_with_a_certificate_of_anybody(hall: Hall) -> None:
    async with in_tls(hall.double.where, trustme.CA()) as where:
        outcome = await hall.send(account=hall.account(where=where, tls="yes"))
    assert isinstance(outcome, TryLater)
    assert (outcome.code, outcome.why) == ("tls", Why.ACCOUNT)
    assert hall.double.heard == []


# --- whatever happens


@pytest.mark.parametrize("seed", range(4))
async def test_no_message_is_sent_twice(hall: Hall, seed: int) -> None:
    hall.hurry(3 * SECOND)
    chance = random.Random(seed)
    hall.double.script.begin(
        *(
            Behaviour(
                does=chance.choice([Does.ANSWER, Does.RESET, Does.GARBAGE]),
                status=chance.choice([0x58, 0x14, 0x08]),
                taken=False,
                at="submit_sm",
            )
            if chance.random() < 0.5
            else Behaviour(does=Does.RESET, taken=True, at="submit_sm")
            if chance.random() < 0.3
            else Behaviour(delay=1, at="submit_sm")
            for _ in range(30)
        )
    )

    async def one(at: int) -> Outcome:
        outcome = await hall.send(f"n{at}")
        for _ in range(3):
            if not isinstance(outcome, TryLater):
                break
            outcome = await hall.send(f"n{at}")
        return outcome

    outcomes = await asyncio.gather(*(one(at) for at in range(12)))
    shown = Counter(arrival.text for arrival in hall.shown)
    assert not shown or max(shown.values()) == 1
    for at, outcome in enumerate(outcomes):
        if isinstance(outcome, Sent):
            assert shown[f"n{at}"] == 1
        elif not isinstance(outcome, Unknown):
            assert shown[f"n{at}"] == 0

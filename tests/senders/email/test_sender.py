# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A mail finds its way to the right server, is handed over there, and what the server says is understood."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from mailroom.core.errors import EgressRefused, InvalidValue, Unavailable
from mailroom.core.secrets import Secret
from mailroom.senders.contract import Account, Refused, Scope, Sent, TryLater
from mailroom.senders.egress import Egress
from tests.senders.email.conftest import CODE, MAIL, World
from tests.senders.smtp_double import DROP, EXTENSIONS, HANG, Double, serving


async def test_a_mail_is_handed_over_as_it_is(world: World) -> None:
    async with serving(Double(), port=world.port) as double:
        outcome = await world.send()
    [mail] = double.mails
    assert isinstance(outcome, Sent)
    assert (outcome.code, outcome.provider_id) == ("250", outcome.text)
    assert outcome.text.startswith("2.0.0 ok: queued as 1 (mx1.out.example [127.0.0.1]")
    assert mail.octets == CODE + MAIL
    assert mail.mail == f"MAIL FROM:<amy@corp.example> SIZE={len(CODE + MAIL)} RET=HDRS ENVID=msg_1"
    assert mail.rcpt == ["RCPT TO:<bob@out.example> ORCPT=rfc822;bob@out.example"]
    assert double.heard[0] == "EHLO mx.corp.example"


async def test_a_server_that_knows_nothing_gets_the_same_mail(world: World) -> None:
    double = Double({"EHLO": ["502 5.5.1 what?"]}, extensions=())
    async with serving(double, port=world.port):
        outcome = await world.send()
    assert isinstance(outcome, Sent)
    assert double.heard == [
        "EHLO mx.corp.example",
        "HELO mx.corp.example",
        "MAIL FROM:<amy@corp.example>",
        "RCPT TO:<bob@out.example>",
        "DATA",
    ]


async def test_large_mails_pass_whole(world: World) -> None:
    world.octets = b"X: y\r\n\r\n" + b"".join(b".%d\r\n" % number for number in range(20_000)) + b"no end"
    async with serving(Double(), port=world.port) as double:
        assert isinstance(await world.send(), Sent)
    assert double.mails[0].octets == CODE + world.octets + b"\r\n"


SENDER_FIRST = {"421 4.3.2 going down": TryLater, "450 4.2.0 greylisted": TryLater, "550 5.1.1 no such user": Refused}


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "."])
@pytest.mark.parametrize("answer", SENDER_FIRST)
@pytest.mark.parametrize("pipelining", [True, False])
async def test_a_no_is_kept_as_it_was_said(world: World, verb: str, answer: str, *, pipelining: bool) -> None:
    double = Double({verb: [answer]}, extensions=EXTENSIONS if pipelining else EXTENSIONS[1:])
    async with serving(double, port=world.port):
        outcome = await world.send()
        assert isinstance(outcome, SENDER_FIRST[answer])
        assert outcome.code == answer[:3]
        assert outcome.text.startswith(answer[4:])
        assert isinstance(outcome, Refused | TryLater)
        assert outcome.scope is Scope.RECIPIENT
        assert isinstance(await world.send(), Sent)  # the connection, if it is kept, is fit for another mail
    assert len(double.mails) == 1


async def test_a_lost_answer_is_no_success(world: World) -> None:
    async with serving(Double({".": [DROP]}), port=world.port):
        outcome = await world.send()
    assert isinstance(outcome, TryLater)
    assert "may have arrived" in outcome.text


async def test_connections_are_used_again(world: World) -> None:
    async with serving(Double(), port=world.port) as double:
        for _ in range(3):
            assert isinstance(await world.send(), Sent)
        assert double.connections == 1


async def test_a_connection_that_was_closed_meanwhile_is_replaced(world: World) -> None:
    double = Double({"MAIL": ["250 ok", "421 4.4.2 idle for too long", "250 ok", DROP]})
    async with serving(double, port=world.port):
        for _ in range(3):
            assert isinstance(await world.send(), Sent)
    assert double.connections == 3


async def test_no_more_connections_than_a_server_can_bear(world: World) -> None:
    async with serving(Double(), port=world.port) as double:
        await asyncio.gather(*(world.send() for _ in range(60)))
        assert len(double.mails) == 60
        assert double.connections <= 20


class TestWhereTo:
    async def test_the_best_server_first_and_the_next_when_it_is_away(self, world: World) -> None:
        world.names.put("out.example", "MX", "20 mx2.out.example.", "10 mx1.out.example.", "30 mx3.out.example.")
        for number in (2, 3):
            world.names.put(f"mx{number}.out.example", "A", f"127.0.0.{number}")
        async with AsyncExitStack() as stack:
            doubles = [
                await stack.enter_async_context(serving(Double(), host=f"127.0.0.{number}", port=world.port))
                for number in (2, 3)
            ]
            assert isinstance(await world.send(), Sent)
            assert [len(double.mails) for double in doubles] == [1, 0]

    @pytest.mark.parametrize("greeting", ["421 4.3.2 busy", "554 5.7.1 go away", "450 not now", DROP, "SSH-2.0-x"])
    async def test_the_next_server_when_the_first_one_sends_us_away(self, world: World, greeting: str) -> None:
        world.names.put("out.example", "MX", "20 mx2.out.example.", "10 mx1.out.example.")
        world.names.put("mx2.out.example", "A", "127.0.0.2")
        async with (
            serving(Double({"CONNECT": [greeting]}), port=world.port),
            serving(Double(), host="127.0.0.2", port=world.port) as second,
        ):
            assert isinstance(await world.send(), Sent)
        assert len(second.mails) == 1

    async def test_equal_preferences_share_the_work(self, world: World) -> None:
        world.names.put("out.example", "MX", *(f"10 mx{number}.out.example." for number in (1, 2)))
        world.names.put("mx2.out.example", "A", "127.0.0.2")
        async with (
            serving(Double(), port=world.port) as one,
            serving(Double(), host="127.0.0.2", port=world.port) as two,
        ):
            for _ in range(40):
                assert isinstance(await world.send(), Sent)
        assert one.mails
        assert two.mails

    async def test_ipv6_and_ipv4_are_both_tried(self, world: World) -> None:
        world.names.put("mx1.out.example", "AAAA", "::1")
        async with serving(Double(), port=world.port) as four:
            assert isinstance(await world.send(), Sent)
            assert len(four.mails) == 1
        await world.kind.close()
        world.kind._down._values.clear()
        async with serving(Double(), host="::1", port=world.port) as six:
            assert isinstance(await world.send(), Sent)
            assert len(six.mails) == 1

    async def test_a_domain_without_mx_is_its_own_server(self, world: World) -> None:
        world.names.put("bare.example", "A", "127.0.0.1")
        world.names.put("alias.example", "CNAME", "out.example.")
        async with serving(Double(), port=world.port) as double:
            assert isinstance(await world.send("bob@bare.example"), Sent)
            assert isinstance(await world.send("bob@alias.example"), Sent)
            assert isinstance(await world.send("bob@[127.0.0.1]"), Sent)
        assert len(double.mails) == 3

    async def test_internationalised_domains_are_looked_up(self, world: World) -> None:
        world.names.put("xn--bcher-kva.example", "A", "127.0.0.1")
        async with serving(Double(), port=world.port) as double:
            assert isinstance(await world.send("bob@Bücher.example"), Sent)
        assert double.mails[0].rcpt == ["RCPT TO:<bob@xn--bcher-kva.example> ORCPT=rfc822;bob@xn--bcher-kva.example"]

    @pytest.mark.parametrize(
        ("records", "code", "status"),
        [
            ({}, "550", "5.1.2"),
            ({"MX": ["0 ."]}, "556", "5.1.10"),
            ({"TXT": ['"nothing"']}, "550", "5.4.4"),
            ({"MX": ["10 gone.example."]}, "550", "5.1.2"),
            ({"MX": ["10 mx.corp.example."]}, "554", "5.4.6"),
            ({"MX": ["10 mx.corp.example.", "10 mx1.out.example."]}, "554", "5.4.6"),
            ({"A": ["10.0.0.1"]}, "550", "5.4.4"),
        ],
    )
    async def test_a_way_that_leads_nowhere_is_refused(
        self, world: World, records: dict[str, list[str]], code: str, status: str
    ) -> None:
        for kind, texts in records.items():
            world.names.put("dead.example", kind, *texts)
        outcome = await world.send("bob@dead.example")
        assert isinstance(outcome, Refused)
        assert (outcome.code, outcome.text[: len(status)]) == (code, status)

    async def test_we_are_the_second_best(self, world: World) -> None:
        world.names.put("out.example", "MX", "10 mx1.out.example.", "20 mx.corp.example.", "30 mx3.out.example.")
        async with serving(Double(), port=world.port) as double:
            assert isinstance(await world.send(), Sent)
        assert len(double.mails) == 1

    async def test_a_server_that_is_ourselves_is_a_loop(self, world: World) -> None:
        async with serving(Double({"CONNECT": ["220 MX.corp.example ESMTP"]}), port=world.port):
            outcome = await world.send()
        assert isinstance(outcome, Refused)
        assert outcome.text.startswith("5.4.6")

    @pytest.mark.parametrize("fault", ["broken", "silent"])
    async def test_without_an_answer_of_the_dns_later_may_do(self, world: World, fault: str) -> None:
        getattr(world.names, fault).add("out.example")
        outcome = await world.send()
        assert isinstance(outcome, TryLater)
        assert outcome.text.startswith("4.4.3")

    async def test_private_addresses_need_to_be_allowed(self, world: World) -> None:
        object.__setattr__(world.kind, "egress", Egress())
        async with serving(Double(), port=world.port) as double:
            outcome = await world.send()
        assert isinstance(outcome, Refused)
        assert "egress.allow" in outcome.text
        assert double.connections == 0

    async def test_a_server_that_is_down_is_remembered(self, world: World) -> None:
        first = await world.send()
        async with serving(Double(), port=world.port) as double:
            second = await world.send()
        assert isinstance(first, TryLater)
        assert first.text.endswith("does not answer (Connection refused)")
        assert (second.text, double.connections) == (first.text, 0)


class TestWhatItCannotTake:
    @pytest.mark.parametrize(
        ("extensions", "needed", "status"),
        [
            (("SIZE 10",), "", "5.3.4"),
            (("SIZE",), "eight_bit", "5.6.3"),
            (("8BITMIME",), "utf8", "5.6.7"),
        ],
    )
    async def test_is_refused_before_it_is_sent(
        self, world: World, extensions: tuple[str, ...], needed: str, status: str
    ) -> None:
        async with serving(Double(extensions=extensions), port=world.port) as double:
            outcome = await world.send(utf8=needed == "utf8", eight_bit=needed == "eight_bit")
        assert isinstance(outcome, Refused)
        assert outcome.text.startswith(status)
        assert not any(line.startswith("MAIL") for line in double.heard)

    async def test_what_it_can_take_is_announced(self, world: World) -> None:
        async with serving(Double(extensions=("8BITMIME", "SMTPUTF8")), port=world.port) as double:
            assert isinstance(await world.send("用户@out.example", utf8=True, eight_bit=True), Sent)
        assert double.mails[0].mail == "MAIL FROM:<amy@corp.example> BODY=8BITMIME SMTPUTF8"
        assert double.mails[0].rcpt == ["RCPT TO:<用户@out.example>"]

    async def test_what_the_sender_asked_for_is_passed_on(self, world: World) -> None:
        async with serving(Double(), port=world.port) as double:
            outcome = await world.send(notify=("SUCCESS", "FAILURE"), ret="FULL", envid="QQ314159")
        assert isinstance(outcome, Sent)
        assert outcome.told
        assert double.mails[0].mail.endswith("RET=FULL ENVID=QQ314159")
        assert "NOTIFY=SUCCESS,FAILURE" in double.mails[0].rcpt[0]

    @pytest.mark.parametrize(("notify", "told"), [(("SUCCESS",), False), (("FAILURE",), True), ((), True)])
    async def test_who_asked_to_hear_of_success_hears_it_from_us_when_the_server_tells_nobody(
        self, world: World, notify: tuple[str, ...], *, told: bool
    ) -> None:
        async with serving(Double(extensions=()), port=world.port):
            outcome = await world.send(notify=notify)
        assert isinstance(outcome, Sent)
        assert outcome.told is told

    @pytest.mark.parametrize("address", ["bob@out.example>\r\nRSET", "<bob@out.example", "bob\x00@out.example"])
    async def test_an_address_cannot_smuggle_a_command(self, world: World, address: str) -> None:
        world.names.put("out.example>\r\nrset", "MX", "10 mx1.out.example.")
        async with serving(Double(), port=world.port) as double:
            outcome = await world.send(address)
        assert isinstance(outcome, Refused)
        assert not any(line.startswith(("MAIL", "RCPT", "RSET")) for line in double.heard)


async def test_octets_that_cannot_be_had_end_the_connection_and_not_the_mail(world: World) -> None:
    async def broken(_number: int):  # type: ignore[no-untyped-def]  # an iterator that fails half-way
        yield b"Subject: half"
        raise Unavailable(what="body store")

    world.change(octets=broken)
    async with serving(Double(), port=world.port) as double:
        outcome = await world.send()
    assert isinstance(outcome, TryLater)
    assert double.mails == []


class TestSmarthost:
    def account(self, port: int, **settings: str) -> Account:
        usual = {"host": "127.0.0.1", "port": str(port), "encryption": "none", "user": "amy"} | settings
        return Account("mail", usual, {"password": Secret("pencil")})

    @pytest.mark.parametrize(
        ("offer", "line"),
        [
            ("AUTH LOGIN PLAIN", "AUTH PLAIN AGFteQBwZW5jaWw="),
            ("AUTH=LOGIN", "AUTH LOGIN"),
        ],
    )
    async def test_signs_in_by_what_is_offered(self, world: World, offer: str, line: str) -> None:
        said = {"AUTH LOGIN": "334 VXNlcm5hbWU6", "YW15": "334 UGFzc3dvcmQ6"}
        double = Double(extensions=(offer,), answers=lambda text: said.get(text, "235 2.7.0 welcome"))
        async with serving(double):
            assert isinstance(await world.send(account=self.account(double.port)), Sent)
        assert double.heard[1] == line

    async def test_a_wrong_password_holds_back_the_account_and_bounces_nothing(self, world: World) -> None:
        double = Double(extensions=("AUTH PLAIN",), answers=lambda _: "535 5.7.8 pencil is wrong")
        async with serving(double):
            outcome = await world.send(account=self.account(double.port))
        assert isinstance(outcome, TryLater)
        assert outcome.scope is Scope.SENDER
        assert "pencil" not in outcome.text

    async def test_one_that_is_away_holds_back_the_account(self, world: World) -> None:
        outcome = await world.send(account=self.account(world.port))
        assert isinstance(outcome, TryLater)
        assert outcome.scope is Scope.SENDER

    async def test_one_that_refuses_a_recipient_refuses_him_alone(self, world: World) -> None:
        double = Double({"RCPT": ["550 5.1.1 no"]}, extensions=())
        async with serving(double):
            outcome = await world.send(account=self.account(double.port, user=""))
        assert isinstance(outcome, Refused)
        assert outcome.scope is Scope.RECIPIENT

    async def test_the_envelope_sender_can_be_set(self, world: World) -> None:
        async with serving(Double(extensions=())) as double:
            account = self.account(double.port, user="", **{"from": "out@corp.example"})
            assert isinstance(await world.send(account=account), Sent)
            assert isinstance(await world.send(account=account, sender=""), Sent)
        assert [mail.mail for mail in double.mails] == ["MAIL FROM:<out@corp.example>", "MAIL FROM:<>"]

    @pytest.mark.parametrize("encryption", ["starttls", "tls"])
    async def test_the_certificate_must_be_right(self, world: World, encryption: str) -> None:
        double = Double(tls=world.server("wrong.example"))
        async with serving(double):
            outcome = await world.send(account=self.account(double.port, encryption=encryption))
        assert isinstance(outcome, TryLater)
        assert not any(line.startswith("AUTH") for line in double.heard)

    async def test_a_right_certificate_is_taken(self, world: World) -> None:
        double = Double(
            tls=world.server("127.0.0.1"), extensions=("AUTH PLAIN",), answers=lambda _: "235 2.7.0 welcome"
        )
        async with serving(double):
            assert isinstance(await world.send(account=self.account(double.port, encryption="starttls")), Sent)
        assert double.mails[0].secured

    def test_settings_that_cannot_work_are_refused(self, world: World) -> None:
        for wrong in ({"port": "no"}, {"port": "99999"}, {"host": "mx.example", "user": "amy", "encryption": "none"}):
            with pytest.raises(InvalidValue):
                world.kind.check(wrong, {})
        with pytest.raises(EgressRefused):
            world.kind.check({"host": "10.0.0.1"}, {})


async def test_the_time_for_one_attempt_is_bounded(world: World) -> None:
    world.kind = replace(world.kind, manifest=replace(world.kind.manifest, timeout=200))
    async with serving(Double({"DATA": [HANG]}), port=world.port):
        outcome = await world.send()
    assert isinstance(outcome, TryLater)

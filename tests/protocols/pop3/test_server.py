# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""POP3 over a socket, on every engine: what a client sees, and what becomes of the mails."""

from __future__ import annotations

import asyncio
import base64
import ssl

import pytest

from mailroom.directory import clients, members
from mailroom.directory.model import SYSTEM, MemberStatus, Service
from mailroom.protocols.pop3 import grammar
from tests import make, talk
from tests.directory.scram_client import ScramClient
from tests.protocols.pop3.conftest import PASSWORD, Office
from tests.talk import Client

SMALL = make.mail(body=".\r\n..\r\nHi.\r\n")
LARGE = make.mail(subject="Large", size=3_000_000)


async def multiline(client: Client) -> bytes:
    """The lines after the first, undressed."""
    await client.expect("+OK")
    lines = []
    while (line := await client._reader.readuntil(b"\r\n")) != b".\r\n":
        lines.append(line.removeprefix(b"."))
    return b"".join(lines)


async def test_a_session_from_greeting_to_update(office: Office) -> None:
    await office.deliver(SMALL, LARGE)
    sizes = await office.sizes()
    async with office.signed_in() as client:
        await client("STAT", "LIST 1", "UIDL 2")
        await client.expect(f"+OK 2 {sum(sizes)}", f"+OK 1 {sizes[0]}", "+OK 2 *-2")
        await client("RETR 1")
        first = await multiline(client)
        assert first.endswith(SMALL)
        assert len(first) == sizes[0]
        await client("RETR 2")
        assert (await multiline(client)).endswith(LARGE + b"\r\n")
        await client("TOP 2 1")
        header, _, lines = (await multiline(client)).partition(b"\r\n\r\n")
        assert b"Subject: Large" in header
        assert lines.count(b"\r\n") == 1
        await client("DELE 1", "QUIT")
        await client.expect("+OK", "+OK")
        await client.expect_end()
    assert await office.sizes() == sizes[1:]


async def test_nothing_is_removed_without_quit(office: Office) -> None:
    await office.deliver(SMALL)
    async with office.signed_in() as client:
        await client("DELE 1")
        await client.expect("+OK")
        client.vanish()
    assert len(await office.sizes()) == 1


async def test_what_is_fetched_is_not_marked_as_read(office: Office) -> None:
    await office.deliver(SMALL)
    async with office.signed_in() as client:
        await client("RETR 1", "QUIT")
        await multiline(client)
    mailbox_id = office.organisation.mailboxes["amy"]
    assert (await office.store.read(lambda tx: make.folder(tx, mailbox_id))).unseen == 1


async def test_a_session_sees_the_inbox_as_it_was(office: Office) -> None:
    await office.deliver(SMALL)
    async with office.signed_in() as client:
        await office.deliver(SMALL)
        await client("STAT")
        await client.expect("+OK 1 ")
    async with office.signed_in() as client:
        await client("STAT")
        await client.expect("+OK 2 ")


async def test_unique_ids_stay_when_others_go(office: Office) -> None:
    await office.deliver(SMALL, SMALL, SMALL)
    async with office.signed_in() as client:
        await client("UIDL", "DELE 1", "QUIT")
        before = [line.split()[1] for line in (await multiline(client)).splitlines()]
        await client.expect("+OK", "+OK")
    async with office.signed_in() as client:
        await client("UIDL")
        after = [line.split()[1] for line in (await multiline(client)).splitlines()]
    assert after == before[1:]


async def test_what_another_has_removed_meanwhile_is_refused_and_forgotten(office: Office) -> None:
    await office.deliver(SMALL, SMALL)
    async with office.signed_in() as one, office.signed_in() as other:
        await one("DELE 1", "QUIT")
        await one.expect("+OK", "+OK")
        await other("RETR 1", "DELE 1", "DELE 2", "QUIT")
        await other.expect("-ERR", "+OK", "+OK", "+OK")
    assert await office.sizes() == []


async def test_deletions_that_fail_are_said_and_none_is_done(office: Office) -> None:
    await office.deliver(SMALL, SMALL)
    async with office.signed_in() as client:
        await client("DELE 1")
        await client.expect("+OK")
        await office.store.write(lambda tx: members.change_status(tx, SYSTEM, "amy", MemberStatus.DISABLED))
        await client("QUIT")
        await client.expect("-ERR ?AUTH?")
        await client.expect_end()
    assert len(await office.sizes()) == 2


# Signing in.


async def test_a_wrong_password_and_an_unknown_name_hear_the_same(office: Office) -> None:
    async with office.call() as client:
        heard = set()
        for name in ("amy", "nobody"):
            await client(f"USER {name}", "PASS wrong")
            await client.expect("+OK")
            heard.add(await client.reply())
        assert len(heard) == 1
        assert heard.pop().startswith("-ERR [AUTH]")


async def test_guessing_is_slowed_down_and_ends_the_connection(office: Office) -> None:
    async with office.call() as client:
        for number in range(5):
            await client("USER amy", f"PASS guess {number}")
            await client.expect("+OK", "-ERR ?AUTH?")
        for _ in range(4):
            await client("USER amy", f"PASS {PASSWORD}")
            await client.expect("+OK", "-ERR ?SYS/TEMP?")
        await client("USER amy", f"PASS {PASSWORD}")
        await client.expect("+OK", "-ERR ?SYS/TEMP?", "-ERR too many errors")
        await client.expect_end()


def b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def unb64(line: str) -> bytes:
    assert line.startswith("+ ")
    return base64.b64decode(line[2:])


async def test_every_mechanism(office: Office) -> None:
    plain = b64(f"\0amy\0{PASSWORD}".encode())
    dialogues = [
        [f"AUTH PLAIN {plain}"],
        ["AUTH PLAIN", plain],
        ["AUTH LOGIN", b64(b"amy"), b64(PASSWORD.encode())],
        [f"AUTH LOGIN {b64(b'amy')}", b64(PASSWORD.encode())],
    ]
    for lines in dialogues:
        async with office.call() as client:
            for line in lines[:-1]:
                await client(line)
                await client.expect("+ ")
            await client(lines[-1])
            await client.expect("+OK 0 mails")


@pytest.mark.parametrize("initial", [True, False])
async def test_scram(office: Office, *, initial: bool) -> None:
    scram = ScramClient("amy", PASSWORD)
    async with office.call() as client:
        if initial:
            await client(f"AUTH SCRAM-SHA-256 {b64(scram.first())}")
        else:
            await client("AUTH SCRAM-SHA-256", b64(scram.first()))
            assert unb64(await client.reply()) == b""
        await client(b64(scram.final(unb64(await client.reply()))))
        assert scram.is_server(unb64(await client.reply()))
        await client("")
        await client.expect("+OK 0 mails")


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        (["AUTH GSSAPI"], "-ERR no such mechanism"),
        (["AUTH PLAIN", "*"], "-ERR cancelled"),
        (["AUTH PLAIN *"], "-ERR that"),
        (["AUTH PLAIN", "@@"], "-ERR that"),
        (["AUTH PLAIN", b64(b"no nul")], "-ERR that"),
        (["AUTH PLAIN", b64(b"bob\0amy\0" + PASSWORD.encode())], "-ERR ?AUTH?"),
        (["AUTH PLAIN", "A" * 20_000], "-ERR that"),
        (["AUTH LOGIN", "="], "-ERR that"),
        (["AUTH SCRAM-SHA-256", b64(b"p=tls-unique,,n=amy,r=x")], "-ERR that"),
    ],
)
async def test_an_exchange_gone_wrong_leaves_the_next_one_free(office: Office, lines: list[str], answer: str) -> None:
    async with office.call() as client:
        for line in lines[:-1]:
            await client(line)
            await client.expect("+ ")
        await client(lines[-1])
        await client.expect(answer)
        await client(f"AUTH PLAIN {b64(f'amy{chr(0)}amy{chr(0)}{PASSWORD}'.encode())}")
        await client.expect("+OK 0 mails")


async def test_passwords_are_taken_in_tls_only_but_from_trusted_networks(office: Office) -> None:
    async with office.call(trusted=[]) as client:
        await client("USER amy", f"AUTH PLAIN {b64(f'{chr(0)}amy{chr(0)}{PASSWORD}'.encode())}")
        await client.expect("-ERR first STLS", "-ERR no such mechanism")
        await client("STLS", "NOOP")  # what came along with it was not said in TLS
        await client.expect("+OK")
        await client.start_tls()
        await client("USER amy", f"PASS {PASSWORD}", "STLS")
        await client.expect("+OK", "+OK 0 mails", "-ERR")


async def test_tls_from_the_first_octet(office: Office) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    async with office.open(implicit=True, trusted=[]) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        client = Client(reader, writer)
        await client.expect("+OK")
        await client("STLS", "USER amy", f"PASS {PASSWORD}", "QUIT")
        await client.expect("-ERR", "+OK", "+OK 0 mails", "+OK")
        writer.transport.abort()


async def test_a_client_password_is_for_its_services(office: Office) -> None:
    no, yes = await office.client_password("amy", Service.IMAP), await office.client_password("amy", Service.POP3)
    async with office.call() as client:
        await client("USER amy", f"PASS {no}", "USER amy", f"PASS {yes}")
        await client.expect("+OK", "-ERR ?AUTH?", "+OK", "+OK 0 mails")


async def test_a_public_mailbox_by_its_client_password(office: Office) -> None:
    await office.deliver(SMALL, to="sales@corp.example")
    async with office.signed_in("sales@corp.example", await office.client_password("sales")) as client:
        await client("RETR 1")
        assert (await multiline(client)).endswith(SMALL)


async def test_revocation_ends_the_session(office: Office) -> None:
    await office.deliver(SMALL)
    shown, mailbox_id = await office.client_password("amy"), office.organisation.mailboxes["amy"]
    async with office.signed_in(password=shown) as client:
        (which,) = [one.id for one in await office.store.read(lambda tx: clients.of(tx, mailbox_id))]
        await office.store.write(lambda tx: clients.revoke(tx, SYSTEM, mailbox_id, which))
        await client("RETR 1")
        await client.expect("-ERR ?AUTH?")
        await client.expect_end()


# Clients that behave badly.


async def test_a_large_mail_waits_for_a_client_that_reads_slowly(office: Office) -> None:
    await office.deliver(make.mail(size=20_000_000))
    async with office.signed_in() as client:
        await client("RETR 1")
        await client.expect("+OK")
        await client("NOOP")  # is answered after the mail, whenever the client has read it
        rest = b""
        while not rest.endswith(b"\r\n.\r\n+OK done\r\n"):
            rest += await client._reader.read(1 << 20)
        assert len(rest) > 20_000_000


async def test_endless_lines_are_refused_and_read_over(office: Office) -> None:
    async with office.call() as client:
        await client.send(b"USER " + b"a" * (3 * grammar.LINE_MOST))
        await client("", f"USER amy\r\nPASS {PASSWORD}")
        await client.expect("-ERR line too long", "+OK", "+OK 0 mails")


async def test_many_commands_at_once_are_answered_in_turn(office: Office) -> None:
    async with office.signed_in() as client:
        await client(*["NOOP", "STAT", "nonsense"] * 3000)
        for _ in range(3000):
            await client.expect("+OK done", "+OK 0 0", "-ERR unknown")


async def test_rubbish_ends_the_connection(office: Office) -> None:
    async with office.call() as client:
        await client.send(b"\0\xff\r\n" * 100)
        assert (await client.rest()).endswith(b"-ERR too many errors\r\n")


async def test_who_says_nothing_is_sent_away(office: Office) -> None:
    async with office.call(idle=0) as client:
        await client.expect("-ERR ?SYS/TEMP? too slow")
        await client.expect_end()


async def test_who_says_a_line_letter_by_letter_is_sent_away_too(office: Office) -> None:
    async with office.call(idle=1) as client:
        async with asyncio.timeout(10):
            while not (heard := await client.glance(0.1)):
                await client.send(b"x")
        assert "too slow" in heard


async def test_a_server_that_goes_says_so_and_removes_nothing(office: Office) -> None:
    await office.deliver(SMALL)
    listener = await office.listen()
    async with talk.call(listener.port) as client:
        await client("USER amy", f"PASS {PASSWORD}", "DELE 1")
        await client.expect("+OK", "+OK", "+OK", "+OK")
        await listener.stop(grace=5)
        await client.expect("-ERR ?SYS/TEMP? going down")
        await client.expect_end()
    assert len(await office.sizes()) == 1


async def test_a_client_that_hangs_up_in_the_middle_leaves_nothing_behind(office: Office) -> None:
    await office.deliver(LARGE)
    listener = await office.listen()
    for lines in (["USER amy"], ["AUTH PLAIN"], ["USER amy", f"PASS {PASSWORD}", "RETR 1"]):
        async with talk.call(listener.port) as client:
            await client(*lines)
            await client.expect("+OK", "+")
    async with asyncio.timeout(10):
        while listener._inside:  # noqa: ASYNC110 # nobody tells
            await asyncio.sleep(0.01)
    await listener.stop(grace=0)

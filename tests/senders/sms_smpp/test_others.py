# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Other people's SMPP: a centre made of Net::SMPP for our kind, and Kannel as a customer of our double."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from mailroom.sandbox.phones import Fate
from mailroom.senders.contract import News, Sent
from tests.senders.peers import free_port
from tests.senders.sms_smpp.conftest import PHONE, Hall

LONG = "您有新邮件😀" * 25


@dataclass(slots=True)
class Program:
    """A program that is ended with its test."""

    process: asyncio.subprocess.Process

    async def line(self) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            return (await self.process.stdout.readline()).decode().strip()


@contextlib.asynccontextmanager
async def running(*command: str) -> AsyncIterator[Program]:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        yield Program(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


@pytest.fixture
async def centre(tool: Callable[[str], str]) -> AsyncIterator[Program]:
    tool("bearerbox")  # it comes with the module
    async with running("perl", str(Path(__file__).with_name("centre.pl"))) as program:
        yield program


async def test_a_centre_of_net_smpp_reads_us(hall: Hall, centre: Program) -> None:
    where = f"127.0.0.1:{await centre.line()}"
    account = hall.account(where=where, receipt_ids="decimal", source_ton="5")
    assert await hall.send("Hi [€]", account=account) == Sent("41210", "0x00")
    assert await centre.line() == f"5 0 1 1 {PHONE[1:]} 0 1 0 " + b"Hi \x1b\x3c\x1b\x65\x1b\x3e".hex()
    assert await centre.line() == "receipt 41210 0"

    sent = await hall.send(LONG, account=account)
    lines = [(await centre.line()).split() for _ in range(6)]
    assert sorted(one[1:] for one in lines if one[0] == "receipt") == [[str(41211 + at), "0"] for at in range(3)]
    octets = [bytes.fromhex(one[-1]) for one in lines if one[0] != "receipt"]
    assert [one[:6] for one in octets] == [bytes((5, 0, 3, 2, 3, at)) for at in (1, 2, 3)]
    assert b"".join(one[6:] for one in octets).decode("utf-16-be") == LONG
    assert [(Sent(one.provider_id, "0x00"), one.news) for one in await hall.told(2)] == [
        (Sent("41210", "0x00"), News.ARRIVED),
        (sent, News.ARRIVED),
    ]
    await hall.kind.close()
    assert await centre.line() == "unbound"


async def test_net_smpp_refuses_a_wrong_password(hall: Hall, centre: Program) -> None:
    outcome = await hall.send(account=hall.account(where=f"127.0.0.1:{await centre.line()}", password="wrong"))
    assert outcome.code == "0x0E"


KANNEL = """
group = core
admin-port = {admin}
admin-password = x
admin-interface = "127.0.0.1"
smsbox-port = {box}
smsbox-interface = "127.0.0.1"
log-level = 4

group = smsc
smsc = smpp
smsc-id = double
host = 127.0.0.1
port = {port}
transceiver-mode = true
smsc-username = demo
smsc-password = demo-pwd
system-type = ""
source-addr-ton = 1
source-addr-npi = 1
dest-addr-ton = 1
dest-addr-npi = 1
msg-id-type = 0x00

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {send}
sendsms-interface = "127.0.0.1"
log-level = 4

group = sendsms-user
username = u
password = p
max-messages = 9
concatenation = true
"""


@pytest.mark.parametrize("text", ["Hello [€]", "x" * 300, "您有新邮件" * 30])
async def test_kannel_is_a_customer_of_the_double(
    hall: Hall, tool: Callable[[str], str], tmp_path: Path, text: str
) -> None:
    admin, box, send = free_port(), free_port(), free_port()
    port = hall.double.where.rpartition(":")[2]
    config = tmp_path / "kannel.conf"
    config.write_text(KANNEL.format(admin=admin, box=box, send=send, port=port))
    reported: asyncio.Queue[str] = asyncio.Queue()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reported.put_nowait((await reader.readuntil(b"\r\n\r\n")).split()[1].decode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    listener = await asyncio.start_server(hear, "127.0.0.1", 0)
    async with listener, running(tool("bearerbox"), str(config)):
        await hall.until(lambda: hall.double.binds == 1)
        async with running(tool("smsbox"), str(config)):
            asked = {
                "username": "u",
                "password": "p",
                "from": "123",
                "to": PHONE[1:],
                "text": text,
                "charset": "UTF-8",
                "coding": "2" if "您" in text else "0",
                "dlr-mask": "3",
                "dlr-url": f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/%d",
            }
            assert await ask(f"http://127.0.0.1:{send}/cgi-bin/sendsms", asked) == 202
            async with asyncio.timeout(20):
                (arrival,) = await hall.phones.arrived(1, "sms_smpp")
            assert (arrival.to, arrival.text, arrival.title) == (PHONE, text, "123")
            await hall.double.press(arrival, Fate.ARRIVED)
            async with asyncio.timeout(20):
                assert await reported.get() == "/1"


async def ask(url: str, query: dict[str, str]) -> int:
    """The status, once somebody listens there."""
    async with asyncio.timeout(20), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url, params=query) as answer:
                    return answer.status
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)

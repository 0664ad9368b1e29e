# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What strangers may ask of us: sizes, counts, errors, time; and what is left when they go too far."""

from __future__ import annotations

import asyncio
import errno
import resource
import ssl
import time
from pathlib import Path

import pytest

from mailroom.core.errors import Unavailable
from mailroom.core.settings import Limits
from mailroom.protocols.contract import Peer
from mailroom.protocols.listener import Listener
from mailroom.protocols.smtp.server import lmtp
from tests.protocols.fake import FakeAcceptance, house_of, service_for, serving, until
from tests.talk import call

ENVELOPE = ["EHLO c", "MAIL FROM:<a@y>", "RCPT TO:<b@x>", "DATA"]
AGREED = ["220", "250-", "250", "250", "354"]


async def test_too_many_recipients_are_told_to_come_later(acceptance: FakeAcceptance) -> None:
    async with serving(acceptance, recipients=2, errors_most=3) as port, call(port) as c:
        await c("EHLO c", "MAIL FROM:<a@y>", *[f"RCPT TO:<b{n}@x>" for n in range(9)], "DATA", "x", ".")
        await c.expect("220", "250-", "250", "250", "250", *["452 4.5.3"] * 7, "354", "250 2.0.0 accepted")
    assert acceptance.kept[0].recipients == ("b0@x", "b1@x")


async def test_a_mail_too_large_is_refused_while_it_streams(acceptance: FakeAcceptance) -> None:
    async with serving(acceptance, mail_size=200_000) as port, call(port) as c:
        await c(*ENVELOPE)
        await c.expect(*AGREED)
        for _ in range(30):
            await c.send(b"x" * 9_998 + b"\r\n")
        await until(lambda: not list(acceptance.folder.iterdir()))
        await c(".", "NOOP")
        await c.expect("552 5.3.4", "250 2.0.0 ok")
    assert acceptance.kept == []


@pytest.mark.parametrize("begin", ["DATA", "BDAT 9999999 LAST"])
@pytest.mark.parametrize("octets", [b"x", b"\n"])
async def test_a_mail_that_never_ends_is_cut_off(begin: str, octets: bytes, acceptance: FakeAcceptance) -> None:
    async with serving(acceptance, mail_size=100_000) as port, call(port) as c:
        await c(*ENVELOPE[:-1], begin)
        await c.expect(*AGREED[:-1], *AGREED[4:] * (begin == "DATA"))
        await c.send(octets + b"x" * 50_000)
        await c.send(b"x" * 150_000)
        await c.expect("552 5.3.4", "421 4.7.0 mail far too large")
        await c.expect_end()
    assert acceptance.kept == []


async def test_the_disk_keeps_its_reserve_though_no_size_was_told(acceptance: FakeAcceptance) -> None:
    acceptance.reserve = 1 << 62
    async with serving(acceptance) as port, call(port) as c:
        await c(*ENVELOPE)
        await c.expect(*AGREED)
        await c.send((b"x" * 998 + b"\r\n") * 200 + b".\r\n")
        await c.expect("452 4.3.1")
    assert acceptance.kept == []


class Wire(asyncio.Transport):
    """Keeps what is written to it, and whether its reader wants more."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reads = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def close(self) -> None:
        pass


async def test_nobody_keeps_the_others_waiting(acceptance: FakeAcceptance) -> None:
    wire = Wire()
    conversation = service_for(acceptance).converse(Peer("192.0.2.1"), left=lambda _: None)
    conversation.connection_made(wire)
    conversation.data_received("\r\n".join([*ENVELOPE[:-1], ""]).encode())
    await until(lambda: b"250 2.1.5" in wire.written)
    conversation.data_received(b"BDAT 0\r\n" * 30_000)
    assert wire.written.count(b" 0 octets") < 15_000
    assert not wire.reads
    await until(lambda: wire.written.count(b" 0 octets") == 30_000)
    await until(lambda: wire.reads)


async def test_a_mail_server_of_ours_is_trusted(acceptance: FakeAcceptance) -> None:
    house = house_of(acceptance)
    listener = Listener(lmtp(house), limits=Limits())
    await listener.start("127.0.0.1:0")
    async with call(listener.port) as c:
        await c("LHLO c", *["MAIL FROM:<a@y>", "RCPT TO:<nobody@x>", "RSET"] * 200)
        await c.expect("220", "250-", *["250", "550 5.1.1", "250"] * 200)
    await listener.stop(grace=0)


async def test_a_large_mail_takes_no_memory(acceptance: FakeAcceptance) -> None:
    acceptance.fault = OSError(errno.ENOSPC, "full")  # it comes to its end, and is not read back
    line = b"x" * 998 + b"\r\n"
    async with serving(acceptance, mail_size=100_000_000) as port, call(port) as c:
        await c(*ENVELOPE)
        await c.expect(*AGREED)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(500):
            await c.send(line * 100)
        await c(".")
        await c.expect("452 4.3.1")
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024  # KiB, for 50 MB
    assert list(acceptance.folder.iterdir()) == []


async def test_a_spool_that_cannot_be_written_leaves_nothing(acceptance: FakeAcceptance) -> None:
    acceptance.folder = Path("/dev/full")  # no folder: the spool cannot go there
    async with serving(acceptance) as port, call(port) as c:
        await c(*ENVELOPE)
        await c.expect(*AGREED)
        await c.send((b"x" * 998 + b"\r\n") * 200 + b".\r\nNOOP\r\n")
        await c.expect("451 4.3.0", "250 2.0.0 ok")
    assert acceptance.kept == []


async def test_errors_slow_the_answers_down_and_then_end_it(acceptance: FakeAcceptance) -> None:
    async with serving(acceptance, errors_free=2, errors_most=5, penalty=0.05) as port, call(port) as c:
        began = time.monotonic()
        await c(*["WIZ"] * 9)
        await c.expect("220", *["500"] * 5, "421 4.7.0 too many errors")
        assert time.monotonic() - began >= 0.3  # 0.05 + 0.1 + 0.15
        await c.expect_end()


CHATTER = {
    "NOOP": ["NOOP"],
    "RSET": ["RSET"],
    "VRFY": ["VRFY b"],
    "HELP": ["HELP"],
    "EHLO": ["HELO c"],
    "MAIL": ["MAIL FROM:<a@y>", "RSET"],
}


@pytest.mark.parametrize("words", CHATTER)
async def test_much_talk_and_no_mail_ends_it(words: str, acceptance: FakeAcceptance) -> None:
    async with serving(acceptance) as port, call(port) as c:
        await c("HELO c", *CHATTER[words] * 101)
        await c.expect("220", "250", *["2"] * 99, "421 4.7.0 too many commands")
        await c.expect_end()


async def test_who_tries_to_send_may_talk(acceptance: FakeAcceptance) -> None:
    acceptance.no["later@x"] = Unavailable(what="the store")
    async with serving(acceptance, chatter_most=20) as port, call(port) as c:
        await c("HELO c")
        await c.expect("220", "250")
        for _ in range(3):
            await c(*["NOOP"] * 5, *["MAIL FROM:<a@y>", "RCPT TO:<later@x>", "RSET"] * 10)
            await c.expect(*["250"] * 5, *["250", "451", "250"] * 10)
            await c("MAIL FROM:<a@y>", "RCPT TO:<b@x>", "DATA", "x", ".")
            await c.expect("250", "250", "354", "250 2.0.0 accepted")


async def test_an_accepted_mail_forgives(acceptance: FakeAcceptance) -> None:
    async with serving(acceptance, errors_most=3) as port, call(port) as c:
        await c("EHLO c")
        await c.expect("220", "250-")
        for _ in range(3):
            await c("WIZ", "WIZ", "MAIL FROM:<a@y>", "RCPT TO:<b@x>", "DATA", "x", ".")
            await c.expect("500", "500", "250", "250", "354", "250 2.0.0 accepted")


async def test_a_silent_client_is_sent_away(acceptance: FakeAcceptance) -> None:
    async with serving(acceptance, idle=0.1) as port, call(port) as c:
        await c.expect("220", "421 4.4.2")
        await c.expect_end()


@pytest.mark.parametrize("crumb", [b"N", b"x\r\n"])
async def test_so_is_one_that_comes_crumb_by_crumb(crumb: bytes, acceptance: FakeAcceptance) -> None:
    async with serving(acceptance, idle=0.3) as port, call(port) as c:
        if crumb != b"N":
            await c(*ENVELOPE)
            await c.expect(*AGREED)
        else:
            await c.expect("220")
        began = time.monotonic()
        heard = ""
        while not heard and time.monotonic() - began < 5:
            await c.send(crumb)
            heard = await c.glance(0.05)
        assert heard.startswith("421 4.4.2")
    assert acceptance.kept == []


async def test_a_client_that_does_not_listen_is_cut_off(acceptance: FakeAcceptance) -> None:
    async with serving(acceptance, idle=0.2, mail_size=10**9) as port, call(port) as c:
        await c.flood(b"NOOP\r\n" * 1000)


async def test_a_mail_whose_client_has_gone_while_it_was_accepted_is_kept(acceptance: FakeAcceptance) -> None:
    acceptance.gate.clear()
    async with serving(acceptance) as port:
        async with call(port) as c:
            await c(*ENVELOPE, "x", ".", "MAIL FROM:<second@y>")
            await c.expect(*AGREED)
            await acceptance.begun.wait()
            c.vanish()
        acceptance.gate.set()
        await until(lambda: len(acceptance.kept) == 1)
    assert acceptance.kept[0].content == b"x\r\n"


async def test_a_mail_whose_client_has_gone_before_its_end_is_not(acceptance: FakeAcceptance) -> None:
    async with serving(acceptance) as port:
        async with call(port) as c:
            await c(*ENVELOPE)
            await c.expect(*AGREED)
            await c.send((b"x" * 998 + b"\r\n") * 200)
            await until(lambda: bool(list(acceptance.folder.iterdir())))
            c.vanish()
        await until(lambda: not list(acceptance.folder.iterdir()))
    assert acceptance.kept == []


async def test_a_silent_handshake_does_not_outlast_the_stop(
    acceptance: FakeAcceptance, certificate: ssl.SSLContext
) -> None:
    async with serving(acceptance, tls=certificate) as port, call(port) as c:
        await c("EHLO c", "STARTTLS")
        await c.expect("220", "250-", "220 2.0.0")

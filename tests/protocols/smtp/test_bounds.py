# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What strangers may ask of us: sizes, counts, errors, time; and what is left when they go too far."""

from __future__ import annotations

import errno
import resource
import ssl
import time
from pathlib import Path

import pytest

from tests.protocols.fake import FakeAcceptance, serving, until
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

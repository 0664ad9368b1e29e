# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The door: who may come in, for whom a proxy calls, and how it closes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from ipaddress import ip_network

import pytest
import trustme
import uvloop
from hypothesis import example, given
from hypothesis import strategies as st

from mailroom.core.errors import InvalidValue
from mailroom.core.settings import Limits
from mailroom.protocols import catalogue, proxy
from mailroom.protocols.listener import Listener, parse_where
from tests.protocols.fake import FakeAcceptance, house_of, service_for, serving, until
from tests.talk import call

LOOPBACK = [ip_network("127.0.0.1/32")]
V2 = b"\r\n\r\n\0\r\nQUIT\n"
V2_IPV4 = V2 + struct.pack("!BBH4s4sHH", 0x21, 0x11, 12, bytes([192, 0, 2, 9]), bytes(4), 4321, 25)
V2_IPV6 = V2 + struct.pack("!BBH16s16sHH", 0x21, 0x21, 36, b"\x20\x01" + bytes(13) + b"\x09", bytes(16), 4321, 25)
V2_LOCAL = V2 + struct.pack("!BBH", 0x20, 0, 0)
MAIL = ["EHLO c", "MAIL FROM:<a@y>", "RCPT TO:<b@x>", "DATA", "x", "."]


async def test_so_many_connections_and_no_more(acceptance: FakeAcceptance) -> None:
    async with serving(acceptance, limits=Limits(connections=2)) as port, call(port) as one, call(port) as two:
        await one.expect("220")
        await two.expect("220")
        async with call(port) as three:
            await three.expect("421 4.7.0 too many connections")
            await three.expect_end()
        await one("QUIT")
        await one.expect("221")
        await one.expect_end()
        async with call(port) as four:
            await four.expect("220")


async def test_so_many_per_address(acceptance: FakeAcceptance) -> None:
    async with serving(acceptance, limits=Limits(connections_per_address=1)) as port, call(port) as one:
        await one.expect("220")
        async with call(port) as two:
            await two.expect("421 4.7.0")
        async with call(port, source="127.0.0.2") as other:
            await other.expect("220")


async def test_ipv6(acceptance: FakeAcceptance) -> None:
    async with serving(acceptance, host="::1") as port, call(port, host="::1") as c:
        await c(*MAIL)
        await c.expect("220", "250-", "250", "250", "354", "250 2.0.0 accepted")
    assert b"([IPv6:::1])" in acceptance.kept[0].octets


async def test_a_socket_that_is_bound_already(acceptance: FakeAcceptance) -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        listener = Listener(service_for(acceptance), limits=Limits())
        await listener.start("", bound=[bound])
        assert listener.port == bound.getsockname()[1]
        async with call(listener.port) as c:
            await c.expect("220")
        await listener.stop(grace=1)


@pytest.mark.parametrize("where", ["", "25", "host:", "host:smtp", "host:65536"])
def test_where_is_host_and_port(where: str) -> None:
    with pytest.raises(InvalidValue):
        parse_where(where)


def test_where_may_be_everywhere_and_ipv6() -> None:
    assert (parse_where(":25"), parse_where("[::1]:25")) == ((None, 25), ("::1", 25))


async def test_a_stop_waits_for_the_mail_under_way(acceptance: FakeAcceptance) -> None:
    acceptance.gate.clear()
    listener = Listener(service_for(acceptance), limits=Limits())
    await listener.start("127.0.0.1:0")
    async with call(listener.port) as busy, call(listener.port) as idle:
        await idle.expect("220")
        await busy(*MAIL)
        await busy.expect("220", "250-", "250", "250", "354")
        await acceptance.begun.wait()
        port = listener.port
        stopping = asyncio.create_task(listener.stop(grace=10))
        await idle.expect("421 4.3.2")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        assert not stopping.done()
        acceptance.gate.set()
        await busy.expect("250 2.0.0 accepted", "421 4.3.2")
        await stopping
    assert len(acceptance.kept) == 1


async def test_and_not_longer_than_its_grace_but_for_what_is_being_accepted(acceptance: FakeAcceptance) -> None:
    acceptance.gate.clear()
    listener = Listener(service_for(acceptance), limits=Limits())
    await listener.start("127.0.0.1:0")
    async with call(listener.port) as slow, call(listener.port) as busy:
        await slow(*MAIL[:-1])
        await slow.expect("220", "250-", "250", "250", "354")
        await busy(*MAIL)
        await acceptance.begun.wait()
        stopping = asyncio.create_task(listener.stop(grace=0.05))
        await slow.expect_end()
        assert not stopping.done()
        acceptance.gate.set()
        await stopping
    assert len(acceptance.kept) == 1


@pytest.mark.parametrize(
    ("header", "host"),
    [
        (b"PROXY TCP4 192.0.2.9 192.0.2.1 4321 25\r\n", b"([192.0.2.9])"),
        (b"PROXY TCP6 2001::9 2001::1 4321 25\r\n", b"([IPv6:2001::9])"),
        (b"PROXY UNKNOWN\r\n", b"([127.0.0.1])"),
        (V2_IPV4, b"([192.0.2.9])"),
        (V2_IPV6, b"([IPv6:2001::9])"),
        (V2_LOCAL, b"([127.0.0.1])"),
    ],
)
async def test_a_proxy_tells_for_whom_it_calls(header: bytes, host: bytes, acceptance: FakeAcceptance) -> None:
    async with serving(acceptance, proxies=LOOPBACK) as port, call(port) as c:
        await c.send(header[:7])
        await c.send(header[7:] + "".join(f"{line}\r\n" for line in MAIL).encode())
        await c.expect("220", "250-", "250", "250", "354", "250 2.0.0 accepted")
    assert host in acceptance.kept[0].octets


async def test_the_told_address_is_the_one_that_counts(acceptance: FakeAcceptance) -> None:
    limits = Limits(connections_per_address=1)
    async with serving(acceptance, proxies=LOOPBACK, limits=limits) as port, call(port) as one, call(port) as two:
        await one.send(b"PROXY TCP4 192.0.2.9 192.0.2.1 1 25\r\n")
        await one.expect("220")
        await two.send(b"PROXY TCP4 192.0.2.9 192.0.2.1 2 25\r\n")
        await two.expect("421 4.7.0")


async def test_a_proxy_that_tells_nothing_is_not_served(acceptance: FakeAcceptance) -> None:
    async with serving(acceptance, proxies=LOOPBACK) as port, call(port) as c:
        await c("EHLO c")
        await c.expect_end()


async def test_a_stranger_cannot_tell_us_who_he_is(acceptance: FakeAcceptance) -> None:
    async with serving(acceptance, proxies=[ip_network("192.0.2.0/24")]) as port, call(port) as c:
        await c("PROXY TCP4 192.0.2.9 192.0.2.1 1 25")
        await c.expect("220", "500 5.5.1")


@given(st.one_of(st.binary(), st.binary().map(lambda end: V2 + end), st.binary().map(lambda end: b"PROXY " + end)))
@example(V2_IPV4[:-1])
@example(V2 + b"\x21\x11\x00\x04\0\0\0\0")
def test_no_octets_break_the_proxy_header(octets: bytes) -> None:
    try:
        told = proxy.read(octets)
    except proxy.Malformed:
        return
    assert told is None or 0 < told.length <= len(octets)


@pytest.mark.parametrize(
    "octets",
    [
        b"EHLO c\r\n",
        b"PROXY " + b"x" * 120,
        b"PROXY TCP4 192.0.2.9\r\n",
        b"PROXY TCP4 2001::9 2001::1 1 25\r\n",
        b"PROXY TCP4 here there 1 25\r\n",
        b"PROXY TCP4 192.0.2.9 192.0.2.1 65536 25\r\n",
        V2 + b"\x31\x11\x00\x00",
        V2 + b"\x21\x11\xff\xff",
        V2 + b"\x21\x11\x00\x04\0\0\0\0",
    ],
)
def test_a_wrong_proxy_header_is_malformed(octets: bytes) -> None:
    with pytest.raises(proxy.Malformed):
        proxy.read(octets)


def test_a_proxy_may_not_know() -> None:
    assert proxy.read(V2 + b"\x21\x31\x00\x00") == proxy.Told("", 0, 16)
    assert proxy.read(b"PROXY TCP4 192.0.2.9") is None


async def test_the_catalogue_opens_what_it_finds(acceptance: FakeAcceptance) -> None:
    house = house_of(acceptance)
    services = {one.name: one for one in catalogue.manifests()}
    assert {"smtp", "lmtp"} <= services.keys()
    for name, greeting in [("smtp", "220 * ESMTP"), ("lmtp", "220 * LMTP")]:
        listener = Listener(services[name].open(house), limits=Limits())
        await listener.start("127.0.0.1:0")
        async with call(listener.port) as c:
            await c.expect(greeting)
        await listener.stop(grace=1)


async def test_nobody_is_counted_who_has_gone(acceptance: FakeAcceptance) -> None:
    listener = Listener(service_for(acceptance), limits=Limits())
    await listener.start("127.0.0.1:0")
    for _ in range(3):
        async with call(listener.port) as c:
            await c.expect("220")
    await until(lambda: not listener._inside)
    assert not listener._per_address
    await listener.stop(grace=1)


# In TLS from the first octet.


@pytest.fixture
def certified() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What the server shows, and a client that believes it."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    return server, client


@contextlib.asynccontextmanager
async def in_tls(
    acceptance: FakeAcceptance, tls: ssl.SSLContext, *, limits: Limits | None = None, proxied: bool = False
) -> AsyncIterator[Listener]:
    proxies = LOOPBACK if proxied else []
    listener = Listener(service_for(acceptance), limits=limits or Limits(), proxies=proxies, tls=tls, sweep=0.02)
    await listener.start("127.0.0.1:0")
    yield listener
    await listener.stop(grace=0)


def send_mail(sock: socket.socket, client: ssl.SSLContext) -> None:
    """A mail through a socket that is ready for the handshake."""
    with client.wrap_socket(sock, server_hostname="127.0.0.1") as secure, secure.makefile("rwb") as file:
        assert file.readline().startswith(b"220 ")
        for line in [*MAIL, "QUIT"]:
            file.write(f"{line}\r\n".encode())
        file.flush()
        assert file.read().split(b"\r\n")[-2].startswith(b"221 ")


# `mailroom serve` runs uvloop, which reads and calls back in another order than asyncio.
LOOPS = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])


def run_in(new_loop: Callable[[], asyncio.AbstractEventLoop], work: Coroutine[None, None, None]) -> None:
    """Run in a loop of that kind."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(work)


@LOOPS
@pytest.mark.parametrize("header", [b"", b"PROXY TCP4 192.0.2.9 127.0.0.1 4321 465\r\n", V2_IPV4])
def test_tls_from_the_first_octet_and_a_proxy_before_it(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    acceptance: FakeAcceptance,
    certified: tuple[ssl.SSLContext, ssl.SSLContext],
    header: bytes,
) -> None:
    server, client = certified

    def talk(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
            sock.sendall(header)
            send_mail(sock, client)

    async def walk() -> None:
        async with in_tls(acceptance, server, proxied=bool(header)) as listener:
            await asyncio.to_thread(talk, listener.port)

    run_in(new_loop, walk())
    assert (b"([192.0.2.9])" in acceptance.kept[0].octets) is bool(header)


@LOOPS
@pytest.mark.parametrize("first", [10, 100, 65536])
def test_a_handshake_that_begins_in_one_piece_with_the_proxys_header(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    acceptance: FakeAcceptance,
    certified: tuple[ssl.SSLContext, ssl.SSLContext],
    first: int,
) -> None:
    server, client = certified

    def talk(port: int) -> None:
        ours, theirs = socket.socketpair()
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sock, ours, theirs:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            talking = threading.Thread(target=send_mail, args=(ours, client))
            talking.start()
            hello = theirs.recv(65536)
            sock.sendall(V2_IPV4 + hello[:first])
            sock.sendall(hello[first:])
            back = threading.Thread(target=pump, args=(sock, theirs))
            back.start()
            pump(theirs, sock)
            talking.join()
            back.join()

    async def walk() -> None:
        async with in_tls(acceptance, server, proxied=True) as listener:
            await asyncio.to_thread(talk, listener.port)

    run_in(new_loop, walk())
    assert b"([192.0.2.9])" in acceptance.kept[0].octets


def pump(source: socket.socket, target: socket.socket) -> None:
    """Hand on what comes until it ends."""
    with contextlib.suppress(OSError):
        while octets := source.recv(65536):
            target.sendall(octets)
        target.shutdown(socket.SHUT_WR)


async def test_who_shakes_no_hands_is_counted_and_cut_off_at_the_stop(
    acceptance: FakeAcceptance, certified: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    async with in_tls(acceptance, certified[0], limits=Limits(connections=1)) as listener, call(listener.port) as mute:
        async with call(listener.port) as second:
            await second.expect_end()
        stopping = asyncio.create_task(listener.stop(grace=10))
        await mute.expect_end()
        await stopping


@LOOPS
@pytest.mark.parametrize("listen", ["smtp", "pop3"])
def test_who_says_no_goodbye_in_tls_does_not_hold_up_the_stop(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    acceptance: FakeAcceptance,
    certified: tuple[ssl.SSLContext, ssl.SSLContext],
    listen: str,
) -> None:
    server, client = certified

    def greet(port: int) -> ssl.SSLSocket:
        secure = client.wrap_socket(
            socket.create_connection(("127.0.0.1", port), timeout=10), server_hostname="127.0.0.1"
        )
        assert secure.recv(1)
        return secure

    async def walk() -> None:
        manifest = next(one for one in catalogue.manifests() if one.listen == listen)
        listener = Listener(manifest.open(house_of(acceptance)), limits=Limits(), tls=server)
        await listener.start("127.0.0.1:0")
        mute = await asyncio.to_thread(greet, listener.port)
        async with asyncio.timeout(20):
            await listener.stop(grace=60)
        said = mute.recv(1000) + mute.recv(1000)  # that we go has been said, and is there to be read
        mute.close()
        assert said

    run_in(new_loop, walk())


@pytest.mark.parametrize("octets", [b"EHLO c\r\n", b"\x16\x03\x01\xff\xff" + bytes(100)])
async def test_what_is_no_handshake_is_cut_off(
    acceptance: FakeAcceptance, certified: tuple[ssl.SSLContext, ssl.SSLContext], octets: bytes
) -> None:
    async with in_tls(acceptance, certified[0], limits=Limits(connections=1)) as listener:
        async with call(listener.port) as wrong:
            await wrong.send(octets)
            wrong.half_close()
            with contextlib.suppress(ConnectionResetError):
                await wrong.rest()
        await asyncio.to_thread(lambda: greeted(listener.port, certified[1]))


def greeted(port: int, client: ssl.SSLContext) -> None:
    """The place is free again."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    with plain, client.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
        assert secure.recv(4) == b"220 "

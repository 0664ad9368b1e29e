# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Where a URL may lead: every way known to us of writing "inside" is refused, at the moment of connecting."""

from __future__ import annotations

from collections import deque
from ipaddress import ip_address, ip_network

import pytest

from mailroom.senders.egress import Egress
from mailroom.senders.http import Answer, Fault, Http, NoAnswer
from tests.senders.peers import Names, hang, peer, says

INSIDE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.1.2.3",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::7f00:1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "ff02::1",
]
OUTSIDE = ["8.8.8.8", "1.1.1.1", "100.63.255.255", "172.15.255.255", "172.32.0.1", "223.255.255.255"]
OUTSIDE_6 = ["2606:4700::1111", "2400:3200::1", "2a00:1450:4001::1", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_not_public_is_refused(address: str) -> None:
    assert not Egress().permits(ip_address(address))


@pytest.mark.parametrize("address", OUTSIDE + OUTSIDE_6)
def test_what_is_public_is_not(address: str) -> None:
    assert Egress().permits(ip_address(address))


def test_a_network_that_is_named_is_allowed_and_nothing_beside_it() -> None:
    egress = Egress((ip_network("10.1.0.0/16"), ip_network("fd00:1::/32")))
    assert egress.permits(ip_address("10.1.2.3"))
    assert egress.permits(ip_address("::ffff:10.1.2.3"))
    assert egress.permits(ip_address("fd00:1::5"))
    assert not egress.permits(ip_address("10.2.0.1"))
    assert not egress.permits(ip_address("fd00:2::5"))
    assert not egress.permits(ip_address("2002:a01:203::"))  # 6to4 around an allowed address is not that address


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "2130706433",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:0:0:1]",
        "[64:ff9b::7f00:1]",
        "127。0。0。1",
        "①②⑦.0.0.1",
    ],
)
async def test_no_spelling_of_this_machine_is_reached(host: str) -> None:
    reached: list[bool] = []

    async def talk(*_streams: object) -> None:
        reached.append(True)

    client = Http(Egress())
    async with peer(talk) as port:
        answer = await client.post(f"http://{host}:{port}/", b"x", headers={}, timeout=2000)
    await client.close()
    assert isinstance(answer, NoAnswer)
    assert answer.fault in {Fault.EGRESS_REFUSED, Fault.INVALID_URL, Fault.DNS}
    assert answer.fault.before_sending
    assert not reached


async def test_a_name_that_resolves_inside_is_refused() -> None:
    client = Http(Egress(), Names(deque([["10.0.0.1", "192.168.0.1", "fd00::1"]])))
    answer = await client.post("http://inside.example/hook?key=hidden", b"x", headers={})
    await client.close()
    assert answer == NoAnswer(
        Fault.EGRESS_REFUSED, "inside.example:80 is in a private network that egress.allow does not name."
    )


async def test_a_name_that_changes_between_check_and_use_is_refused() -> None:
    """DNS rebinding: the first answer is fine, the second is this machine."""
    names = Names(deque([["127.0.0.1"], ["127.0.0.2"]]))
    client = Http(Egress((ip_network("127.0.0.1/32"),)), names)
    async with peer(says(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")) as port:
        first = await client.post(f"http://flips.example:{port}/", b"x", headers={})
        await client.close()
        second = await client.post(f"http://flips.example:{port}/", b"x", headers={})
        await client.close()
    assert isinstance(first, Answer)
    assert isinstance(second, NoAnswer)
    assert second.fault is Fault.EGRESS_REFUSED


@pytest.mark.parametrize("addresses", [["127.0.0.2", "127.0.0.1"], ["127.0.0.1", "127.0.0.2"], ["::1", "127.0.0.1"]])
async def test_of_two_addresses_only_the_permitted_one_is_called(addresses: list[str]) -> None:
    """Happy eyeballs race several addresses; one bad one among them must not be connected to."""
    callers: list[str] = []

    async def talk(_reader: object, writer: object) -> None:
        callers.append(writer.get_extra_info("sockname")[0])  # type: ignore[attr-defined]  # a StreamWriter
        await says(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")(_reader, writer)  # type: ignore[arg-type]  # likewise

    client = Http(Egress((ip_network("127.0.0.1/32"),)), Names(deque([addresses])))
    async with peer(talk, host="127.0.0.1") as port:
        answer = await client.post(f"http://two.example:{port}/", b"x", headers={})
    await client.close()
    assert isinstance(answer, Answer)
    assert callers == ["127.0.0.1"]


async def test_a_redirect_inside_is_not_followed() -> None:
    reached: list[bool] = []

    async def inner(*_streams: object) -> None:
        reached.append(True)

    async with peer(inner, host="127.0.0.2") as inside:
        location = f"http://127.0.0.2:{inside}/".encode()
        redirect = b"HTTP/1.1 307 Go\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"
        async with peer(says(redirect)) as port:
            client = Http(Egress((ip_network("127.0.0.0/8"),)))
            answer = await client.post(f"http://127.0.0.1:{port}/", b"x", headers={})
            await client.close()
    assert isinstance(answer, Answer)
    assert answer.status == 307
    assert not reached


@pytest.mark.parametrize(
    ("host", "permitted"),
    [
        ("hooks.example", True),
        ("8.8.8.8", True),
        ("10.0.0.1", False),
        ("::1", False),
        ("localhost", False),
        ("LocalHost.", False),
        ("box.localhost", False),
    ],
)
def test_a_host_is_judged_at_sight_when_a_url_is_saved(host: str, permitted: bool) -> None:  # noqa: FBT001  # a table
    assert Egress().permits_host(host) is permitted


async def test_the_egress_guard_does_not_wait_for_a_connection() -> None:
    client = Http(Egress())
    async with peer(hang) as port:
        answer = await client.post(f"http://127.0.0.1:{port}/", b"x", headers={}, timeout=60_000)
    await client.close()
    assert isinstance(answer, NoAnswer)

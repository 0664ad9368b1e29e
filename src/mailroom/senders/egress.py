# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Which addresses this server may call. A URL comes from a person, and must not become a door into our own network.

What counts is the address that a socket is about to connect to: neither the name, nor what it resolved to a moment
ago. The lists are our own because `ipaddress.is_global` differs between versions of Python and takes multicast, NAT64
and 6to4 (each of which can lead back inside) for public.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import Final

from aiohttp import AddrInfoType

from mailroom.core.settings import Network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# IANA IPv4 Special-Purpose Address Registry (RFC 6890).
_NOT_PUBLIC_4: Final = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this host; Linux connects 0.0.0.0 to itself
        "10.0.0.0/8",  # RFC 1918
        "100.64.0.0/10",  # carrier-grade NAT, RFC 6598
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local: clouds keep their credentials service here
        "172.16.0.0/12",  # RFC 1918
        "192.0.0.0/24",
        "192.0.2.0/24",  # documentation, RFC 5737
        "192.88.99.0/24",  # 6to4 relays, RFC 7526
        "192.168.0.0/16",  # RFC 1918
        "198.18.0.0/15",  # benchmarks, RFC 2544
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)

# Of IPv6 only 2000::/3 is given out at all (RFC 4291 §2.4). That leaves out loopback, mapped and compatible
# IPv4, both NAT64 prefixes (RFC 6052, RFC 8215), unique local, link-local and multicast addresses.
_GIVEN_OUT_6: Final = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_6: Final = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo carries an IPv4 address inside (RFC 4380)
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4 carries an IPv4 address inside (RFC 3056)
        "3fff::/20",  # documentation, RFC 9637
    )
)


class Denied(OSError):
    """The socket was not opened: its address is not public, and `egress.allow` does not name it."""


@dataclass(frozen=True, slots=True)
class Egress:
    """Public addresses, and the networks of `egress.allow`; nothing else."""

    allow: tuple[Network, ...] = ()

    def permits(self, address: Address) -> bool:
        """Whether we may connect there. An IPv4 address in IPv6 dress (`::ffff:0:0/96`) is judged as what it is."""
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return _is_public(address) or any(address in network for network in self.allow)

    def permits_host(self, host: str) -> bool:
        """Whether a URL with this host may be saved. Only what is an address at sight is judged; no look-up is made."""
        if is_localhost(host):
            return self.permits(ipaddress.IPv4Address("127.0.0.1"))
        try:
            return self.permits(ipaddress.ip_address(host.rstrip(".")))
        except ValueError:
            return True

    def open_socket(self, info: AddrInfoType) -> socket.socket:
        """A socket for one line of `getaddrinfo`, not yet connected. Raises `Denied`."""
        family, kind, protocol, _, target = info
        if not self.permits(ipaddress.ip_address(str(target[0]))):
            raise Denied("the address is not public")
        return socket.socket(family=family, type=kind, proto=protocol)


def is_localhost(host: str) -> bool:
    """The name is this machine's, whatever a name server says (RFC 6761 §6.3)."""
    return f".{host.lower().rstrip('.')}".endswith(".localhost")


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    return address in _GIVEN_OUT_6 and not any(address in network for network in _NOT_PUBLIC_6)

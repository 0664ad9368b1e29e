# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a mail program must be told to reach a mailbox: hosts, ports, user name. One list, from which the DNS records
and every kind of set-up file are made.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mailroom.core.errors import InvalidAddress
from mailroom.core.settings import Settings
from mailroom.directory import addresses, queries
from mailroom.directory.addresses import Address
from mailroom.storage.ports import Tx


@dataclass(frozen=True, slots=True)
class Server:
    """One way in for mail programs."""

    protocol: str  # imap | pop3 | smtp
    host: str
    port: int
    tls: bool  # from the first octet; else by STARTTLS

    @property
    def service(self) -> str:
        """Its name in SRV records (RFC 6186, RFC 8314 §5.1)."""
        if self.protocol == "smtp":
            return "submissions" if self.tls else "submission"
        return self.protocol + "s" * self.tls


# In the order in which a program should try them: TLS from the first octet first (RFC 8314 §3).
_KINDS: Final = (
    ("imaps", "imap", True),
    ("imap", "imap", False),
    ("pop3s", "pop3", True),
    ("pop3", "pop3", False),
    ("submissions", "smtp", True),
    ("submission", "smtp", False),
)


def servers(settings: Settings) -> Sequence[Server]:
    """Every way in that this installation offers, the best of each protocol first. What listens on loopback and is not
    announced is for this machine alone: it is told of only where there is nothing else, as in a trial.
    """
    found, reached = [], []
    for key, protocol, tls in _KINDS:
        where: str = getattr(settings.listen, key)
        if where:
            host, _, port = where.rpartition(":")
            announced: int = getattr(settings.announce, key)
            server = Server(protocol, settings.hostname, announced or int(port), tls)
            found.append(server)
            if announced or not _is_loopback(host):
                reached.append(server)
    return reached or found


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a name, or nothing: every address
        return host == "localhost"


def srv_records(domain: str, settings: Settings) -> Sequence[tuple[str, str]]:
    """Names and values of the SRV records with which a program finds us by the domain alone (RFC 6186). The ways with
    STARTTLS come after those with TLS, and what is not offered is said to be absent.
    """
    offered = servers(settings)
    records = [(f"_{one.service}._tcp.{domain}", f"{0 if one.tls else 10} 1 {one.port} {one.host}.") for one in offered]
    if not any(one.protocol == "pop3" for one in offered):
        records.append((f"_pop3._tcp.{domain}", "0 0 0 ."))
    return records


def address_here(tx: Tx, text: str) -> Address:
    """The address, if its domain is ours and works; whether it has a mailbox is not told to strangers. Raises
    `InvalidAddress`.
    """
    address = addresses.parse(text)
    domain = queries.domains.by_name(tx, address.domain)
    if domain is None or not domain.state.works:
        raise InvalidAddress(address=text)
    return address

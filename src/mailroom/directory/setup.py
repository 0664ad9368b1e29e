# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a mail program must be told to reach a mailbox: hosts, ports, user name. One list, from which the DNS records
and every kind of set-up file are made.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from mailroom.core.errors import InvalidAddress
from mailroom.core.settings import Settings
from mailroom.directory import addresses, queries
from mailroom.directory.addresses import Address
from mailroom.directory.names import canonical_domain
from mailroom.storage.ports import Tx


@dataclass(frozen=True, slots=True)
class Server:
    """One way in for mail programs."""

    protocol: str  # imap | pop3 | smtp | sieve
    host: str
    port: int
    tls: bool  # from the first octet; else by STARTTLS

    @property
    def service(self) -> str:
        """Its name in SRV records (RFC 6186, RFC 8314 §5.1, RFC 5804 §1.8)."""
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
    ("managesieve", "sieve", False),
)
_STS_AGE: Final = 7 * 24 * 3600  # seconds


def servers(settings: Settings) -> Sequence[Server]:
    """Every way to a mailbox that this installation offers, the best of each protocol first. What listens on loopback
    and is not announced is for this machine alone: it is told of only where there is nothing else, as in a trial.
    """
    return [one for one in _offered(settings) if one.protocol != "sieve"]


def _offered(settings: Settings) -> Sequence[Server]:
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
    offered = _offered(settings)
    records = [(f"_{one.service}._tcp.{domain}", f"{0 if one.tls else 10} 1 {one.port} {one.host}.") for one in offered]
    absent = [name for name in ("pop3", "sieve") if not any(one.protocol == name for one in offered)]
    return [*records, *((f"_{name}._tcp.{domain}", "0 0 0 .") for name in absent)]


def web_host(settings: Settings) -> str:
    """The name of the host that answers programs by HTTP."""
    host = urlsplit(settings.public_url).hostname or ""
    try:
        return canonical_domain(host) if re.search("[a-z]", host.rpartition(".")[2]) else settings.hostname
    except InvalidAddress:  # such as localhost
        return settings.hostname


def sts_policy(settings: Settings, mode: str) -> str:
    """Our MTA-STS policy (RFC 8461 §3.2). The mode `none` takes back what others remember of an older one (§8.3)."""
    hosts = settings.mx_hosts or (settings.hostname,)
    lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {host}" for host in hosts), f"max_age: {_STS_AGE}"]
    return "".join(f"{line}\r\n" for line in lines)


def sts_record(settings: Settings, mode: str) -> str:
    """The record that says that there is one, under another id whenever it is another (RFC 8461 §3.1)."""
    return f"v=STSv1; id={hashlib.sha256(sts_policy(settings, mode).encode()).hexdigest()[:20]}"


def address_here(tx: Tx, text: str) -> Address:
    """The address, if its domain is ours and works; whether it has a mailbox is not told to strangers. Raises
    `InvalidAddress`.
    """
    address = addresses.parse(text)
    domain = queries.domains.by_name(tx, address.domain)
    if domain is None or not domain.state.works:
        raise InvalidAddress(address=text)
    return address

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a process must know to start: `mailroom.toml`, then the environment. All else lives in the store.

`MAILROOM_<KEY>` overrides a key, nested with `__`: `MAILROOM_LISTEN__SMTP=127.0.0.1:25`. An unknown key is an error,
so that a misspelt one is not silently ignored.
"""

from __future__ import annotations

import dataclasses
import os
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

from mailroom.core.errors import InvalidValue

Network = IPv4Network | IPv6Network


def _key(default: Any, what: str) -> Any:
    """One setting: its default and what it means, for `docs/reference/settings.md`."""
    return field(default=default, metadata={"what": what})


DATABASE = "mailroom.db"
_DATA = Path("var")
_PROXIES = (
    "networks of proxies in front: mail connections from them begin with a PROXY header (v1 or v2), "
    "and their X-Forwarded-For is believed"
)
_TRUSTED = (
    "networks whose mail is not judged (no SPF, DMARC, greylisting ...) "
    "and whose programs may send passwords outside TLS"
)
_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Where each protocol listens: `host:port`, or "" for not at all."""

    smtp: str = _key("127.0.0.1:2525", "SMTP: mail from other servers")
    lmtp: str = _key("", "LMTP: mail from a mail server in front")
    http: str = _key("127.0.0.1:8025", "webmail")
    https: str = _key("", "webmail in TLS, with the same certificate as mail")
    submission: str = _key("127.0.0.1:2587", "SMTP: mail from members' programs, with STARTTLS (RFC 6409)")
    submissions: str = _key("127.0.0.1:2465", "the same in TLS from the first octet (RFC 8314)")
    imap: str = _key("127.0.0.1:2143", "IMAP with STARTTLS")
    imaps: str = _key("127.0.0.1:2993", "IMAP in TLS from the first octet")
    pop3: str = _key("", "POP3 with STLS")
    pop3s: str = _key("127.0.0.1:2995", "POP3 in TLS from the first octet")
    managesieve: str = _key("", "ManageSieve, for filters, with STARTTLS (RFC 5804)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Announce:
    """The ports that mail programs are told, where they are not those that we listen at; 0: as in `listen`."""

    submission: int = _key(0, "such as 587, when a firewall or a socket unit hands it on")
    submissions: int = _key(0, "such as 465")
    imap: int = _key(0, "such as 143")
    imaps: int = _key(0, "such as 993")
    pop3: int = _key(0, "such as 110")
    pop3s: int = _key(0, "such as 995")
    managesieve: int = _key(0, "such as 4190")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """The certificate and its key."""

    certificate: str = _key("", "PEM file; empty: self-signed, made at the first start")
    key: str = _key("", "PEM file")
    acme: str = _key("", "directory URL of an ACME server that certifies the hostname by HTTP-01; empty: none")
    acme_contact: str = _key("", "e-mail address that the ACME server may write to")
    names: tuple[str, ...] = _key((), "further names for the ACME certificate, such as `mta-sts.corp.example`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Oauth:
    """Signing in by a token of another service (OAUTHBEARER, RFC 7628)."""

    introspection: str = _key("", "URL that says whom a token stands for (RFC 7662); empty: no sign-in by token")
    client_id: str = _key("", "our name there")
    client_secret: str = _key("", "our password there; better given as MAILROOM_OAUTH__CLIENT_SECRET")
    user: str = _key("username", "the answer's field that holds the userid or address")
    audience: str = _key("", "whom a token must be meant for (`aud`); empty: whomever")
    scope: str = _key("", "what a token must allow (`scope`), several divided by spaces; empty: anything")


@dataclass(frozen=True, slots=True, kw_only=True)
class Egress:
    """Where we may connect to."""

    allow: tuple[Network, ...] = _key(
        (), "private networks that push URLs and senders may reach; public addresses always, all else never"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what strangers may ask of us."""

    mail_size: int = _key(50 * 1024 * 1024, "octets of one mail")
    recipients: int = _key(1000, "of one mail")
    sent_per_hour: int = _key(500, "recipients that one member may write to in an hour; 0: no limit")
    sent_per_day: int = _key(2000, "likewise in a day")
    connections: int = _key(1000, "at once, for each mail protocol")
    connections_per_address: int = _key(50, "at once, for each mail protocol and address (IPv6: /64)")
    http_connections: int = _key(5000, "at once")
    http_connections_per_address: int = _key(500, "at once; a whole office may come from one address")
    idle: int = _key(300, "seconds without a sign of life")
    disk_reserve: int = _key(64 * 1024 * 1024, "octets of the disk that stay free: mail is refused before it is full")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All start-up settings."""

    data: Path = _key(_DATA, "folder of the embedded default; the key that seals secrets always lies here")
    database: str = _key("", "`sqlite:///<path>` or `postgresql://...`; empty: `mailroom.db` in the data folder")
    blobs: str = _key("", "`file://<path>`, where bodies over 64 KiB lie; empty: `blobs` in the data folder")
    # Not getfqdn: that asks the DNS, which may be slow or away when a mail server starts.
    hostname: str = field(
        default_factory=socket.gethostname,
        metadata={"what": "what EHLO and Received say; empty: the machine's name"},
    )
    mx_hosts: tuple[str, ...] = _key((), "what a domain's MX must name; empty: the hostname")
    public_url: str = _key("http://127.0.0.1:8025", "where people reach the webmail")
    resolver: str = _key("", "`host:port` of a DNS server, asked where mail and messages go; empty: the system's")
    smarthost: str = _key(
        "", "`smtp://user:password@host:587`, `smtps://...`: all outgoing mail goes there; empty: to each domain's MX"
    )
    mx_port: int = _key(25, "where other mail servers listen")
    sts_port: int = _key(443, "where other domains publish their MTA-STS policies (RFC 8461)")
    trusted: tuple[Network, ...] = _key(_LOOPBACK, _TRUSTED)
    proxies: tuple[Network, ...] = _key((), _PROXIES)
    listen: Listen = field(default_factory=Listen)
    announce: Announce = field(default_factory=Announce)
    tls: Tls = field(default_factory=Tls)
    oauth: Oauth = field(default_factory=Oauth)
    egress: Egress = field(default_factory=Egress)
    limits: Limits = field(default_factory=Limits)

    @property
    def database_url(self) -> str:
        """Where rows lie: the setting, or a file in the data folder."""
        return self.database or f"sqlite:///{self.data / DATABASE}"

    @property
    def blobs_url(self) -> str:
        """Where large bodies lie: the setting, or a folder in the data folder."""
        return self.blobs or f"file://{self.data / 'blobs'}"


# Lists that are of networks, not of names.
_NETWORKS = {"egress.allow", "proxies", "trusted"}


def load(path: Path | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this process. Raises `InvalidValue` that names the key."""
    tree: dict[str, Any] = {}
    if path is not None:
        try:
            tree = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as fault:
            raise InvalidValue(name=str(path), reason=getattr(fault, "strerror", None) or str(fault)) from fault
    for name, value in environment.items():
        if name.startswith("MAILROOM_") and name != "MAILROOM_CONFIG":
            _plant(tree, name.removeprefix("MAILROOM_").lower().split("__"), value)
    filled: Settings = _fill(Settings(), tree, "")
    return filled


def _plant(tree: dict[str, Any], path: list[str], value: str) -> None:
    *branches, leaf = path
    for branch in branches:
        tree = tree.setdefault(branch, {})
        if not isinstance(tree, dict):
            raise InvalidValue(name=".".join(path), reason=f"{branch} is a value, not a group of settings")
    tree[leaf] = value


def _fill(defaults: Any, tree: Mapping[str, Any], prefix: str) -> Any:
    """A copy of the settings class `defaults` with what `tree` says, each value turned into its field's type."""
    known = {f.name for f in dataclasses.fields(defaults)}
    for name in tree:
        if name not in known:
            raise InvalidValue(name=prefix + name, reason="there is no such setting")
    changes = {name: _value(getattr(defaults, name), raw, prefix + name) for name, raw in tree.items()}
    return dataclasses.replace(defaults, **changes)


def _value(default: Any, raw: Any, name: str) -> Any:
    if dataclasses.is_dataclass(default):
        if not isinstance(raw, Mapping):
            raise InvalidValue(name=name, reason="is a group of settings, not a value")
        return _fill(default, raw, name + ".")
    try:
        match default:
            case int():
                return _whole(raw)
            case Path():
                return Path(raw)
            case tuple():
                items = [part.strip() for part in raw.split(",")] if isinstance(raw, str) else raw
                convert = ip_network if name in _NETWORKS else str
                return tuple(convert(item) for item in items if item)
    except (TypeError, ValueError) as fault:
        raise InvalidValue(name=name, reason=str(fault)) from fault
    if not isinstance(raw, str):
        raise InvalidValue(name=name, reason="must be text")
    return raw


def _whole(raw: Any) -> int:
    if isinstance(raw, float | bool):
        raise TypeError("must be a whole number")
    return int(raw)

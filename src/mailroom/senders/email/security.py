# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""How secure a connection to a mail server must be: what its domain has published, weighed. Pure.

DANE (RFC 7672) comes before MTA-STS (RFC 8461 §2); with neither, TLS is used if it is there (RFC 7435).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from mailroom.senders.email.dane import Tlsa
from mailroom.senders.email.sts import Mode, Policy


class Level(enum.Enum):
    """What is asked of a connection."""

    CLEAR = enum.auto()  # no TLS
    MAY = enum.auto()  # TLS if it can be had, whatever the certificate
    MUST = enum.auto()  # TLS, whatever the certificate
    VERIFY = enum.auto()  # TLS, with a certificate for the server's name that we trust
    DANE = enum.auto()  # TLS, with a certificate that the DNS names


@dataclass(frozen=True, slots=True)
class Demand:
    """The level, and for DANE what the certificate is held against."""

    level: Level
    tlsa: tuple[Tlsa, ...] = ()


OPPORTUNISTIC = Demand(Level.MAY)


def decide(host: str, *, tlsa: tuple[Tlsa, ...] = (), policy: Policy | None = None) -> Demand | None:
    """What to ask of a connection to the MX host `host`; none: mail must not go there at all.

    `tlsa` are the host's records from a resolver that validates, `policy` is that of the recipient's domain.
    """
    if tlsa:
        usable = tuple(one for one in tlsa if one.usable)
        # RFC 7672 §2.2: records that we cannot use still say that there is TLS.
        return Demand(Level.DANE, usable) if usable else Demand(Level.MUST)
    if policy is None or policy.mode is not Mode.ENFORCE:
        return OPPORTUNISTIC
    return Demand(Level.VERIFY) if policy.names(host) else None

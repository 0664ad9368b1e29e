# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a session has its server do. Some actions are questions: they wait for one answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from mailroom.delivery.posting import Envelope
from mailroom.protocols.smtp.replies import Answer
from mailroom.protocols.smtp.trace import Hop


@dataclass(frozen=True, slots=True)
class Say:
    """Send these octets."""

    wire: bytes


@dataclass(frozen=True, slots=True)
class Begin:
    """A mail begins: open a spool."""

    hop: Hop


@dataclass(frozen=True, slots=True)
class Keep:
    """Write these octets to the spool. If that fails say `spool_failed`."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Drop:
    """The mail will not be taken, for the reason given, or has been given up by the client: forget the spool."""

    answer: Answer | None


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for so many seconds, then go on."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Authenticate:
    """The client wants to sign in. Answer with `challenged`, `signed_in`, `refused` or `misunderstood`."""

    mechanism: str
    initial: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Respond:
    """What the client says to the challenge. Answer as to `Authenticate`."""

    response: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SendAs:
    """May who has signed in send as this address? Answer with `allowed` or `refused`."""

    address: str


@dataclass(frozen=True, slots=True)
class Find:
    """Who is this, the recipient after `before` others of the mail? Answer with `found` or `refused`."""

    address: str
    size: int
    before: int = 0


@dataclass(frozen=True, slots=True)
class Accept:
    """Keep the spool's mail. Answer with `accepted` or `refused`."""

    envelope: Envelope


@dataclass(frozen=True, slots=True)
class AcceptEach:
    """Keep the spool's mail for whoever takes it. Answer with `accepted_each` or `refused`."""

    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Secure:
    """Read nothing more that is not in TLS, and begin it. Answer with `secured`."""


@dataclass(frozen=True, slots=True)
class Close:
    """Hang up."""


Question = Authenticate | Respond | SendAs | Find | Accept | AcceptEach | Secure
Action = Say | Begin | Keep | Drop | Wait | Close | Question

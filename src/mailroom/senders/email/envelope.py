# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A mail's envelope as the commands that a server understands, by the extensions that it offers. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import idna

from mailroom.senders.contract import CODE_FIELD, Parcel
from mailroom.senders.email.replies import Trouble, joined, xtext

_ENVID_MOST: Final = 100  # RFC 3461 §4.4
_ORCPT_MOST: Final = 500  # RFC 3461 §4.2


@dataclass(frozen=True, slots=True)
class Envelope:
    """One mail to one recipient. What RFC 3461 lets its sender ask for is as it came, in xtext."""

    sender: str
    recipient: str
    size: int
    utf8: bool  # the mail's header needs SMTPUTF8
    eight_bit: bool  # the mail needs 8BITMIME
    ret: str
    envid: str
    notify: Sequence[str]
    orcpt: str

    @property
    def domain(self) -> str:
        """The recipient's."""
        return self.recipient.rpartition("@")[2]


def from_parcel(parcel: Parcel, *, sender: str) -> Envelope:
    """The parcel's envelope; `sender` replaces that of a mail which has one."""
    content, options = parcel.content, parcel.options
    return Envelope(
        sender=sender if sender and content["from"] else content["from"],
        recipient=parcel.address,
        size=content["size"] + len(_code(parcel)),
        utf8=content["utf8"],
        eight_bit=content["eight_bit"],
        ret=content["ret"],
        # With our own name for the recipient a bounce says by itself whom it is about.
        envid=content["envid"] or parcel.code,
        notify=options.get("notify", ()),
        orcpt=options.get("orcpt", ""),
    )


def heading(parcel: Parcel) -> bytes:
    """The header fields that its mail is given on the way."""
    prefix: str = parcel.content.get("prefix", "")
    return _code(parcel) + prefix.encode()


def _code(parcel: Parcel) -> bytes:
    return f"{CODE_FIELD}: {parcel.code}\r\n".encode()


def commands(envelope: Envelope, offered: Mapping[str, str]) -> tuple[bytes, bytes]:
    """MAIL and RCPT for a server that offers these extensions. Raises `Trouble` when the mail cannot go there."""
    sender, recipient = (_plain(address) for address in (envelope.sender, envelope.recipient))
    mail: list[str] = []
    if "SIZE" in offered:
        most = offered["SIZE"]
        if most.isdecimal() and 0 < int(most[:20]) < envelope.size:
            raise Trouble(552, f"5.3.4 the mail has {envelope.size} octets, and the server takes {most[:20]} at most")
        mail.append(f"SIZE={envelope.size}")
    if envelope.eight_bit:
        if "8BITMIME" not in offered:
            raise Trouble(554, "5.6.3 the server takes only 7-bit mail, and this one is not")
        mail.append("BODY=8BITMIME")
    if envelope.utf8 or not (sender + recipient).isascii():
        if "SMTPUTF8" not in offered:
            raise Trouble(550, "5.6.7 the server takes no internationalised mail (SMTPUTF8)")
        mail.append("SMTPUTF8")
    rcpt: list[str] = []
    if "DSN" in offered:
        # Headers are enough for us to know a bounce again.
        mail += [f"RET={envelope.ret or 'HDRS'}", f"ENVID={envelope.envid[:_ENVID_MOST]}"]
        if envelope.notify:
            rcpt.append(f"NOTIFY={','.join(envelope.notify)}")
        if original := envelope.orcpt or _original(recipient):
            rcpt.append(f"ORCPT={original}")
    return joined(f"MAIL FROM:<{sender}>", mail), joined(f"RCPT TO:<{recipient}>", rcpt)


def _original(recipient: str) -> str:
    original = f"rfc822;{xtext(recipient)}"
    return original if recipient.isascii() and len(original) <= _ORCPT_MOST else ""


def _plain(address: str) -> str:
    """The address with a domain in A-labels where that makes it ASCII. Raises `Trouble` for one that would break the
    command.
    """
    if "<" in address or ">" in address or not address.isprintable():
        raise Trouble(553, "5.1.3 the address has signs that no address may have")
    local, at, domain = address.rpartition("@")
    if not local.isascii() or domain.isascii():
        return address
    return f"{local}{at}{to_ascii(domain)}"


def to_ascii(domain: str) -> str:
    """The domain in A-labels, lower case. Raises `Trouble`."""
    try:
        return domain.lower() if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        raise Trouble(553, "5.1.2 the domain is none that can be looked up") from None

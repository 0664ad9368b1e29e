# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What we offer and what goes with it: CAPABILITY, ENABLE, ID, NOOP, CHECK, LOGOUT (RFC 9051 §6.1, RFC 2971)."""

from __future__ import annotations

from typing import Final

from mailroom.protocols.imap import replies
from mailroom.protocols.imap.grammar.values import Capability, Check, Enable, Id, Logout, Noop
from mailroom.protocols.imap.session import Enabled, Session, Then

_ALWAYS: Final = b"IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ENABLE ID"
_SIGNED_IN: Final = (
    b"ACL BINARY CHILDREN CONDSTORE ESEARCH IDLE LIST-EXTENDED LIST-STATUS MOVE MULTIAPPEND NAMESPACE OBJECTID PREVIEW"
    b" QRESYNC QUOTA QUOTA=RES-STORAGE RIGHTS=texk SEARCHRES SORT SORT=DISPLAY SPECIAL-USE CREATE-SPECIAL-USE"
    b" STATUS=SIZE THREAD=ORDEREDSUBJECT THREAD=REFERENCES UIDPLUS UNSELECT UTF8=ACCEPT WITHIN XLIST"
)
_ENABLES: Final = {
    "CONDSTORE": Enabled.CONDSTORE,
    "QRESYNC": Enabled.QRESYNC | Enabled.CONDSTORE,
    "UTF8=ACCEPT": Enabled.UTF8,
    "IMAP4REV2": Enabled.REV2,
}


def words(session: Session) -> bytes:
    """What stands behind CAPABILITY for this client now."""
    terms = session.tools.terms
    if session.principal is None:
        sasl = session.tools.sasl
        offered = [b"AUTH=%b" % name.encode() for name in sasl.mechanisms(session.peer, secure=session.secure)]
        if terms.offers_tls and not session.secure:
            offered.insert(0, b"STARTTLS")
        if not sasl.takes_passwords(session.peer, secure=session.secure):
            offered.append(b"LOGINDISABLED")
        return b" ".join([_ALWAYS, *offered])
    return b"%b %b%b APPENDLIMIT=%d" % (
        _ALWAYS,
        _SIGNED_IN,
        b"" if session.compressed else b" COMPRESS=DEFLATE",
        terms.mail_size,
    )


async def capability(session: Session, _: Capability) -> bytes:
    """CAPABILITY."""
    session.wire.say(b"* CAPABILITY %b\r\n" % words(session))
    return b"OK that is what there is"


async def enable(session: Session, command: Enable) -> bytes:
    """ENABLE (RFC 5161); with UTF8=ACCEPT and IMAP4rev2, mailbox names are UTF-8 from now on."""
    known = [name for name in command.capabilities if name in _ENABLES]
    for name in known:
        session.enabled |= _ENABLES[name]
    spelt = [b"IMAP4rev2" if name == "IMAP4REV2" else name.encode() for name in known]
    session.wire.say(b"* ENABLED%b\r\n" % b"".join(b" " + name for name in spelt))
    return b"OK enabled"


async def identify(session: Session, _: Id) -> bytes:
    """ID (RFC 2971)."""
    session.wire.say(b"* ID (%b %b)\r\n" % (replies.string(b"name"), replies.string(b"Mailroom")))
    return b"OK pleased to meet you"


async def noop(_: Session, __: Noop) -> bytes:
    """NOOP: the news follow by themselves."""
    return b"OK done"


async def check(_: Session, __: Check) -> bytes:
    """CHECK: all is durable anyway."""
    return b"OK done"


async def logout(session: Session, _: Logout) -> bytes:
    """LOGOUT."""
    session.wire.say(b"* BYE see you\r\n")
    session.then = Then.PART
    return b"OK bye"

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mails to others: put into the outbox, and let go of once every recipient has ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from mailroom.core.errors import InvalidValue
from mailroom.core.ids import ContentId, MemberId, MessageId, RecipientId
from mailroom.core.secrets import Secret
from mailroom.delivery import queries
from mailroom.mailboxes import contents, fetch
from mailroom.messaging import receipts, recipients, send, senders
from mailroom.messaging.model import Draft, Due, Origin
from mailroom.messaging.send import Target
from mailroom.messaging.senders import Senders
from mailroom.storage.ports import Store, Tx

if TYPE_CHECKING:
    from mailroom.delivery.posting import Addressee  # which posts through this module

SENDER: Final = "mail"  # the code of the installation's own way out
KIND: Final = "email"


def post(  # noqa: PLR0913 # an envelope, each part by its name
    tx: Tx,
    content_id: ContentId,
    *,
    size: int,
    sender: str,
    addressees: Sequence[Addressee],
    trace: str,
    utf8: bool,
    eight_bit: bool,
    ret: str = "",
    envid: str = "",
    sent_by: MemberId | None = None,
    prefix: str = "",
) -> MessageId:
    """Send the content, of which the caller has counted one reference for us, to addressees elsewhere; durable with the
    caller's commit. `trace` is its Message-ID; `utf8`: it needs SMTPUTF8 (RFC 6531); `eight_bit`: 8BITMIME (RFC 6152);
    `ret` and `envid` as RFC 3461 has them; `prefix` are header fields that it is given on the way.
    """
    sender_id = senders.ensure(tx, code=SENDER, name="Mail", kind=KIND)
    content = {
        "mail": content_id,
        "from": sender,
        "size": size + len(prefix),
        "prefix": prefix,
        "utf8": utf8,
        "eight_bit": eight_bit,
        "ret": ret,
        "envid": envid,
    }
    targets = [
        Target(sender_id, one.address, {"notify": sorted(one.notify), "orcpt": one.orcpt}, lane=_domain(one.address))
        for one in addressees
    ]
    message_id = send.enqueue(tx, Draft(Origin.MAIL, content, trace=trace), targets).message_id
    queries.add_outgoing(tx, message_id, content_id, envelope_from=sender, ret=ret, envid=envid, sent_by=sent_by)
    return message_id


def prepare(tx: Tx, dues: Sequence[Due]) -> Sequence[Due]:
    """Give each recipient the octets of its mail, if it is a small one."""
    found = fetch.packed(tx, [due.content["mail"] for due in dues])
    return [replace(due, octets=found.get(due.content["mail"])) for due in dues]


def release(tx: Tx, message_ids: Sequence[MessageId]) -> None:
    """Let go of those of the mails that are over: each recipient has ended, and who is to hear of it has heard."""
    # Held before it is asked who waits: of two last recipients that end at once, the later one sees to it.
    held = queries.lock_outgoing(tx, message_ids)
    open_ = recipients.open_(tx, [mail.message_id for mail in held])
    over = [mail for mail in held if mail.message_id not in open_]
    queries.remove_outgoing(tx, [mail.message_id for mail in over])
    contents.share_all(tx, [mail.content_id for mail in over], by=-1)


def retry(tx: Tx, recipient_id: RecipientId) -> None:
    """Try a recipient now, through the way out even if that was disabled. Raises `NotFound`, `NotQueued`."""
    send.try_at_once(tx, recipient_id)
    senders.enable(tx, SENDER)


def cancel(tx: Tx, recipient_id: RecipientId) -> None:
    """Give a recipient up; who sent the mail is told. Raises `NotFound`, `NotQueued`."""
    receipts.cancel(tx, recipient_id, reason="550 5.7.0 given up by the administrator")


async def use(store: Store, ways: Senders, smarthost: str) -> None:
    """Let mail go out through the smarthost of the setting, or to each domain's servers if it is empty. A sender that
    was disabled is used again once the setting has changed. Raises `InvalidValue`, `EgressRefused`.
    """
    settings, secrets = read_smarthost(smarthost)

    def is_so(tx: Tx) -> bool:
        sender = senders.by_code(tx, SENDER)
        if sender is None:
            return not settings
        return (sender.settings, ways.secrets(sender)) == (settings, secrets)

    if not await store.read(is_so):
        await store.write(
            lambda tx: ways.save(tx, code=SENDER, name="Mail", kind=KIND, settings=settings, secrets=secrets)
        )


_SCHEMES: Final = {"smtp": ("587", "starttls"), "smtps": ("465", "tls")}


def read_smarthost(url: str) -> tuple[Mapping[str, str], Mapping[str, Secret]]:
    """The settings and secrets of the sender for `smtp://user:password@host:587`, or `smtps://...` for TLS from the
    first octet; `?encryption=none` and `?from=<envelope sender>` may follow. Raises `InvalidValue`.
    """
    if not url:
        return {}, {}
    try:
        parts = urlsplit(url)
        port, encryption = _SCHEMES[parts.scheme]
        port = str(parts.port or port)
    except (KeyError, ValueError):
        raise InvalidValue(name="smarthost", reason="must be like smtp://user:password@host:587") from None
    settings = {"host": parts.hostname or "", "port": port, "encryption": encryption}
    settings |= {"user": unquote(parts.username)} if parts.username else {}
    settings |= {key: value for key, value in parse_qsl(parts.query) if key in {"encryption", "from"}}
    secrets = {"password": Secret(unquote(parts.password))} if parts.password else {}
    return settings, secrets


def _domain(address: str) -> str:
    return address.rpartition("@")[2].casefold()

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Public mailboxes: how many there may be, what they are called, and who sent what from them. Whom one is given to:
`directory.users`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Final

from mailroom.core.errors import InvalidValue, NameTaken, NotFound, PublicMailboxLimit
from mailroom.core.ids import MailboxId, OrganisationId, Uid
from mailroom.directory import addresses, audit, members, policies, rights
from mailroom.directory.model import Actor
from mailroom.mailboxes import queries
from mailroom.mailboxes.model import MailboxKind, MailboxStatus, Sent
from mailroom.storage.ports import Tx

_NAME_WIDEST: Final = 64  # of which a Chinese character takes two
_LAST: Final = Uid(1 << 32)


def ask(tx: Tx, organisation_id: OrganisationId, name: str) -> str:
    """The name, for one more public mailbox; nobody else makes one until the commit. Raises `PublicMailboxLimit`,
    `InvalidValue`, `NameTaken`.
    """
    members.lock_organisation(tx)
    limit = int(policies.get(tx, "mailbox.public_most"))
    if limit and len(queries.mailboxes.public_names(tx, organisation_id)) >= limit:
        raise PublicMailboxLimit(limit=limit)
    return _free(tx, organisation_id, name)


def rename(tx: Tx, by: Actor, mailbox_id: MailboxId, name: str) -> None:
    """Call a public mailbox something else; its address stays. Raises `NoPermission`, `NotFound` (no public mailbox),
    `InvalidValue`, `NameTaken`.
    """
    rights.over_mailbox(tx, by, mailbox_id)
    members.lock_organisation(tx)
    mailbox = queries.mailboxes.mailbox(tx, mailbox_id)
    if mailbox is None or mailbox.kind is not MailboxKind.PUBLIC or mailbox.status is MailboxStatus.RECYCLED:
        raise NotFound(what="public mailbox", name=str(mailbox_id))
    name = _free(tx, mailbox.organisation_id, name, but=mailbox_id)
    queries.mailboxes.rename(tx, mailbox_id, name)
    audit.record(
        tx,
        by,
        "mailbox.name",
        addresses.primary(tx, mailbox_id),
        before={"name": mailbox.name},
        after={"name": name},
        mailbox_id=mailbox_id,
    )


def sent(tx: Tx, mailbox_id: MailboxId, *, before: Uid = _LAST, limit: int) -> Sequence[Sent]:
    """What has been sent from the mailbox, and lies in its Sent folder, below the UID `before`; the newest first.
    Rights are asked at `access`.
    """
    return queries.public.sent(tx, mailbox_id, before=before, limit=limit)


def _free(tx: Tx, organisation_id: OrganisationId, name: str, *, but: MailboxId | None = None) -> str:
    name = unicodedata.normalize("NFC", name.strip())
    width = sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in name)
    if not 0 < width <= _NAME_WIDEST or not name.isprintable():
        raise InvalidValue(
            name="name", reason=f"1 to {_NAME_WIDEST} printable characters, or half as many Chinese ones"
        )
    taken = queries.mailboxes.public_names(tx, organisation_id)
    if any(other.casefold() == name.casefold() for which, other in taken.items() if which != but):
        raise NameTaken(what="mailbox", name=name)
    return name

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""All further addresses of a mailbox at once, as programs that keep a list of their own have it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mailroom.core.ids import MailboxId
from mailroom.directory import addresses
from mailroom.directory.addresses import Address
from mailroom.directory.model import Actor
from mailroom.mailboxes import create, rename
from mailroom.storage.ports import Tx


def every(tx: Tx, mailbox_id: MailboxId) -> Sequence[str]:
    """What reaches the mailbox beside its own address: aliases, then former addresses."""
    return [*addresses.aliases(tx, mailbox_id), *addresses.former(tx, mailbox_id)]


def replace(tx: Tx, by: Actor, mailbox_id: MailboxId, wanted: Collection[Address]) -> None:
    """Let these, and no others, reach the mailbox beside its own address. One that is there stays what it is, alias or
    former address. Raises as `create.alias` does.
    """
    there, named = set(every(tx, mailbox_id)), {str(one): one for one in wanted}
    for old in sorted(there - named.keys()):
        rename.forget(tx, by, mailbox_id, addresses.parse(old))
    for new in sorted(named.keys() - there - {addresses.primary(tx, mailbox_id)}):
        create.alias(tx, by, mailbox_id, named[new])

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A member goes."""

from __future__ import annotations

from mailroom.directory import access, members
from mailroom.directory.model import Actor
from mailroom.mailboxes import recycle
from mailroom.mailboxes.model import Entry, Source
from mailroom.storage.ports import Tx


def member(tx: Tx, by: Actor, userid: str) -> Entry | None:
    """Remove the member; his mailbox waits in the recycle bin: its entry there. All that he could do ends at once, open
    sessions included. Raises `NoPermission`, `NotFound`, `CannotDisable`.
    """
    leaver = members.get(tx, userid)
    members.remove(tx, by, leaver)
    own = access.own_mailbox(tx, leaver.id)
    return None if own is None else recycle.enter(tx, by, own, Source.DELETED_MEMBER)

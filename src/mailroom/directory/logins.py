# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Signing in with a mail program: who a user name and a proof stand for, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

from mailroom.core.errors import WrongCredentials
from mailroom.core.secrets import Secret
from mailroom.directory import access, addresses, credentials
from mailroom.directory.credentials import Passwords
from mailroom.directory.model import Member, Principal, Service
from mailroom.storage.ports import Store, Tx


@dataclass(frozen=True, slots=True)
class Logins:
    """Lets programs in."""

    store: Store
    passwords: Passwords

    async def by_password(self, name: str, password: Secret, *, service: Service, peer: str) -> Principal:
        """Whom the user name (userid or address) and the password stand for. `peer` is the client's address. Raises
        `WrongCredentials`, `TooManyAttempts`, `LoginBlocked`, `Busy`, `Unavailable`.
        """
        member = await credentials.sign_in(self.store, self.passwords, name=name, password=password)
        if member is None:
            raise WrongCredentials
        return await self.store.read(lambda tx: _principal(tx, member))


def _principal(tx: Tx, member: Member) -> Principal:
    mailbox_id = access.own_mailbox(tx, member.id)
    if mailbox_id is None:
        raise WrongCredentials
    return Principal(mailbox_id, addresses.primary(tx, mailbox_id), member)

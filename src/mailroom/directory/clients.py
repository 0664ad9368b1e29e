# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Client passwords: for one mailbox and some services each, made by us, shown once, revocable one by one."""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from mailroom.core.clock import HOUR
from mailroom.core.errors import InvalidValue, NotFound
from mailroom.core.ids import ClientPasswordId, MailboxId
from mailroom.core.secrets import Secret
from mailroom.directory import access, queries, scram
from mailroom.directory.credentials import Passwords
from mailroom.directory.model import Account, ClientPassword, Service
from mailroom.storage.ports import Store, Tx
from mailroom.storage.seal import Seal

REMARK_MOST: Final = 128  # octets
MOST: Final = 50  # of one mailbox
_LETTERS: Final = 16  # of 26: 75 bits
_GROUP: Final = 4
_FORM: Final = re.compile(rf"[a-z]{{{_LETTERS}}}")
_USES_WRITTEN_EVERY: Final = HOUR


def bare(typed: str) -> str | None:
    """A client password without the dashes and spaces that it was typed with; none if it cannot be one."""
    letters = typed.replace("-", "").replace(" ", "").lower()
    return letters if _FORM.fullmatch(letters) else None


def salt(seal: Seal, login: str) -> bytes:
    """The salt that all passwords of one login share (ADR 9)."""
    return scram.salt(seal.derive("SCRAM salts"), login)


def login_of(account: Account) -> str:
    """Whose passwords let in as the account: its owner's, or the public mailbox's own."""
    return login_of_member(account.member.userid) if account.member else f"mailbox:{account.mailbox_id}"


def login_of_member(userid: str) -> str:
    """The same, of a member."""
    return f"member:{userid}"


@dataclass(frozen=True, slots=True)
class ClientPasswords:
    """Makes them."""

    store: Store
    passwords: Passwords
    seal: Seal

    async def create(
        self, mailbox_id: MailboxId, *, remark: str, services: Collection[Service] = tuple(Service)
    ) -> tuple[ClientPassword, Secret]:
        """A new one, and the password itself, which is kept nowhere. Raises `InvalidValue`, `NotFound`, `Busy`."""
        account = await self.store.read(lambda tx: _account(tx, mailbox_id))
        shared = salt(self.seal, login_of(account))
        letters = "".join(secrets.choice(string.ascii_lowercase) for _ in range(_LETTERS))
        shown = "-".join(letters[at : at + _GROUP] for at in range(0, _LETTERS, _GROUP))
        # A program that proves it by SCRAM computes with what was typed: as shown, or without the dashes.
        kept = [str(await self.passwords.in_line(scram.keys, text, shared)) for text in (letters, shown)]
        chosen = [service for service in Service if service in services]
        made = await self.store.write(lambda tx: _add(tx, mailbox_id, remark.strip(), chosen, " ".join(kept)))
        return made, Secret(shown)


def _account(tx: Tx, mailbox_id: MailboxId) -> Account:
    account = queries.accounts.by_mailbox(tx, mailbox_id)
    if account is None:
        raise NotFound(what="mailbox", name=str(mailbox_id))
    return account


def _add(tx: Tx, mailbox_id: MailboxId, remark: str, services: Sequence[Service], kept: str) -> ClientPassword:
    if not remark or len(remark.encode(errors="replace")) > REMARK_MOST or not remark.isprintable():
        raise InvalidValue(name="remark", reason=f"1 to {REMARK_MOST} octets, printable")
    if not services:
        raise InvalidValue(name="service", reason=f"one at least of {', '.join(Service)}")
    if len(queries.accounts.client_passwords(tx, mailbox_id)) >= MOST:
        raise InvalidValue(name="client passwords", reason=f"a mailbox has {MOST} at most; revoke one")
    which = queries.accounts.add_client_password(tx, mailbox_id, remark, services, kept)
    return ClientPassword(which, mailbox_id, remark, frozenset(services), tx.now, None, "")


def of(tx: Tx, mailbox_id: MailboxId) -> Sequence[ClientPassword]:
    """The mailbox's client passwords, the oldest first."""
    return [password for password, _ in queries.accounts.client_passwords(tx, mailbox_id)]


def revoke(tx: Tx, mailbox_id: MailboxId, which: ClientPasswordId) -> None:
    """Let nobody in with it any more; what is open by it ends. Raises `NotFound`."""
    if not queries.accounts.remove_client_password(tx, mailbox_id, which):
        raise NotFound(what="client password", name=str(which))
    access.recheck(tx, mailbox_id)


def is_use_old(password: ClientPassword, now: int) -> bool:
    """Whether its last use was written down so long ago that this one should be."""
    return password.last_used_at is None or now - password.last_used_at >= _USES_WRITTEN_EVERY


def used(tx: Tx, password: ClientPassword, peer: str) -> None:
    """Write down that somebody has signed in with it just now, unless that was written within the hour."""
    if is_use_old(password, tx.now):
        queries.accounts.use_client_password(tx, password.id, peer)

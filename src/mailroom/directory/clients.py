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
from mailroom.core.errors import InvalidValue, NoPermission, NotFound
from mailroom.core.ids import ClientPasswordId, MailboxId
from mailroom.core.secrets import Secret
from mailroom.directory import access, addresses, audit, queries, rights, scram
from mailroom.directory.credentials import Passwords
from mailroom.directory.model import Account, Actor, ActorKind, ClientPassword, Service
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
class Drawn:
    """A client password that is none yet, and what is to be kept of it."""

    shown: Secret
    kept: str


@dataclass(frozen=True, slots=True)
class ClientPasswords:
    """Makes them."""

    store: Store
    passwords: Passwords
    seal: Seal

    async def create(
        self, by: Actor, mailbox_id: MailboxId, *, remark: str, services: Collection[Service] = tuple(Service)
    ) -> tuple[ClientPassword, Secret]:
        """A new one, and the password itself, which is kept nowhere. For a personal mailbox its owner makes it, or who
        runs the machine: whoever administers cannot read mail by it. Raises `NoPermission`, `InvalidValue`, `NotFound`,
        `Busy`.
        """
        drawn = await self.draw(by, mailbox_id)
        made = await self.store.write(lambda tx: add(tx, by, mailbox_id, remark=remark, services=services, drawn=drawn))
        return made, drawn.shown

    async def draw(self, by: Actor, mailbox_id: MailboxId) -> Drawn:
        """One for `add`, which nobody has yet. Raises `NoPermission`, `NotFound`, `Busy`."""
        account = await self.store.read(lambda tx: _account(tx, by, mailbox_id))
        shared = salt(self.seal, login_of(account))
        letters = "".join(secrets.choice(string.ascii_lowercase) for _ in range(_LETTERS))
        shown = "-".join(letters[at : at + _GROUP] for at in range(0, _LETTERS, _GROUP))
        # A program that proves it by SCRAM computes with what was typed: as shown, or without the dashes.
        kept = [str(await self.passwords.in_line(scram.keys, text, shared)) for text in (letters, shown)]
        return Drawn(Secret(shown), " ".join(kept))


def _account(tx: Tx, by: Actor, mailbox_id: MailboxId) -> Account:
    account = queries.accounts.by_mailbox(tx, mailbox_id)
    if account is None:
        raise NotFound(what="mailbox", name=str(mailbox_id))
    if not _is_own(by, account):
        rights.over_mailbox(tx, by, mailbox_id)
        if account.member is not None and by.kind in {ActorKind.MEMBER, ActorKind.KEY}:
            raise NoPermission
    return account


def _is_own(by: Actor, account: Account) -> bool:
    return by.member is not None and account.member is not None and by.member.id == account.member.id


def add(
    tx: Tx, by: Actor, mailbox_id: MailboxId, *, remark: str, services: Collection[Service], drawn: Drawn
) -> ClientPassword:
    """Let it open these services; not those of a mailbox in the bin. Raises as `ClientPasswords.create` does."""
    if not queries.accounts.hold(tx, mailbox_id):
        raise NotFound(what="mailbox", name=str(mailbox_id))
    account = _account(tx, by, mailbox_id)  # that may have changed hands since
    remark, chosen = remark.strip(), [service for service in Service if service in services]
    if not remark or len(remark.encode(errors="replace")) > REMARK_MOST or not remark.isprintable():
        raise InvalidValue(name="remark", reason=f"1 to {REMARK_MOST} octets, printable")
    if not chosen:
        raise InvalidValue(name="service", reason=f"one at least of {', '.join(Service)}")
    if len(queries.accounts.client_passwords(tx, mailbox_id)) >= MOST:
        raise InvalidValue(name="client passwords", reason=f"a mailbox has {MOST} at most; revoke one")
    which = queries.accounts.add_client_password(tx, mailbox_id, remark, chosen, drawn.kept)
    audit.record(tx, by, "password.add", account.address, after={"remark": remark}, mailbox_id=mailbox_id)
    return ClientPassword(which, mailbox_id, remark, frozenset(chosen), tx.now, None, "")


def of(tx: Tx, mailbox_id: MailboxId) -> Sequence[ClientPassword]:
    """The mailbox's client passwords, the oldest first."""
    return [password for password, _ in queries.accounts.client_passwords(tx, mailbox_id)]


def revoke(tx: Tx, by: Actor, mailbox_id: MailboxId, which: ClientPasswordId) -> None:
    """Let nobody in with it any more; what is open by it ends. Raises `NoPermission`, `NotFound`."""
    account = queries.accounts.by_mailbox(tx, mailbox_id)
    if account is None or not _is_own(by, account):
        rights.over_mailbox(tx, by, mailbox_id)
    if not queries.accounts.remove_client_password(tx, mailbox_id, which):
        raise NotFound(what="client password", name=str(which))
    access.recheck(tx, mailbox_id)
    audit.record(
        tx,
        by,
        "password.revoke",
        addresses.primary(tx, mailbox_id),
        before={"id": which},
        mailbox_id=mailbox_id,
    )


def is_use_old(password: ClientPassword, now: int) -> bool:
    """Whether its last use was written down so long ago that this one should be."""
    return password.last_used_at is None or now - password.last_used_at >= _USES_WRITTEN_EVERY


def used(tx: Tx, password: ClientPassword, peer: str) -> None:
    """Write down that somebody has signed in with it just now, unless that was written within the hour."""
    if is_use_old(password, tx.now):
        queries.accounts.use_client_password(tx, password.id, peer)

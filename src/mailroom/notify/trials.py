# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""An administrator's try of one way: a sample that goes out at once, once, and what the other end says to it."""

from __future__ import annotations

from dataclasses import dataclass

from mailroom.core.clock import Clock
from mailroom.core.errors import InvalidValue
from mailroom.core.ids import NewId
from mailroom.core.text import N_, translation
from mailroom.directory import audit, rights
from mailroom.directory.model import Actor
from mailroom.messaging.senders import Senders
from mailroom.notify import compose, new_mail, numbers, settings
from mailroom.notify.model import Way
from mailroom.senders.contract import Account, Outcome, Parcel, Refused, TryLater, Why
from mailroom.storage.ports import Store, Tx

_PHONES = frozenset(Way)
_ACCOUNT = N_(
    "The account of {code} does not work: see `mailroom notify settings show`, and set its secret, its rights or its "
    "balance right, or this server's address at the provider."
)


def why(outcome: Outcome) -> Why:
    """What is behind a failure."""
    return outcome.why if isinstance(outcome, Refused | TryLater) else Why.OTHER


def advice(kind: str, outcome: Outcome, language: str) -> str:
    """What an administrator is to do, if he is; else ""."""
    if why(outcome) is not Why.ACCOUNT:
        return ""
    return translation(language).gettext(_ACCOUNT).format(code=settings.code_of(kind))


@dataclass(frozen=True, slots=True)
class Trials:
    """Sends samples. They are in no queue, and count for nothing."""

    store: Store
    senders: Senders
    clock: Clock
    new_id: NewId

    async def send(self, by: Actor, kind: str, address: str) -> Outcome:
        """Send one through the account that is set up for the kind; the push may go to another URL, with what else is
        set. Raises `NoPermission`, `InvalidValue`, `InvalidPhone`, `EgressRefused`.
        """
        account = await self.store.write(lambda tx: self._account(tx, by, kind))
        content = compose.sample(None, self.clock())
        if kind == settings.PUSH_KIND:
            account = Account(
                account.code, dict(account.settings) | ({"url": address} if address else {}), account.secrets
            )
            content = new_mail.SAMPLE
            if not account.settings.get("url"):
                raise InvalidValue(name="address", reason="give a URL, or set push_url first")
        way = self.senders.kind(kind)
        settings.ask(way, account.settings, account.secrets)
        if way.manifest.reach == Way.SMS:
            if not address:
                raise InvalidValue(name="address", reason="give a mobile number")
            address = numbers.normal(address)
        return await way.send(account, Parcel(f"msg_{self.new_id()}", address, content, 1, self.clock()))

    def _account(self, tx: Tx, by: Actor, kind: str) -> Account:
        rights.over_all(by)
        manifest = self.senders.kind(kind).manifest
        if kind != settings.PUSH_KIND and manifest.reach not in _PHONES:
            raise InvalidValue(name="kind", reason="sends no notices")
        sender = settings.sender(tx, kind)
        audit.record(tx, by, "notify.test", kind)
        return self.senders.account(sender) if sender else Account("test", {}, {})

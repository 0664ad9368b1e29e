# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Senders: the configured ways out, their secrets sealed at rest."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mailroom.core.errors import InvalidValue
from mailroom.core.ids import SenderId
from mailroom.core.secrets import Secret
from mailroom.messaging import queries
from mailroom.messaging.model import Sender, SenderState
from mailroom.messaging.send import TOPIC
from mailroom.senders.contract import Account, SenderKind
from mailroom.storage.ports import Tx
from mailroom.storage.seal import Seal


class Health(enum.StrEnum):
    """How a sender does."""

    WORKING = "working"
    FAILING = "failing"  # its last attempts have failed; it is tried again by itself
    ERROR = "error"  # it fails until an administrator has seen to it
    DISABLED = "disabled"


def health(sender: Sender) -> Health:
    """How it does; `sender.reason` says why."""
    if sender.state is SenderState.DISABLED:
        return Health.DISABLED
    if sender.faulty:
        return Health.ERROR
    return Health.WORKING if sender.failing_since is None else Health.FAILING


@dataclass(frozen=True, slots=True)
class Senders:
    """Makes, changes and opens senders."""

    kinds: Mapping[str, SenderKind]
    seal: Seal

    def kind(self, name: str) -> SenderKind:
        """The code behind a kind. Raises `InvalidValue`."""
        try:
            return self.kinds[name]
        except KeyError:
            raise InvalidValue(name="kind", reason=f"one of: {', '.join(sorted(self.kinds))}") from None

    def save(
        self,
        tx: Tx,
        *,
        code: str,
        name: str,
        kind: str,
        settings: Mapping[str, str],
        secrets: Mapping[str, Secret],
        state: SenderState = SenderState.ACTIVE,
    ) -> SenderId:
        """Make the sender with that code, or give it new settings; either way it counts its failures from none. The
        settings of an active one are checked. Raises `InvalidValue`, `EgressRefused`.
        """
        if state is SenderState.ACTIVE:
            self.kind(kind).check(settings, secrets)
        opened = {key: secret.reveal() for key, secret in secrets.items()}
        sender_id = queries.senders.save(
            tx,
            code=code,
            name=name,
            kind=kind,
            settings=json.dumps(dict(settings), ensure_ascii=False),
            secrets=self.seal.seal(json.dumps(opened)),
            state=state,
        )
        tx.hint(TOPIC)
        return sender_id

    def account(self, sender: Sender) -> Account:
        """The sender with its secrets open, for the moment of sending."""
        return Account(sender.code, sender.settings, self.secrets(sender))

    def secrets(self, sender: Sender) -> dict[str, Secret]:
        """The sender's secrets."""
        if not sender.sealed:
            return {}
        opened: dict[str, str] = json.loads(self.seal.unseal(sender.sealed).reveal())
        return {key: Secret(text) for key, text in opened.items()}


def sealed(tx: Tx) -> Sequence[bytes]:
    """Secrets of some sender as they are kept, to try the key at."""
    return queries.senders.sealed(tx)


def by_code(tx: Tx, code: str) -> Sender | None:
    """The sender with that code."""
    return queries.senders.by_code(tx, code)


def ensure(tx: Tx, *, code: str, name: str, kind: str) -> SenderId:
    """The sender with that code; made, without settings or secrets, if there is none."""
    sender = by_code(tx, code)
    if sender is not None:
        return sender.id
    return queries.senders.save(
        tx, code=code, name=name, kind=kind, settings="{}", secrets=b"", state=SenderState.ACTIVE
    )


def enable(tx: Tx, code: str) -> None:
    """Use the sender with that code, whatever has gone wrong with it so far."""
    sender = hold(tx, code)
    if sender is not None:
        queries.senders.change_state(tx, sender.id, SenderState.ACTIVE, "")
        queries.senders.works(tx, sender.id)
        tx.hint(TOPIC)


def hold(tx: Tx, code: str) -> Sender | None:
    """The sender with that code, kept from being changed by others until the commit."""
    return queries.senders.lock_by_code(tx, code)

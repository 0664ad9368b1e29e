# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Certificates that an ACME server gave us, the key of our account there, and our answers to its challenges; one set
for all nodes.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailroom.core.clock import HOUR, MINUTE
from mailroom.core.secrets import Secret
from mailroom.directory import queries
from mailroom.storage.ports import Tx
from mailroom.storage.seal import Seal

_RENEWING = 10 * MINUTE
_ANSWERS_KEPT = HOUR


@dataclass(frozen=True, slots=True)
class Certificate:
    """A chain, leaf first, and its key, both PEM. `expires_at` is in milliseconds; 0 for a key that certifies nothing,
    such as an account's.
    """

    chain: str
    key: Secret
    expires_at: int


def get(tx: Tx, seal: Seal, name: str) -> Certificate | None:
    """What is kept under that name."""
    found = queries.certificates.get(tx, name)
    if found is None:
        return None
    chain, key, expires_at = found
    return Certificate(chain, seal.unseal(key), expires_at)


def keep(tx: Tx, seal: Seal, name: str, certificate: Certificate) -> None:
    """Keep it under that name, in the place of the one before; its renewal has ended."""
    queries.certificates.save(
        tx,
        name,
        chain=certificate.chain,
        private_key=seal.seal(certificate.key.reveal()),
        expires_at=certificate.expires_at,
    )


def begin_renewal(tx: Tx, name: str) -> bool:
    """Whether it is ours to renew now; nobody else begins within ten minutes."""
    return queries.certificates.begin_renewal(tx, name, until=tx.now + _RENEWING) > 0


def answer(tx: Tx, token: str) -> str:
    """What we have to say to the challenge, "" if there is none such."""
    return queries.certificates.answer(tx, token)


def answers(tx: Tx, said: dict[str, str]) -> None:
    """Be ready for challenges: token and answer. Old ones are forgotten."""
    queries.certificates.forget_answers(tx, tx.now - _ANSWERS_KEPT)
    for token, text in said.items():
        queries.certificates.add_answer(tx, token, text)

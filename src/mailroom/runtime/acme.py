# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A certificate from an ACME server, by HTTP-01 (RFC 8555 §8.3), renewed when a third of its time is left.

The library talks to the server in a thread; answers and certificates lie in the store, so any node may be asked for an
answer, and all nodes show the new certificate.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mailroom.core import log
from mailroom.core.clock import SECOND, Clock
from mailroom.core.errors import InvalidValue
from mailroom.core.secrets import Secret
from mailroom.core.settings import Settings
from mailroom.directory import certificates
from mailroom.directory.certificates import Certificate
from mailroom.storage.ports import Store
from mailroom.storage.seal import Seal

if TYPE_CHECKING:
    from acme.client import ClientV2
    from acme.messages import OrderResource

_LOG = log.get("acme")

_LOOK_EVERY: Final = 600.0  # seconds
_AGENT: Final = "mailroom"


@dataclass(frozen=True, slots=True)
class Acme:
    """Gets and renews the certificate for the hostname and `tls.names`. `trust` is a PEM file with the authority of the
    ACME server's own certificate; "" are the usual ones.
    """

    settings: Settings
    store: Store
    seal: Seal
    clock: Clock
    trust: str = ""

    async def run(self) -> None:
        """See to it until cancelled."""
        while True:
            await self.once()
            await asyncio.sleep(_LOOK_EVERY)

    async def once(self) -> bool:
        """Get a certificate if it is time, and nobody else is getting it; whether one came. A failure is logged, and
        tried again in ten minutes.
        """
        name = self.settings.hostname
        held = await self.store.read(lambda tx: certificates.get(tx, self.seal, name))
        if held is not None and not self._is_due(held):
            return False
        if not await self.store.write(lambda tx: certificates.begin_renewal(tx, name)):
            return False
        try:
            given = await self._order()
        except Exception:  # noqa: BLE001 # whatever the library and the other end do wrong: the old certificate stays
            _LOG.exception("no certificate", name=name)
            return False
        await self.store.write(lambda tx: certificates.keep(tx, self.seal, name, given))
        _LOG.info("certificate given", name=name)
        return True

    def _is_due(self, held: Certificate) -> bool:
        leaf = x509.load_pem_x509_certificate(held.chain.encode())
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if set(names.get_values_for_type(x509.DNSName)) != set(self._names()):
            return True
        lasts = (leaf.not_valid_after_utc - leaf.not_valid_before_utc).total_seconds() * SECOND
        return self.clock() > held.expires_at - lasts / 3

    def _names(self) -> list[str]:
        return list(dict.fromkeys((self.settings.hostname, *self.settings.tls.names)))

    async def _order(self) -> Certificate:
        client = await self._client()
        key = ec.generate_private_key(ec.SECP256R1())
        order = await asyncio.to_thread(self._begin, client, key)
        challenges = _challenges(client, order)
        await self.store.write(lambda tx: certificates.answers(tx, {token: said for token, said, _, _ in challenges}))
        chain = await asyncio.to_thread(_finish, client, order, challenges)
        leaf = x509.load_pem_x509_certificate(chain.encode())
        return Certificate(chain, Secret(_pem(key)), round(leaf.not_valid_after_utc.timestamp() * SECOND))

    async def _client(self) -> ClientV2:
        name = f"account {self.settings.tls.acme}"
        kept = await self.store.read(lambda tx: certificates.get(tx, self.seal, name))
        key = Secret(_pem(ec.generate_private_key(ec.SECP256R1()))) if kept is None else kept.key
        client = await asyncio.to_thread(self._register, key)
        if kept is None:
            await self.store.write(lambda tx: certificates.keep(tx, self.seal, name, Certificate("", key, 0)))
        return client

    def _register(self, secret: Secret) -> ClientV2:
        from acme import client, errors, messages  # noqa: PLC0415 # an extra, loaded when it is used
        from josepy.jwa import ES256  # noqa: PLC0415 # likewise
        from josepy.jwk import JWKEC  # noqa: PLC0415 # likewise

        key = serialization.load_pem_private_key(secret.reveal().encode(), None)
        trust: Any = self.trust or True  # the library hands it on to `requests`, which takes a path as well
        network = client.ClientNetwork(JWKEC(key=key), alg=ES256, user_agent=_AGENT, verify_ssl=trust)
        directory = client.ClientV2.get_directory(self.settings.tls.acme, network)
        found = client.ClientV2(directory, network)
        contact = self.settings.tls.acme_contact
        try:
            found.new_account(messages.NewRegistration.from_data(email=contact or None, terms_of_service_agreed=True))
        except errors.ConflictError as known:
            account = messages.RegistrationResource(uri=known.location, body=messages.Registration())
            network.account = found.query_registration(account)
        return found

    def _begin(self, client: ClientV2, key: ec.EllipticCurvePrivateKey) -> OrderResource:
        from acme.crypto_util import make_csr  # noqa: PLC0415 # likewise

        return client.new_order(make_csr(_pem(key).encode(), self._names()))


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


# Token, answer, and what the library needs to say that the answer is there.
_Challenge = tuple[str, str, Any, Any]


def _challenges(client: ClientV2, order: OrderResource) -> list[_Challenge]:
    from acme.challenges import HTTP01  # noqa: PLC0415 # likewise
    from acme.messages import STATUS_VALID  # noqa: PLC0415 # likewise

    found: list[_Challenge] = []
    for authorisation in order.authorizations:
        if authorisation.body.status == STATUS_VALID:
            continue
        offered = [one for one in authorisation.body.challenges if isinstance(one.chall, HTTP01)]
        if not offered:
            raise InvalidValue(name="tls.acme", reason="the server offers no HTTP-01 challenge")
        response, said = offered[0].chall.response_and_validation(client.net.key)
        found.append((offered[0].chall.encode("token"), said, offered[0], response))
    return found


def _finish(client: ClientV2, order: OrderResource, challenges: list[_Challenge]) -> str:
    for _, _, challenge, response in challenges:
        client.answer_challenge(challenge, response)
    chain: str = client.poll_and_finalize(order).fullchain_pem
    return chain

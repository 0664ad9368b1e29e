# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The keys that sign a domain's mail: RSA for everybody, Ed25519 for those who know it (RFC 8463).

A key is new until its record is seen in the DNS: only then it signs, and the older ones of its kind retire, published a
while longer for mail under way. So nothing is ever signed that nobody could verify.
"""

from __future__ import annotations

import asyncio
import base64
import enum
import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import dns.asyncresolver
import dns.exception
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from mailroom.core.clock import DAY, iso
from mailroom.core.secrets import Secret
from mailroom.directory import domains, queries
from mailroom.directory.model import Domain
from mailroom.mime.dkim import SigningKey
from mailroom.storage.ports import Conflict, Store, Tx
from mailroom.storage.seal import Seal

_RSA_BITS = 2048  # RFC 8301 §3.2; longer ones do not fit into one string of a TXT record with ease
# Mail stays in queues for five days, and is read again later.
_RETIRED_FOR = 30 * DAY
_LOADED_MOST = 1000


class KeyState(enum.StrEnum):
    """What a key is for."""

    NEW = "new"
    ACTIVE = "active"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class DkimKey:
    """The public half of a key."""

    id: int
    domain: str
    selector: str
    algorithm: str
    public_key: str
    state: KeyState

    @property
    def name(self) -> str:
        """Where its record belongs."""
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def record(self) -> str:
        """The text of its TXT record."""
        kind = "ed25519" if self.algorithm == "ed25519-sha256" else "rsa"
        return f"v=DKIM1; k={kind}; p={self.public_key}"


@dataclass(frozen=True, slots=True)
class Pair:
    """A key of which nobody knows yet."""

    algorithm: str
    private: Secret  # PKCS8, PEM
    public: str


def make_pairs() -> tuple[Pair, Pair]:
    """A new key of each algorithm. Takes a while: call it in a thread, outside a transaction."""
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
    ed_key = Ed25519PrivateKey.generate()
    der = rsa_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    raw = ed_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return _pair("rsa-sha256", rsa_key, der), _pair("ed25519-sha256", ed_key, raw)


def _pair(algorithm: str, private: rsa.RSAPrivateKey | Ed25519PrivateKey, public: bytes) -> Pair:
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Pair(algorithm, Secret(pem.decode()), base64.b64encode(public).decode())


def keys(tx: Tx, domain: str) -> Sequence[DkimKey]:
    """The keys of a domain, the oldest first."""
    return [_to_key(row) for row in queries.keys.of_domain(tx, domain)]


def _to_key(row: tuple[int, str, str, str, str, str]) -> DkimKey:
    return DkimKey(*row[:5], KeyState(row[5]))


@dataclass(frozen=True, slots=True)
class DkimKeys:
    """Makes keys, lets them sign and retire, and hands them to who signs."""

    store: Store
    seal: Seal
    _loaded: dict[bytes, SigningKey] = field(default_factory=dict, init=False, repr=False)

    async def ensure(self, name: str) -> Sequence[DkimKey]:
        """The domain's keys; they are made if there are none. Raises `NotFound`."""
        domain = await self.store.read(lambda tx: domains.get(tx, name))
        found = await self.store.read(lambda tx: keys(tx, domain.name))
        if found:
            return found
        return await self._make(domain, only_first=True)

    async def rotate(self, name: str) -> Sequence[DkimKey]:
        """The domain's keys, with a new pair that will sign once it is published. Raises `NotFound`."""
        domain = await self.store.read(lambda tx: domains.get(tx, name))
        return await self._make(domain, only_first=False)

    async def _make(self, domain: Domain, *, only_first: bool) -> Sequence[DkimKey]:
        pairs = await asyncio.to_thread(make_pairs)
        sealed = [(pair, self.seal.seal(pair.private.reveal())) for pair in pairs]

        def work(tx: Tx) -> Sequence[DkimKey]:
            there = keys(tx, domain.name)
            if there and only_first:  # another process was faster
                return there
            taken = {key.selector for key in there}
            for pair, private in sealed:
                selector = next(name for name in _selectors(tx.now) if name not in taken)
                taken.add(selector)
                queries.keys.add(
                    tx,
                    domain.id,
                    selector=selector,
                    algorithm=pair.algorithm,
                    private_key=private,
                    public_key=pair.public,
                    state=KeyState.NEW.value,
                )
            return keys(tx, domain.name)

        while True:
            try:
                return await self.store.write(work)
            except Conflict:  # two at once: the other was first, and is there now
                continue

    async def advance(self, resolver: dns.asyncresolver.Resolver, name: str = "") -> None:
        """Let the new keys sign that the DNS shows, of one domain or of all; forget those that retired long ago."""
        now = await self.store.read(lambda tx: tx.now)
        for key in await self.store.read(lambda tx: queries.keys.in_state(tx, KeyState.NEW.value, before=now + DAY)):
            one = _to_key(key)
            if name in {"", one.domain} and await _is_published(resolver, one):
                await self.store.write(partial(activate, key=one))
        await self.store.write(_forget)

    def signing(self, tx: Tx, domain: str) -> Sequence[SigningKey]:
        """The keys that sign for a domain; none where it has none, or does not work. Raises `InvalidValue` for one
        that was sealed with another key than ours.
        """
        return [self._load(domain, *row) for row in queries.keys.signing(tx, domain)]

    def _load(self, domain: str, selector: str, sealed: bytes) -> SigningKey:
        loaded = self._loaded.get(sealed)
        if loaded is None:
            pem = self.seal.unseal(sealed).reveal().encode()
            # We have made it ourselves; proving its primes again would take longer than a thousand signatures.
            private = load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
            assert isinstance(private, rsa.RSAPrivateKey | Ed25519PrivateKey)
            if len(self._loaded) >= _LOADED_MOST:
                self._loaded.clear()
            loaded = self._loaded[sealed] = SigningKey(domain, selector, private)
        return loaded


def activate(tx: Tx, key: DkimKey) -> None:
    """The key signs from the commit on; those of its kind that did so retire."""
    for other in keys(tx, key.domain):
        if other.algorithm == key.algorithm and other.state is KeyState.ACTIVE and other.id != key.id:
            queries.keys.change_state(tx, other.id, KeyState.RETIRED.value)
    queries.keys.change_state(tx, key.id, KeyState.ACTIVE.value)


def _forget(tx: Tx) -> None:
    for row in queries.keys.in_state(tx, KeyState.RETIRED.value, before=tx.now - _RETIRED_FOR):
        queries.keys.remove(tx, row[0])


def _selectors(now: int) -> Sequence[str]:
    """Names for keys in the order they are used: the year and a letter, then two."""
    year = iso(now)[:4]
    letters = string.ascii_lowercase
    return [f"m{year}{first}{second}" for first in ("", *letters) for second in letters]


async def _is_published(resolver: dns.asyncresolver.Resolver, key: DkimKey) -> bool:
    try:
        answer = await resolver.resolve(key.name, "TXT", search=False)
    except (dns.exception.DNSException, OSError):
        return False
    wanted = "".join(key.record.split())
    return any("".join(b"".join(one.strings).decode("latin-1").split()) == wanted for one in answer)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""DANE for SMTP (RFC 6698, RFC 7672): whether certificates are those that the DNS names. Pure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_MATCHING: Final[Mapping[int, Callable[[bytes], bytes]]] = {
    0: lambda octets: octets,
    1: lambda octets: hashlib.sha256(octets).digest(),
    2: lambda octets: hashlib.sha512(octets).digest(),
}
_TA, _EE = 2, 3


@dataclass(frozen=True, slots=True)
class Tlsa:
    """One TLSA record."""

    usage: int
    selector: int
    matching: int
    association: bytes

    @property
    def usable(self) -> bool:
        """For mail only the usages 2 and 3 are (RFC 7672 §3.1.3)."""
        return self.usage in {_TA, _EE} and self.selector in {0, 1} and self.matching in _MATCHING

    def matches(self, certificate: bytes) -> bool:
        """It names this certificate (DER). False for octets that are none."""
        try:
            chosen = certificate if self.selector == 0 else _public_key(certificate)
        except ValueError:
            return False
        return hmac.compare_digest(_MATCHING[self.matching](chosen), self.association)


def authentic(chain: Sequence[bytes], tlsa: Sequence[Tlsa], *, names: Sequence[str], now: datetime) -> bool:
    """Whether a server that has shown these certificates (DER, its own first) is the one that the usable records name.
    With usage 3 its own must match, and nothing else counts (RFC 7672 §3.1.1); with usage 2 it must be valid for one of
    `names` and lead to one that matches, which the server has shown as well (§3.1.2).
    """
    if not chain:
        return False
    if any(one.matches(chain[0]) for one in tlsa if one.usage == _EE):
        return True
    anchors = [at for at, der in enumerate(chain) if at and any(one.matches(der) for one in tlsa if one.usage == _TA)]
    return bool(anchors) and _leads(chain[: anchors[0] + 1], names, now)


def _leads(chain: Sequence[bytes], names: Sequence[str], now: datetime) -> bool:
    """The first certificate is valid for one of the names, and each is signed by the next. By hand, since anchors that
    people make themselves seldom keep to the rules of the Web.
    """
    try:
        certificates = [x509.load_der_x509_certificate(der) for der in chain]
        own = certificates[0]
        if not own.not_valid_before_utc <= now <= own.not_valid_after_utc:
            return False
        for lower, upper in pairwise(certificates):
            if not upper.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
                return False
            lower.verify_directly_issued_by(upper)
        shown = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    named = {name.lower() for name in shown.get_values_for_type(x509.DNSName)}
    return any(name.lower() in named or f"*.{name.partition('.')[2].lower()}" in named for name in names)


def _public_key(certificate: bytes) -> bytes:
    key = x509.load_der_x509_certificate(certificate).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

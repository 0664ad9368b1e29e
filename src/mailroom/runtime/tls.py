# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The certificate that every server shows: the one the settings name, or one made by ourselves at the first start.

Mail servers take a self-signed certificate for STARTTLS (RFC 7435: some protection is more than none).
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mailroom.core import clock
from mailroom.core.clock import Clock
from mailroom.core.errors import InvalidValue
from mailroom.core.secrets import keep_private
from mailroom.core.settings import Settings

_YEARS_VALID: Final = 10
_NAME_MOST: Final = 64  # RFC 5280 appendix A: ub-common-name


def server_context(settings: Settings, *, now: Clock = clock.now) -> ssl.SSLContext:
    """TLS 1.2 and later with the settings' certificate; without one, with `tls/self-signed.pem` in the data folder,
    which is made if it is not there. Raises `InvalidValue`.
    """
    certificate, key = Path(settings.tls.certificate), Path(settings.tls.key)
    if bool(settings.tls.certificate) is not bool(settings.tls.key):
        raise InvalidValue(name="tls", reason="certificate and key belong together")
    try:
        if not settings.tls.certificate:
            certificate = key = settings.data / "tls" / "self-signed.pem"
            if not certificate.exists():
                keep_private(certificate, _self_signed(settings.hostname, now()))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certificate, key)
    except (OSError, ValueError) as fault:  # ssl.SSLError among them
        raise InvalidValue(name="tls", reason=f"{certificate}: {fault}") from fault
    return context


def _self_signed(hostname: str, now: int) -> bytes:
    """A new P-256 key and its certificate, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostname[:_NAME_MOST])])
    began = datetime.fromtimestamp(now / clock.SECOND, UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(began - timedelta(days=1))  # for clients whose clock is behind
        .not_valid_after(began + timedelta(days=365 * _YEARS_VALID))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(hostname)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)

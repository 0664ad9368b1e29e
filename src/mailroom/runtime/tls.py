# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The certificate that every server shows, from one place: the files that the settings name, or what an ACME server
gave us, or one made by ourselves at the first start. A new one is shown to new connections as soon as it is there;
those that are open stay as they are.

Mail servers take a self-signed certificate for STARTTLS (RFC 7435: some protection is more than none).
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mailroom.core import clock, log
from mailroom.core.clock import Clock
from mailroom.core.errors import InvalidValue, Refusal
from mailroom.core.secrets import keep_private
from mailroom.core.settings import Settings
from mailroom.directory import certificates
from mailroom.directory.certificates import Certificate
from mailroom.storage.ports import Store
from mailroom.storage.seal import Seal

_LOG = log.get("tls")

_LOOK_EVERY: Final = 5.0  # seconds
_YEARS_VALID: Final = 10
_NAME_MOST: Final = 64  # RFC 5280 appendix A: ub-common-name


def server_context(settings: Settings, *, now: Clock = clock.now) -> ssl.SSLContext:
    """TLS 1.2 and later with the settings' certificate; without one, with `tls/self-signed.pem` in the data folder,
    which is made if it is not there. Raises `InvalidValue`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    _load(context, *_files(settings, now))
    return context


def _files(settings: Settings, now: Clock) -> tuple[Path, Path]:
    certificate, key = Path(settings.tls.certificate), Path(settings.tls.key)
    if bool(settings.tls.certificate) is not bool(settings.tls.key):
        raise InvalidValue(name="tls", reason="certificate and key belong together")
    if settings.tls.certificate:
        return certificate, key
    certificate = settings.data / "tls" / "self-signed.pem"
    try:
        if not certificate.exists():
            keep_private(certificate, _self_signed(settings.hostname, now()))
    except OSError as fault:
        raise InvalidValue(name="tls", reason=f"{certificate}: {fault}") from fault
    return certificate, certificate


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        # First into a context that nobody uses: a pair that does not fit would leave the other one half changed.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
        context.load_cert_chain(certificate, key)
    except (OSError, ValueError) as fault:  # ssl.SSLError among them
        raise InvalidValue(name="tls", reason=f"{certificate}: {fault}") from fault


@dataclass(frozen=True, slots=True)
class Certificates:
    """Keeps a context's certificate up to date. What cannot be read is logged once, and the old one stays."""

    settings: Settings
    store: Store
    seal: Seal
    context: ssl.SSLContext
    _shown: dict[str, str] = field(default_factory=dict)  # what is loaded, and what last failed

    async def run(self) -> None:
        """Look for a new one every few seconds until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_EVERY)

    async def look(self) -> bool:
        """Show a new certificate if there is one; whether there was."""
        try:
            mark, certificate, key = await self._newest()
            if self._shown.setdefault("loaded", mark) == mark:
                return False
            _load(self.context, certificate, key)
        except Refusal as refusal:
            if self._shown.get("fault") != str(refusal):
                self._shown["fault"] = str(refusal)
                _LOG.warning("certificate not loaded", reason=str(refusal))
            return False
        self._shown["loaded"] = mark
        _LOG.info("certificate loaded", file=str(certificate))
        return True

    async def begin(self) -> None:
        """Show what an ACME server has given us already."""
        self._shown["loaded"] = ""
        await self.look()

    async def _newest(self) -> tuple[str, Path, Path]:
        if self.settings.tls.acme and not self.settings.tls.certificate:
            given = await self.store.read(lambda tx: certificates.get(tx, self.seal, self.settings.hostname))
            if given is not None:
                path = await asyncio.to_thread(self._write, given)
                return path.name, path, path
        certificate, key = _files(self.settings, clock.now)
        return f"{_mark(certificate)} {_mark(key)}", certificate, key

    def _write(self, given: Certificate) -> Path:
        """OpenSSL reads files only."""
        octets = given.key.reveal().encode() + given.chain.encode()
        path = self.settings.data / "tls" / f"acme-{hashlib.sha256(octets).hexdigest()[:16]}.pem"
        if not path.exists():
            keep_private(path, octets)
            for old in path.parent.glob("acme-*.pem"):
                if old != path:
                    old.unlink(missing_ok=True)
        return path


def _mark(path: Path) -> str:
    try:
        found = path.stat()
    except OSError as fault:
        raise InvalidValue(name="tls", reason=f"{path}: {fault.strerror}") from fault
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"


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

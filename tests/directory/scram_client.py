# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The client's half of SCRAM-SHA-256, written from RFC 5802 alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field


@dataclass
class ScramClient:
    """One exchange: `first`, then `final`, then `is_server`."""

    name: str
    password: str
    header: str = "n,,"
    nonce: str = "fyko+d2lbbFgONRv9qkxdawL"
    _said: bytes = field(default=b"", init=False)
    _salted: bytes = field(default=b"", init=False)

    def first(self) -> bytes:
        return f"{self.header}{self._bare()}".encode()

    def _bare(self) -> str:
        name = self.name.replace("=", "=3D").replace(",", "=2C")
        return f"n={name},r={self.nonce}"

    def final(self, server_first: bytes) -> bytes:
        fields = dict(part.split("=", 1) for part in server_first.decode().split(","))
        assert fields["r"].startswith(self.nonce)
        assert len(fields["r"]) > len(self.nonce)
        salt, iterations = base64.b64decode(fields["s"]), int(fields["i"])
        self._salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), salt, iterations)
        bound = base64.b64encode(self.header.encode()).decode()
        unproven = f"c={bound},r={fields['r']}"
        self._said = f"{self._bare()},{server_first.decode()},{unproven}".encode()
        key = _hmac(self._salted, b"Client Key")
        mask = _hmac(hashlib.sha256(key).digest(), self._said)
        proof = bytes(a ^ b for a, b in zip(key, mask, strict=True))
        return f"{unproven},p={base64.b64encode(proof).decode()}".encode()

    def is_server(self, server_final: bytes) -> bool:
        expected = _hmac(_hmac(self._salted, b"Server Key"), self._said)
        return server_final == b"v=" + base64.b64encode(expected)


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")

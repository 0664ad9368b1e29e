# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Keys for tests, and what is signed with them: DKIM as others write it, and the seals of ARC."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mailroom.mime import dkim, fields
from mailroom.mime.dkim import Canon, Forms, SigningKey
from mailroom.mime.fields import Field

NOW = 1_750_000_000
RSA = rsa.generate_private_key(65537, 2048)
ED = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"a key for tests").digest())
KEYS: Mapping[str, rsa.RSAPrivateKey | Ed25519PrivateKey] = {"rsa": RSA, "ed": ED}


def public(private: rsa.RSAPrivateKey | Ed25519PrivateKey) -> str:
    """The value of p=."""
    key = private.public_key()
    raw = isinstance(private, Ed25519PrivateKey)
    encoding, form = (Encoding.Raw, PublicFormat.Raw) if raw else (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(key.public_bytes(encoding, form)).decode()


def record(name: str, *more: str) -> bytes:
    """The key record of one of the keys."""
    kind = "ed25519" if name == "ed" else "rsa"
    return "; ".join(["v=DKIM1", f"k={kind}", *more, f"p={public(KEYS[name])}"]).encode()


RECORDS: Mapping[str, bytes] = {name: record(name) for name in KEYS}


def txt(record: str | bytes) -> str:
    """A TXT record as a zone file has it, in strings that are not too long."""
    text = record if isinstance(record, str) else record.decode()
    return " ".join(f'"{text[start : start + 200]}"' for start in range(0, len(text), 200))


def apart(mail: bytes) -> tuple[bytes, bytes]:
    """Header block with its empty line, and body."""
    end = mail.index(b"\r\n\r\n") + 4
    return mail[:end], mail[end:]


def signed(mail: bytes, name: str = "rsa", *, domain: str = "corp.example") -> bytes:
    """The mail with our signature."""
    header, body = apart(mail)
    return dkim.sign(header, dkim.body_digest([body]), SigningKey(domain, name, KEYS[name]), now=NOW) + mail


def sealed(
    mail: bytes, name: str = "rsa", *, domain: str = "list.example", results: str = "dmarc=pass", cv: str = ""
) -> bytes:
    """The mail with one more ARC set (RFC 8617 §5.1)."""
    header, body = apart(mail)
    number = header.count(b"ARC-Seal:") + 1
    key = SigningKey(domain, name, KEYS[name])
    digest = base64.b64encode(dkim.body_digest([body])).decode()
    says = f"ARC-Authentication-Results: i={number}; mx.{domain}; {results}\r\n".encode()
    tags = f"i={number}; a={key.algorithm}; d={domain}; s={name}"
    message = f"ARC-Message-Signature: {tags}; c=relaxed/relaxed; h=from:subject; bh={digest}; b=".encode()
    forms = Forms(fields.split(header))
    text = b"".join(forms.signed([b"from", b"subject"], Canon.RELAXED)) + relaxed(message)
    message += base64.b64encode(key.sign(hashlib.sha256(text).digest())) + b"\r\n"
    seal = f"ARC-Seal: {tags}; cv={cv or ('none' if number == 1 else 'pass')}; t={NOW}; b=".encode()
    older = [one for one in fields.split(header) if one.name.startswith(b"arc-")]
    order = {b"arc-authentication-results": 0, b"arc-message-signature": 1, b"arc-seal": 2}
    older.sort(key=lambda one: (int(one.value.split(b"i=", 1)[1].split(b";")[0]), order[one.name]))
    text = b"".join(dkim.canonical(one, Canon.RELAXED) for one in older)
    text += relaxed(says) + b"\r\n" + relaxed(message) + b"\r\n" + relaxed(seal)
    seal += base64.b64encode(key.sign(hashlib.sha256(text).digest())) + b"\r\n"
    return seal + message + says + mail


def relaxed(raw: bytes) -> bytes:
    """The canonical form of one field without its line end."""
    return dkim.canonical(Field(raw.partition(b":")[0].lower(), raw, 0), Canon.RELAXED).removesuffix(b"\r\n")

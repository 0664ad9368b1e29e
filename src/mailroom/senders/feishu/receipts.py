# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What Feishu calls us with: who has read what, and who has left. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from mailroom.core.secrets import Secret
from mailroom.senders.contract import Account, Call, Event, Forged, Heard, Left, News, Reply, Reported, Why
from mailroom.senders.http import octets, parsed_object

_LONGEST_ID: Final = 128
_MOST: Final = 1000  # messages read at once
_BLOCK: Final = 16
_JSON: Final = "application/json"


def hear(account: Account, call: Call) -> Heard | Forged:
    """An event, or the question whether we are there. It bears what the account knows: a signature, a token, or both;
    with an `encrypt_key` it is sealed as well.
    """
    key, token = account.secrets.get("encrypt_key"), account.secrets.get("verification_token")
    if key is None and token is None:
        return Forged("this sender hears no events")
    said = parsed_object(call.body)
    if key is not None:
        said = parsed_object(unseal(key, said.get("encrypt")))
    header = _inner(said, "header")
    if said.get("type") == "url_verification":
        challenge = said.get("challenge")
        if not _bears(said, token) or not isinstance(challenge, str):
            return Forged("wrong token")
        return Heard(Reply(body=octets({"challenge": challenge}), media_type=_JSON))
    if key is not None and not _is_signed(key, call):
        return Forged("wrong signature")
    if not _bears(header, token) or header.get("app_id") != account.settings.get("app_id"):
        return Forged("wrong token, or another app's event")
    return Heard(Reply(body=b"{}", media_type=_JSON), _events(header, _inner(said, "event")), _id(header))


def signature(key: Secret, stamp: str, nonce: str, body: bytes) -> str:
    """The signature of a call."""
    return hashlib.sha256(f"{stamp}{nonce}{key.reveal()}".encode() + body).hexdigest()


def unseal(key: Secret, sealed: object) -> bytes:
    """The words, if they were sealed with that key; else nothing."""
    try:
        mixed = base64.b64decode(sealed, validate=True) if isinstance(sealed, str) else b""
    except ValueError:
        return b""
    if len(mixed) < 2 * _BLOCK or len(mixed) % _BLOCK:
        return b""
    cipher = Cipher(AES(hashlib.sha256(key.reveal().encode()).digest()), CBC(mixed[:_BLOCK])).decryptor()
    plain = cipher.update(mixed[_BLOCK:]) + cipher.finalize()
    padding = plain[-1]
    is_whole = 1 <= padding <= _BLOCK and plain.endswith(bytes([padding]) * padding)
    return plain[:-padding] if is_whole else b""


def _is_signed(key: Secret, call: Call) -> bool:
    headers = {name.lower(): value for name, value in call.headers.items()}
    stamp, nonce = (headers.get(f"x-lark-request-{name}", "") for name in ("timestamp", "nonce"))
    shown = headers.get("x-lark-signature", "")
    return hmac.compare_digest(shown.encode(), signature(key, stamp, nonce, call.body).encode())


def _bears(said: Mapping[str, Any], token: Secret | None) -> bool:
    shown = said.get("token")
    if token is None:
        return True
    return isinstance(shown, str) and hmac.compare_digest(shown.encode("utf-8", "replace"), token.reveal().encode())


def _events(header: Mapping[str, Any], event: Mapping[str, Any]) -> tuple[Event, ...]:
    match header.get("event_type"):
        case "im.message.message_read_v1":
            reader = _name(_inner(_inner(event, "reader"), "reader_id").get("open_id"))
            read = event.get("message_id_list")
            ids = [_name(one) for one in read[:_MOST]] if isinstance(read, list) else []
            return tuple(Reported(one, News.READ, address=reader) for one in ids if one)
        case "contact.user.deleted_v3":
            gone = _name(_inner(event, "object").get("open_id"))
            return (Left(gone, Why.GONE),) if gone else ()
        case _:
            return ()


def _id(header: Mapping[str, Any]) -> str:
    return _name(header.get("event_id"))


def _name(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= _LONGEST_ID and value.isprintable() else ""


def _inner(said: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = said.get(name)
    return found if isinstance(found, dict) else {}

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Reads a push as a strict receiver would, and checks its signature. Written apart from the sending side: an oracle."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

from mailroom.core.clock import MINUTE

Push = dict[str, str | int]

KEYS: Final = ("to", "msgid", "sender", "from", "subject", "body", "attachnum", "attachlist")
_ELEMENTS: Final = ("To", "MsgId", "Sender", "From", "Subject", "Body", "AttachNum", "AttachList")
# Standard Webhooks: a signed push that is older may be somebody's replay.
_TOLERANCE: Final = 5 * MINUTE


def parse(content_type: str, body: bytes) -> Push:
    """The eight fields of a push. Raises `ValueError` that says what is wrong with it, `LookupError` for its type."""
    media_type, _, parameters = content_type.partition(";")
    if media_type not in _READERS or parameters.strip().lower() != "charset=utf-8":
        raise LookupError(f"not a type of push: {content_type or 'none'}")
    return _READERS[media_type](body)


def is_signed(secret: str, headers: Mapping[str, str], body: bytes, *, now: int) -> bool:
    """Whether one of the signatures is by `secret` over this body, made at about `now` (milliseconds)."""
    code, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not stamp.isdecimal() or abs(int(stamp) * 1000 - now) > _TOLERANCE:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else secret.encode()
    right = base64.b64encode(hmac.digest(key, f"{code}.{stamp}.".encode() + body, hashlib.sha256)).decode()
    offered = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(signature.encode(), f"v1,{right}".encode()) for signature in offered)


def _read_json(body: bytes) -> Push:
    try:
        fields = json.loads(body)
    except RecursionError as fault:
        raise ValueError("nested too deeply") from fault
    if not isinstance(fields, dict):
        raise TypeError("not one JSON object")
    return _checked(tuple(fields), fields)


def _read_xml(body: bytes) -> Push:
    if b"<!DOCTYPE" in body:
        raise ValueError("a document type has no place here")
    try:
        request = ET.fromstring(body)  # noqa: S314  # without a document type there are no entities to expand
    except ET.ParseError as fault:
        raise ValueError(f"not XML: {fault}") from fault
    if request.tag != "Request" or tuple(child.tag for child in request) != _ELEMENTS:
        raise ValueError("not a <Request> with its eight elements")
    return _checked(KEYS, dict(zip(KEYS, (child.text or "" for child in request), strict=True)))


def _read_form(body: bytes) -> Push:
    pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict")
    return _checked(
        tuple(key.removeprefix("wm_") if key.startswith("wm_") else f"({key})" for key, _ in pairs),
        {key.removeprefix("wm_"): value for key, value in pairs},
    )


def _checked(keys: tuple[str, ...], fields: dict[str, str | int]) -> Push:
    if keys != KEYS:
        raise ValueError(f"not the eight fields in their order: {', '.join(keys)}")
    return fields | {"attachnum": int(fields["attachnum"])}


_READERS: Final[Mapping[str, Callable[[bytes], Push]]] = MappingProxyType(
    {
        "application/json": _read_json,
        "application/xml": _read_xml,
        "application/x-www-form-urlencoded": _read_form,
    }
)

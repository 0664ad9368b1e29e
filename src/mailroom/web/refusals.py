# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What each refusal is in HTTP: a status, and a problem document (RFC 9457) or words on a page."""

from __future__ import annotations

from types import MappingProxyType
from typing import ClassVar, Final

from starlette.responses import JSONResponse

from mailroom.core.errors import Kind, NotFound, Refusal

STATUS: Final = MappingProxyType(
    {
        Kind.INVALID: 400,
        Kind.NOT_FOUND: 404,
        Kind.TAKEN: 409,
        Kind.CONFLICT: 409,
        Kind.UNAUTHENTICATED: 401,
        Kind.FORBIDDEN: 403,
        Kind.LIMIT: 409,
        Kind.TOO_LARGE: 413,
        Kind.OVER_QUOTA: 507,
        Kind.NO_SPACE: 507,
        Kind.UNAVAILABLE: 503,
    }
)
# Where HTTP has a more exact word than the kind says.
_BY_CODE: Final = MappingProxyType(
    {
        "too_many_attempts": 429,
        "too_many_codes": 429,
        "wrong_method": 405,
        "failed": 500,
        "wrong_media_type": 415,
        "idempotency_key_reused": 422,
    }
)


class NotSignedIn(Refusal):
    """The request bears no session, or one that has ended."""

    kind = Kind.UNAUTHENTICATED
    code = "not_signed_in"
    sentence = "Please sign in."


class WrongKey(Refusal):
    """The key was never one, or has been revoked."""

    kind = Kind.UNAUTHENTICATED
    code = "wrong_key"
    sentence = "The key is wrong, or has been revoked."


class KeyReused(Refusal):
    """The Idempotency-Key came with another request before."""

    kind = Kind.CONFLICT
    code = "idempotency_key_reused"
    sentence = "This Idempotency-Key was used for another request."


class CrossSite(Refusal):
    """A page of another site tried to make the browser change something here."""

    kind = Kind.FORBIDDEN
    code = "cross_site"
    sentence = "This request came from another site."


class WrongMethod(Refusal):
    """The page is there, but not for this method."""

    code = "wrong_method"
    sentence = "This page cannot be used in this way."


class WrongMediaType(Refusal):
    """What is sent must be JSON, and say so."""

    code = "wrong_media_type"
    sentence = "The request must be JSON (Content-Type: application/json)."


class InvalidQuiet(Refusal):
    """Hours that cannot be kept quiet."""

    code = "invalid_quiet"
    sentence = "Quiet hours need a beginning and an end that differ."


class InvalidSenders(Refusal):
    """Something among the senders that a member wants to hear of is no address."""

    code = "invalid_senders"
    sentence = "Only addresses, or *@ and a domain: at most 100, one on each line."


class NoSuchPage(NotFound):
    """Nothing has that path."""

    sentence: ClassVar[str] = "There is no such page."


class Failed(Refusal):
    """A bug of ours, as far as strangers may read of it."""

    kind = Kind.UNAVAILABLE
    code = "failed"
    sentence = "Something went wrong on the server. It has been logged."


def status(refusal: Refusal) -> int:
    """The HTTP status of a refusal."""
    return _BY_CODE.get(refusal.code) or STATUS[refusal.kind]


def headers(refusal: Refusal) -> dict[str, str]:
    """What else the client is told: when to come again, and how to say who it is (RFC 9110 §10.2.3, §11.6.1)."""
    told = {"Retry-After": str(refusal.about["seconds"])} if "seconds" in refusal.about else {}
    return told | ({"WWW-Authenticate": "Bearer"} if status(refusal) == 401 else {})


def problem(refusal: Refusal) -> JSONResponse:
    """The refusal for a program."""
    number = status(refusal)
    return JSONResponse(
        {"type": "about:blank", "title": str(refusal), "status": number, "code": refusal.code},
        status_code=number,
        headers=headers(refusal),
        media_type="application/problem+json",
    )

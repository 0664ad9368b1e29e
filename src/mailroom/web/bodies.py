# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What programs send: read up to a bound, and told what is wrong with it."""

from __future__ import annotations

from pydantic import ValidationError
from starlette.requests import Request

from mailroom.core.errors import InvalidValue, TooLarge

_NAME_MOST = 128


async def octets_of(request: Request, *, most: int) -> bytes:
    """The request's body. Raises `TooLarge`."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise TooLarge(what="request", limit=most)
    return bytes(body)


def wrong(fault: ValidationError) -> InvalidValue:
    """The first thing that is wrong: which field, and why."""
    first = fault.errors(include_url=False, include_context=False, include_input=False)[0]
    name = ".".join(map(str, first["loc"]))[:_NAME_MOST]
    return InvalidValue(name=name or "body", reason=first["msg"])

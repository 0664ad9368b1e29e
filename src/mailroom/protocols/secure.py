# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The server's half of a TLS handshake, on a connection that is open already."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

_HANDSHAKE_MOST: Final = 30.0  # seconds


async def start_tls(
    transport: asyncio.Transport, protocol: asyncio.BaseProtocol, context: ssl.SSLContext
) -> asyncio.Transport:
    """The transport that `protocol` talks through from now on. It may be given octets before this returns. Raises
    `OSError` when the client shakes no hands or is gone; then asyncio does not tell `protocol` of it.
    """
    secure = await asyncio.get_running_loop().start_tls(
        transport, protocol, context, server_side=True, ssl_handshake_timeout=_HANDSHAKE_MOST
    )
    if secure is None:  # what Python 3.11 gives for a connection that was cut in the middle
        raise ConnectionResetError
    return secure

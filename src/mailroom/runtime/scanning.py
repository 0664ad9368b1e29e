# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The way to services of the administrator's own, such as rspamd. They stand in private networks as a rule, and their
addresses come from the administrator alone: `egress` does not guard them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network

from mailroom.core import log
from mailroom.senders.egress import Egress
from mailroom.senders.http import Answer, Http

_LOG = log.get("scanning")
_EVERYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))


@dataclass(frozen=True, slots=True)
class OwnServices:
    """Posts to them. Close it at the end."""

    _http: Http = field(default_factory=lambda: Http(Egress(_EVERYWHERE)))

    async def post(
        self,
        url: str,
        body: AsyncIterator[bytes],
        *,
        headers: Mapping[str, str],
        timeout: int,  # noqa: ASYNC109 # as `Http.post`
    ) -> bytes | None:
        """The body of a 200 within `timeout` milliseconds; None for all else, which the log tells of."""
        answer = await self._http.post(url, body, headers=headers, timeout=timeout)
        if isinstance(answer, Answer) and answer.status == 200 and answer.whole:
            return answer.body
        reason = str(answer.status) if isinstance(answer, Answer) else answer.text
        _LOG.warning("no opinion", service=url, reason=reason)
        return None

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Where providers call us: `/callbacks/<code of the sender>[/<rest>]`. Whether a call is really the provider's is for
the sender's kind to tell; it is answered once what it says is durable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from mailroom.core import log
from mailroom.core.clock import MINUTE, Clock
from mailroom.messaging import senders
from mailroom.messaging.senders import Senders
from mailroom.notify import calls
from mailroom.senders.contract import Call, Forged, Hears, excerpt
from mailroom.storage.ports import Store
from mailroom.web.bodies import octets_of
from mailroom.web.refusals import NoSuchPage

PREFIX: Final = "/callbacks/"
_BODY_MOST: Final = 64 * 1024
_LOG = log.get("callbacks")


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Hears what providers say."""

    store: Store
    senders: Senders
    public_url: str
    clock: Clock
    # When a forged call of a sender was last logged, and how many came since; there are no more than senders.
    _logged: dict[str, tuple[int, int]] = field(default_factory=dict)

    def routes(self) -> Sequence[BaseRoute]:
        """The paths."""
        return [
            Route(f"{PREFIX}{{sender}}", self.called, methods=["GET", "POST"]),
            Route(f"{PREFIX}{{sender}}/{{rest:path}}", self.called, methods=["GET", "POST"]),
        ]

    async def called(self, request: Request) -> Response:
        """One call."""
        code = request.path_params["sender"]
        sender = await self.store.read(lambda tx: senders.by_code(tx, code))
        if sender is None or sender.kind not in self.senders.kinds:
            raise NoSuchPage
        kind = self.senders.kind(sender.kind)
        if not isinstance(kind, Hears):
            raise NoSuchPage
        account = self.senders.account(sender)
        heard = kind.hear(account, await self._call(request))
        if isinstance(heard, Forged):
            self._forged(code, _peer(request), excerpt(heard.text, hide=account.secrets.values()))
            return Response(status_code=403)
        if heard.events:
            await self.store.write(lambda tx: calls.hear(tx, code, heard))
        reply = heard.reply
        return Response(reply.body, reply.status, media_type=reply.media_type)

    def _forged(self, code: str, peer: str, why: str) -> None:
        """Log one of a sender's a minute: anybody may make them, as many as he likes."""
        now, (last, count) = self.clock(), self._logged.get(code, (0, 0))
        if abs(now - last) < MINUTE:
            self._logged[code] = last, count + 1
            return
        self._logged[code] = now, 0
        _LOG.warning("forged", sender=code, peer=peer, why=why, before=count)

    async def _call(self, request: Request) -> Call:
        target = request.scope["raw_path"].decode("ascii", "replace")
        if request.url.query:
            target += f"?{request.url.query}"
        return Call(
            method=request.method,
            rest=request.path_params.get("rest", ""),
            query=dict(request.query_params),
            headers=request.headers,
            body=await octets_of(request, most=_BODY_MOST),
            now=self.clock(),
            url=self.public_url + target,  # a proxy may have changed what we see of it
            peer=_peer(request),
        )


def shown(path: str) -> str:
    """The path of any request as it may be logged: what ends a provider's is a secret."""
    return "/".join(path.split("/")[:3]) if path.startswith(PREFIX) else path


def _peer(request: Request) -> str:
    return request.client.host if request.client else ""

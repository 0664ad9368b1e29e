# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A program that was written for WeCom Exmail, pointed at a server of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest_asyncio

from tests.web.api.conftest import Site, site  # a fixture

__all__ = ["Program", "program", "site"]


@dataclass(frozen=True)
class Program:
    """Calls, with a token of its own."""

    site: Site
    client: httpx2.AsyncClient
    token: str

    async def call(self, path: str, **fields: Any) -> Mapping[str, Any]:
        """POST: what came of it."""
        answer = await self.client.post(
            f"/cgi-bin/exmail/{path}", params={"access_token": self.token}, json=fields, headers={"origin": "null"}
        )
        return _said(answer)

    async def get(self, path: str, **fields: Any) -> Mapping[str, Any]:
        """GET: what came of it."""
        return _said(await self.client.get(f"/cgi-bin/exmail/{path}", params={"access_token": self.token, **fields}))

    async def done(self, path: str, **fields: Any) -> Mapping[str, Any]:
        """POST, where nothing is to be refused."""
        said = await self.call(path, **fields)
        assert (said["errcode"], said["errmsg"]) == (0, "ok"), said
        return said


def _said(answer: httpx2.Response) -> Mapping[str, Any]:
    assert answer.status_code == 200, answer.text
    said: Mapping[str, Any] = answer.json()
    assert isinstance(said["errcode"], int)
    assert said["errmsg"]
    return said


@pytest_asyncio.fixture
async def program(site: Site) -> Program:  # the fixture of that name
    client = site.client()
    asked = {"corpid": "ww1234", "corpsecret": await site.key("exmail")}
    said = _said(await client.get("/cgi-bin/gettoken", params=asked))
    assert said["expires_in"] == 7200
    return Program(site, client, said["access_token"])

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Where people sign in at the doubles: each page says what may be entered, and its example fits."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import aiohttp
import pytest

from mailroom.sandbox.server import Sandbox

DOORS = {
    "feishu": "open-apis/authen/v1/authorize?client_id=cli_demo&response_type=code",
    "dingtalk": "oauth2/auth?client_id=ding-demo&response_type=code",
    "wecom": "wwlogin/sso/login?appid=ww-demo&agentid=1000002",
}


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    sandbox = Sandbox()
    await sandbox.start()
    async with aiohttp.ClientSession(sandbox.url) as session:
        yield session
    await sandbox.stop()


@pytest.mark.parametrize("name", DOORS)
@pytest.mark.parametrize(("language", "words"), [("zh-CN,en;q=0.5", "任何人"), ("en-GB", "Anybody")])
async def test_a_page_says_what_may_be_entered(
    client: aiohttp.ClientSession, name: str, language: str, words: str
) -> None:
    url = f"/{name}/{DOORS[name]}&redirect_uri=http://mail.example/"
    async with client.get(url, headers={"Accept-Language": language}) as answer:
        page = await answer.text()
    assert words in page
    [(example, pattern)] = re.findall(r'value="([^"]+)" pattern="([^"]+)"', page)
    assert re.fullmatch(pattern, example)
    assert f'<html lang="{language[:2]}">' in page

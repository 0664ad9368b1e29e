# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A WeCom application."""

from __future__ import annotations

from typing import Any

from mailroom.core.secrets import Secret
from mailroom.sandbox.server import Sandbox
from mailroom.senders.contract import Account
from tests.senders.examples import SECRET, json_page, of_http

AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"


def account(base_url: str, *, secrets: dict[str, str] | None = None, **settings: str) -> Account:
    entered = {
        "corp_secret": "demo-secret",
        "robot_key": "demo-robot",
        "callback_token": "demo-token",
        "aes_key": AES_KEY,
    } | (secrets or {})
    return Account(
        "wecom",
        {
            "corp_id": "ww-demo",
            "agent_id": "1000002",
            "base_url": base_url,
            "login_url": f"{base_url}/wwlogin/sso/login",
            **settings,
        },
        {name: Secret(text) for name, text in entered.items() if text},
    )


def staged(sandbox: Sandbox, **changes: Any) -> Account:
    return account(sandbox.doubles["wecom"].where, **changes)


EXAMPLE = of_http(
    lambda port: account(f"http://127.0.0.1:{port}", secrets={"corp_secret": SECRET}),
    "ZhangSan",
    well={"/gettoken": json_page('{"errcode":0,"access_token":"a-token-of-the-example","expires_in":7200}')},
    staged=staged,
)

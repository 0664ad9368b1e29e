# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A WeChat service account."""

from __future__ import annotations

from typing import Any

from mailroom.core.secrets import Secret
from mailroom.sandbox.server import Sandbox
from mailroom.senders.contract import Account
from tests.senders.examples import SECRET, json_page, of_http

AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"


def account(base_url: str, *, secrets: dict[str, str] | None = None, **settings: str) -> Account:
    entered = {"app_secret": "demo-secret", "callback_token": "demo-token", "aes_key": AES_KEY} | (secrets or {})
    return Account(
        "wechat",
        {"app_id": "wx-demo", "template_id": "mail-template", "base_url": base_url, **settings},
        {name: Secret(text) for name, text in entered.items() if text},
    )


def staged(sandbox: Sandbox, **changes: Any) -> Account:
    return account(sandbox.doubles["wechat"].where, **changes)


EXAMPLE = of_http(
    lambda port: account(f"http://127.0.0.1:{port}", secrets={"app_secret": SECRET}),
    "oAlice",
    well={"/stable_token": json_page('{"access_token":"a-token-of-the-example","expires_in":7200}')},
    staged=staged,
)

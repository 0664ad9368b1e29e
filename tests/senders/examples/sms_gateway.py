# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""An HTTP gateway of the dialect that is signed, in JSON."""

from __future__ import annotations

from typing import Any

from mailroom.core.secrets import Secret
from mailroom.sandbox.server import Sandbox
from mailroom.senders.contract import Account
from tests.senders.examples import SECRET, of_http

JSON = {
    "body": "json",
    "params": "account={account}\nphone={mobile}\nmsg={content}\nnonce={uuid}",
    "headers": "X-Sign: {upper({hmac_sha256({password},{uuid}{mobile})})}",
    "success": "json: code == 0",
    "id": "json: data.msgid",
    "errors": """
        ^{"code": ?[13]\\b -> account
        ^{"code": ?2\\b -> gone
        ^{"code": ?4\\b -> opted_out
        ^{"code": ?5\\b -> content
        ^{"code": ?6\\b -> busy 5
        status 40[13] -> account
    """,
}


def account(url: str, *, secret: str = "demo-secret", **settings: str) -> Account:
    entered = {"url": url, "account": "demo", "sign": "Mailroom", "receipts": "push"} | (settings or JSON)
    return Account("sms_gateway", entered, {"password": Secret(secret), "callback_key": Secret("callback-k3y")})


def staged(sandbox: Sandbox, **changes: Any) -> Account:
    return account(f"{sandbox.doubles['sms_gateway'].where}/json", **changes)


EXAMPLE = of_http(
    lambda port: account(f"http://127.0.0.1:{port}/", secret=SECRET),
    "+8613900000001",
    staged=staged,
)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""An account at Alibaba Cloud's SMS service."""

from __future__ import annotations

from typing import Any

from mailroom.core.secrets import Secret
from mailroom.sandbox.server import Sandbox
from mailroom.senders.contract import Account
from tests.senders.examples import SECRET, of_http


def account(base_url: str, *, secret: str = "demo-secret", **settings: str) -> Account:
    entered = {
        "access_key_id": "LTAI-demo",
        "sign": "Mailroom",
        "template": "SMS_1",
        "code_template": "SMS_2",
        "base_url": base_url,
    }
    secrets = {"access_key_secret": Secret(secret), "callback_key": Secret("callback-k3y")}
    return Account("sms_aliyun", entered | settings, secrets)


def staged(sandbox: Sandbox, **changes: Any) -> Account:
    return account(sandbox.doubles["sms_aliyun"].where, **changes)


EXAMPLE = of_http(
    lambda port: account(f"http://127.0.0.1:{port}", secret=SECRET),
    "+8613900000001",
    staged=staged,
)

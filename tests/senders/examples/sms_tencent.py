# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""An account at Tencent Cloud's SMS service."""

from __future__ import annotations

from typing import Any

from mailroom.core.secrets import Secret
from mailroom.sandbox.server import Sandbox
from mailroom.senders.contract import Account
from tests.senders.examples import SECRET, of_http


def account(base_url: str, *, secret: str = "demo-secret", **settings: str) -> Account:
    entered = {
        "secret_id": "AKID-demo",
        "sdk_app_id": "1400006666",
        "sign": "Mailroom",
        "template": "1001",
        "code_template": "1002",
        "base_url": base_url,
    }
    secrets = {"secret_key": Secret(secret), "callback_key": Secret("callback-k3y")}
    return Account("sms_tencent", entered | settings, secrets)


def staged(sandbox: Sandbox, **changes: Any) -> Account:
    sandbox.doubles["sms_tencent"].turn(per_30_seconds=10)
    return account(sandbox.doubles["sms_tencent"].where, **changes)


EXAMPLE = of_http(
    lambda port: account(f"http://127.0.0.1:{port}", secret=SECRET),
    "+8613900000001",
    staged=staged,
)

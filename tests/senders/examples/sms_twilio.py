# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""An account at Twilio."""

from __future__ import annotations

from typing import Any

from mailroom.core.secrets import Secret
from mailroom.sandbox.server import Sandbox
from mailroom.senders.contract import Account
from tests.senders.examples import SECRET, of_http


def account(base_url: str, *, secret: str = "demo-secret", **settings: str) -> Account:
    entered = {"account_sid": "AC-demo", "from": "+15005550006", "base_url": base_url}
    return Account("sms_twilio", entered | settings, {"auth_token": Secret(secret)})


def staged(sandbox: Sandbox, **changes: Any) -> Account:
    return account(sandbox.doubles["sms_twilio"].where, **changes)


EXAMPLE = of_http(
    lambda port: account(f"http://127.0.0.1:{port}", secret=SECRET),
    "+14155550100",
    staged=staged,
)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Work notices of an app in DingTalk."""

from __future__ import annotations

from mailroom.core.secrets import Secret
from mailroom.sandbox.server import Sandbox
from mailroom.senders.contract import Account
from tests.senders.examples import SECRET, json_page, of_http


def account(where: str, app_secret: str) -> Account:
    """At a DingTalk there."""
    secrets = {
        "app_secret": app_secret,
        "callback_token": "demo-token",
        "aes_key": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
    }
    return Account(
        "dingtalk",
        {
            "app_key": "ding-demo",
            "agent_id": "1001",
            "base_url": where,
            "api_url": where,
            "login_url": where,
        },
        {name: Secret(text) for name, text in secrets.items()},
    )


def staged(sandbox: Sandbox) -> Account:
    """At the double."""
    return account(sandbox.doubles["dingtalk"].where, "demo-secret")


EXAMPLE = of_http(
    lambda port: account(f"http://127.0.0.1:{port}", SECRET),
    "amy",
    well={"/v1.0/oauth2/accessToken": json_page('{"accessToken":"a-token-of-the-example","expireIn":7200}')},
    staged=staged,
)

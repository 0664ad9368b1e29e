# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Messages of an app in Feishu."""

from __future__ import annotations

from mailroom.core.secrets import Secret
from mailroom.sandbox.server import Sandbox
from mailroom.senders.contract import Account
from tests.senders.examples import SECRET, json_page, of_http


def account(where: str, app_secret: str) -> Account:
    """At a Feishu there."""
    secrets = {"app_secret": app_secret, "encrypt_key": "demo-encrypt-key", "verification_token": "demo-token"}
    return Account(
        "feishu",
        {"app_id": "cli_demo", "base_url": where, "login_url": where},
        {name: Secret(text) for name, text in secrets.items()},
    )


def staged(sandbox: Sandbox) -> Account:
    """At the double."""
    return account(sandbox.doubles["feishu"].where, "demo-secret")


EXAMPLE = of_http(
    lambda port: account(f"http://127.0.0.1:{port}", SECRET),
    "ou_amy",
    well={
        "/tenant_access_token": json_page(
            '{"code":0,"msg":"ok","tenant_access_token":"t-a-token-of-the-example","expire":7200}'
        )
    },
    staged=staged,
)

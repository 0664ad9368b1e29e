# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Somebody's push URL."""

from __future__ import annotations

from mailroom.core.secrets import Secret
from mailroom.senders.contract import Account
from tests.senders.examples import SECRET, of_http
from tests.senders.test_webhook_bodies import MAIL

EXAMPLE = of_http(
    lambda port: Account("push", {"url": f"http://127.0.0.1:{port}/", "format": "json"}, {"secret": Secret(SECRET)}),
    "amy@corp.example",
    content=MAIL,
    body_decides=False,
)

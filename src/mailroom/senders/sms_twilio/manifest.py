# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What an account at Twilio needs."""

from __future__ import annotations

from typing import Final

from mailroom.core.clock import MINUTE, SECOND
from mailroom.senders.contract import Field, Manifest, Pace, Shape, Words

MANIFEST: Final = Manifest(
    kind="sms_twilio",
    title=Words("SMS: Twilio", "短信：Twilio"),
    fields=(
        Field(
            name="account_sid",
            shape=Shape.TEXT,
            title=Words("Account SID", "Account SID"),
            help=Words("AC and 32 digits.", "以 AC 开头的账户编号。"),
            required=True,
        ),
        Field(
            name="auth_token",
            shape=Shape.SECRET,
            title=Words("Auth token", "Auth Token"),
            help=Words("The account's; Twilio signs receipts with it.", "账户的令牌；Twilio 以其为回执签名。"),
            required=True,
        ),
        Field(
            name="api_key",
            shape=Shape.TEXT,
            title=Words("API key", "API Key"),
            help=Words(
                "Calls are made with it rather than with the auth token.", "填写后以其代替 Auth Token 发起调用。"
            ),
            advanced=True,
        ),
        Field(
            name="api_secret",
            shape=Shape.SECRET,
            title=Words("API secret", "API Secret"),
            help=Words("Of that API key.", "该 API Key 的密钥。"),
            advanced=True,
        ),
        Field(
            name="from",
            shape=Shape.TEXT,
            title=Words("From", "发送号码"),
            help=Words(
                "A number of the account, a short code or a name. Empty: the messaging service chooses.",
                "账户的号码、短代码或名称。留空则由消息服务选择。",
            ),
        ),
        Field(
            name="messaging_service",
            shape=Shape.TEXT,
            title=Words("Messaging service", "消息服务"),
            help=Words("Its SID, MG and 32 digits.", "以 MG 开头的服务编号。"),
        ),
        Field(
            name="callback_url",
            shape=Shape.URL,
            title=Words("Callback address", "回调地址"),
            help=Words(
                "This server's /callbacks/<sender>, as it is reached from outside. Empty: no receipts are asked for.",
                "从外部可访问的本服务器 /callbacks/<发送账户> 地址。留空则不请求回执。",
            ),
        ),
        Field(
            name="max_parts",
            shape=Shape.TEXT,
            title=Words("Parts at most", "最多条数"),
            help=Words("What is longer is cut.", "超出部分将被截断。"),
            default="3",
        ),
        Field(
            name="rate",
            shape=Shape.TEXT,
            title=Words("Messages a second", "每秒条数"),
            help=Words(
                "As many as the number may send: 1 for a long number, 100 for a short code.",
                "该号码允许的速率：普通号码为 1，短代码为 100。",
            ),
            default="1",
            advanced=True,
        ),
        Field(
            name="base_url",
            shape=Shape.URL,
            title=Words("Address of the service", "服务地址"),
            help=Words("Of another region, or a proxy.", "其他地域或代理的地址。"),
            default="https://api.twilio.com",
            advanced=True,
        ),
    ),
    retries=(MINUTE,),
    jitter=0.2,
    timeout=10 * SECOND,
    concurrency=10,
    pace=lambda settings: Pace(every=SECOND // int(settings.get("rate") or "1"), burst=1),
    reach="sms",
    receipt=True,
)

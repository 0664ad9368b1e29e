# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a webhook sender needs, and how persistent it is."""

from __future__ import annotations

from typing import Final

from mailroom.core.clock import HOUR, MINUTE, SECOND
from mailroom.senders.contract import Field, Manifest, Shape, Words, always

MANIFEST: Final = Manifest(
    kind="webhook",
    title=Words("Push URL", "推送地址"),
    fields=(
        Field(
            name="url",
            shape=Shape.URL,
            title=Words("URL", "地址"),
            help=Words(
                "Where each new mail is POSTed, http or https. Empty: nowhere.",
                "新邮件以 POST 发送到的 http 或 https 地址。留空则不推送。",
            ),
        ),
        Field(
            name="format",
            shape=Shape.CHOICE,
            title=Words("Data format", "数据格式"),
            help=Words("How the fields are written, always in UTF-8.", "字段的书写格式，编码均为 UTF-8。"),
            choices=("json", "xml", "form"),
            default="json",
        ),
        Field(
            name="verify_tls",
            shape=Shape.CHOICE,
            title=Words("Verify the certificate", "校验证书"),
            help=Words(
                "“no” accepts any certificate, such as a self-signed one.",
                "选“no”则接受任何证书，例如自签名证书。",
            ),
            choices=("yes", "no"),
            default="yes",
        ),
        Field(
            name="secret",
            shape=Shape.SECRET,
            title=Words("Signing secret", "签名密钥"),
            help=Words(
                "Signs each push as Standard Webhooks says. “whsec_” is followed by base64; anything else is taken as "
                "it is. While changing it, give the new one and the old one, separated by a space.",
                "按 Standard Webhooks 规范为每次推送签名。“whsec_” 之后为 base64；其他内容按原文使用。"
                "更换期间可同时填写新旧密钥，以空格分隔。",
            ),
        ),
    ),
    # 28 hours in all: a receiver may be away for a night.
    retries=(5 * SECOND, MINUTE, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 10 * HOUR),
    jitter=0.2,
    timeout=10 * SECOND,
    reach="url",
    concurrency=4,
    idempotent=always,
)

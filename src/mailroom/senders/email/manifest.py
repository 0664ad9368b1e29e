# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a mail sender needs, and how persistent it is."""

from __future__ import annotations

from typing import Final

from mailroom.core.clock import HOUR, MINUTE
from mailroom.senders.contract import Field, Manifest, Shape, Words, always

MANIFEST: Final = Manifest(
    kind="email",
    title=Words("E-mail", "电子邮件"),
    fields=(
        Field(
            name="host",
            shape=Shape.TEXT,
            title=Words("SMTP server", "SMTP 服务器"),
            help=Words(
                "The server that sends for us. Empty: each mail goes to the mail servers of its recipient's domain.",
                "代为发送的服务器。留空则直接投递到收件人域名的邮件服务器。",
            ),
        ),
        Field(
            name="port",
            shape=Shape.TEXT,
            title=Words("Port", "端口"),
            help=Words("587 with STARTTLS, 465 with TLS, as a rule.", "通常 STARTTLS 用 587，TLS 用 465。"),
            default="587",
        ),
        Field(
            name="encryption",
            shape=Shape.CHOICE,
            title=Words("Encryption", "加密"),
            help=Words(
                "“starttls” and “tls” insist on a valid certificate. With “none” a password goes to a server on this "
                "machine only.",
                "“starttls” 与 “tls” 要求证书有效。选 “none” 时仅会向本机发送密码。",
            ),
            choices=("starttls", "tls", "none"),
            default="starttls",
        ),
        Field(
            name="user",
            shape=Shape.TEXT,
            title=Words("User name", "用户名"),
            help=Words("Empty: no sign-in.", "留空则不登录。"),
        ),
        Field(
            name="password",
            shape=Shape.SECRET,
            title=Words("Password", "密码"),
            help=Words("The password of that user.", "该用户的密码。"),
        ),
        Field(
            name="from",
            shape=Shape.TEXT,
            title=Words("Envelope sender", "信封发件人"),
            help=Words(
                "For servers that take mail from one address only: it replaces the sender of the envelope, and bounces "
                "go there. Empty: the mail's own.",
                "用于只接受固定发件地址的服务器：替换信封发件人，退信发往该地址。留空则使用邮件自身的发件人。",
            ),
        ),
    ),
    # Five days in all (RFC 5321 §4.5.4.1), the first ones close together for greylisting.
    retries=(5 * MINUTE, 10 * MINUTE, 20 * MINUTE, 40 * MINUTE, HOUR, 2 * HOUR, *(4 * HOUR,) * 4, *(6 * HOUR,) * 16),
    jitter=0.1,
    timeout=20 * MINUTE,
    reach="email",
    concurrency=400,
    per_lane=20,
    receipt=True,
    # RFC 5321 §6.1: a mail must not be lost; where the answer was, it is sent again.
    idempotent=always,
)

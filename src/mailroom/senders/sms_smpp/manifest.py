# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What an SMPP sender needs, and how persistent it is."""

from __future__ import annotations

from typing import Final

from mailroom.core.clock import MINUTE, SECOND
from mailroom.senders.contract import Field, Manifest, Shape, Words

WINDOW_MOST: Final = 10

MANIFEST: Final = Manifest(
    kind="sms_smpp",
    title=Words("SMS by SMPP", "短信（SMPP）"),
    fields=(
        Field(
            name="host",
            shape=Shape.TEXT,
            title=Words("Message centre", "短信中心"),
            help=Words("The operator's SMPP 3.4 server: a name or an address.", "运营商的 SMPP 3.4 服务器名称或地址。"),
            required=True,
        ),
        Field(
            name="port",
            shape=Shape.TEXT,
            title=Words("Port", "端口"),
            help=Words("2775 as a rule, 3550 with TLS.", "通常为 2775，使用 TLS 时为 3550。"),
            default="2775",
        ),
        Field(
            name="tls",
            shape=Shape.CHOICE,
            title=Words("TLS", "TLS"),
            help=Words(
                "“yes” insists on a valid certificate. Without TLS the password goes in the clear.",
                "选 “yes” 要求证书有效。不使用 TLS 时密码以明文发送。",
            ),
            choices=("yes", "no"),
            default="no",
        ),
        Field(
            name="system_id",
            shape=Shape.TEXT,
            title=Words("System id", "系统标识"),
            help=Words("The name to bind by, at most 15 characters.", "绑定用户名，最多 15 个字符。"),
            required=True,
        ),
        Field(
            name="password",
            shape=Shape.SECRET,
            title=Words("Password", "密码"),
            help=Words(
                "That of the system id; SMPP has room for 8 characters.", "该系统标识的密码，SMPP 最多 8 个字符。"
            ),
        ),
        Field(
            name="source_addr",
            shape=Shape.TEXT,
            title=Words("Sender", "发送方"),
            help=Words(
                "The number or name that phones show. Empty: the operator's choice.",
                "手机上显示的号码或名称。留空则由运营商决定。",
            ),
        ),
        Field(
            name="source_ton",
            shape=Shape.CHOICE,
            title=Words("Type of number", "号码类型"),
            help=Words(
                "Of the sender: 0 unknown, 1 international, 2 national, 3 network, 5 letters.",
                "发送方：0 未知，1 国际，2 国内，3 网络专用，5 字母。",
            ),
            choices=("0", "1", "2", "3", "4", "5", "6"),
            default="0",
            advanced=True,
        ),
        Field(
            name="source_npi",
            shape=Shape.CHOICE,
            title=Words("Numbering plan", "编号方案"),
            help=Words("Of the sender: 0 unknown, 1 telephone.", "发送方：0 未知，1 电话。"),
            choices=("0", "1", "3", "4", "6", "8", "9", "10", "14", "18"),
            default="0",
            advanced=True,
        ),
        Field(
            name="system_type",
            shape=Shape.TEXT,
            title=Words("System type", "系统类型"),
            help=Words("If the operator wants one, at most 12 characters.", "如运营商要求，最多 12 个字符。"),
            advanced=True,
        ),
        Field(
            name="window",
            shape=Shape.TEXT,
            title=Words("Window", "窗口"),
            help=Words(
                f"How many messages may await their answers at once, at most {WINDOW_MOST}.",
                f"同时等待应答的消息数，最多 {WINDOW_MOST}。",
            ),
            default=str(WINDOW_MOST),
            advanced=True,
        ),
        Field(
            name="long",
            shape=Shape.CHOICE,
            title=Words("Long messages", "长短信"),
            help=Words(
                "How the parts are joined: by a header in each, by fields beside each, or by the message centre.",
                "拼接方式：每段内的头部（udh）、每段附带的参数（sar），或由短信中心拆分（payload）。",
            ),
            choices=("udh", "sar", "payload"),
            default="udh",
            advanced=True,
        ),
        Field(
            name="max_parts",
            shape=Shape.TEXT,
            title=Words("Parts of a message", "每条短信最多拆分"),
            help=Words("A longer text is cut.", "更长的内容会被截断。"),
            default="3",
            advanced=True,
        ),
        Field(
            name="receipt_ids",
            shape=Shape.CHOICE,
            title=Words("Ids in receipts", "回执中的编号"),
            help=Words(
                "How receipts write the ids that were given at sending: the same, or that number as decimal or "
                "hexadecimal.",
                "回执中的消息编号与提交应答中的写法：相同，或换成十进制、十六进制。",
            ),
            choices=("same", "decimal", "hexadecimal"),
            default="same",
            advanced=True,
        ),
    ),
    retries=(MINUTE,),
    jitter=0.2,
    timeout=10 * SECOND,
    concurrency=WINDOW_MOST,
    reach="sms",
    receipt=True,
)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What an account at Alibaba Cloud's SMS service needs."""

from __future__ import annotations

from typing import Final

from mailroom.core.clock import HOUR, MINUTE, SECOND
from mailroom.senders.contract import Field, Manifest, Pace, Shape, Words

MANIFEST: Final = Manifest(
    kind="sms_aliyun",
    title=Words("SMS: Alibaba Cloud", "短信：阿里云"),
    fields=(
        Field(
            name="access_key_id",
            shape=Shape.TEXT,
            title=Words("AccessKey ID", "AccessKey ID"),
            help=Words("Of a RAM user who may send SMS.", "有短信发送权限的 RAM 用户的 AccessKey ID。"),
            required=True,
        ),
        Field(
            name="access_key_secret",
            shape=Shape.SECRET,
            title=Words("AccessKey secret", "AccessKey Secret"),
            help=Words("It signs each call.", "用于为每次调用签名。"),
            required=True,
        ),
        Field(
            name="sign",
            shape=Shape.TEXT,
            title=Words("Signature", "短信签名"),
            help=Words("As approved, without 【】.", "已审核通过的签名，不含【】。"),
            required=True,
        ),
        Field(
            name="template",
            shape=Shape.TEXT,
            title=Words("Template of notices", "通知模板"),
            help=Words("Its code, such as SMS_123456789.", "模板编号，例如 SMS_123456789。"),
            required=True,
        ),
        Field(
            name="params",
            shape=Shape.TEXT,
            title=Words("Variables of notices", "通知模板变量"),
            help=Words(
                "One name={variable} a line, for each variable of the template; among them {count}, {fromname}, "
                "{subject} and {date}. Empty: the template has none.",
                "每行一个“变量名={变量}”，与模板变量一一对应；可用 {count}、{fromname}、{subject}、{date} 等。"
                "模板无变量则留空。",
            ),
        ),
        Field(
            name="code_template",
            shape=Shape.TEXT,
            title=Words("Template of codes", "验证码模板"),
            help=Words("For the codes that prove a number.", "用于验证手机号码的验证码。"),
            required=True,
        ),
        Field(
            name="code_params",
            shape=Shape.TEXT,
            title=Words("Variables of codes", "验证码模板变量"),
            help=Words("Likewise; {code} is the code.", "写法同上；{code} 为验证码。"),
            default="code={code}",
        ),
        Field(
            name="longest",
            shape=Shape.TEXT,
            title=Words("Longest variable", "变量最大长度"),
            help=Words("In characters; what is longer is cut.", "按字符计，超出部分将被截断。"),
            default="20",
            advanced=True,
        ),
        Field(
            name="callback_key",
            shape=Shape.SECRET,
            title=Words("Key of the callback address", "回调地址密钥"),
            help=Words(
                "Receipts (SmsReport) are taken at /callbacks/<sender>/<key> only. Empty: not at all.",
                "仅在 /callbacks/<发送账户>/<密钥> 接收状态报告（SmsReport）。留空则不接收。",
            ),
        ),
        Field(
            name="base_url",
            shape=Shape.URL,
            title=Words("Address of the service", "服务地址"),
            help=Words("Of another region, or a proxy.", "其他地域或代理的地址。"),
            default="https://dysmsapi.aliyuncs.com",
            advanced=True,
        ),
    ),
    retries=(MINUTE,),
    jitter=0.2,
    timeout=10 * SECOND,
    concurrency=20,
    pace=lambda _settings: Pace(every=10, burst=50),
    asks=(MINUTE, 5 * MINUTE, HOUR),
    reach="sms",
    receipt=True,
)

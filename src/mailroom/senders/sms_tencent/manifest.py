# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What an account at Tencent Cloud's SMS service needs."""

from __future__ import annotations

from typing import Final

from mailroom.core.clock import HOUR, MINUTE, SECOND
from mailroom.senders.contract import Field, Manifest, Pace, Shape, Words

MANIFEST: Final = Manifest(
    kind="sms_tencent",
    title=Words("SMS: Tencent Cloud", "短信：腾讯云"),
    fields=(
        Field(
            name="secret_id",
            shape=Shape.TEXT,
            title=Words("SecretId", "SecretId"),
            help=Words("Of a user who may send SMS.", "有短信发送权限的用户的 SecretId。"),
            required=True,
        ),
        Field(
            name="secret_key",
            shape=Shape.SECRET,
            title=Words("SecretKey", "SecretKey"),
            help=Words("It signs each call.", "用于为每次调用签名。"),
            required=True,
        ),
        Field(
            name="sdk_app_id",
            shape=Shape.TEXT,
            title=Words("SdkAppId", "SdkAppId"),
            help=Words("The SMS application's, such as 1400006666.", "短信应用的 SdkAppId，例如 1400006666。"),
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
            help=Words("Its ID, such as 1110.", "模板 ID，例如 1110。"),
            required=True,
        ),
        Field(
            name="params",
            shape=Shape.TEXT,
            title=Words("Variables of notices", "通知模板变量"),
            help=Words(
                "One a line, in the order of the template: {count}, {fromname}, {subject}, {date} ... Empty: the "
                "template has none, which is all that is allowed for notices in mainland China.",
                "每行一个，按模板中的顺序填写：{count}、{fromname}、{subject}、{date} 等。模板无变量则留空；"
                "中国大陆的通知类模板可能不允许变量。",
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
            default="{code}",
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
                "Receipts are taken at /callbacks/<sender>/<key> only. Empty: not at all.",
                "仅在 /callbacks/<发送账户>/<密钥> 接收状态报告。留空则不接收。",
            ),
        ),
        Field(
            name="region",
            shape=Shape.TEXT,
            title=Words("Region", "地域"),
            help=Words("Of the service.", "服务所在地域。"),
            default="ap-guangzhou",
            advanced=True,
        ),
        Field(
            name="base_url",
            shape=Shape.URL,
            title=Words("Address of the service", "服务地址"),
            help=Words("Of a proxy, for example.", "例如代理的地址。"),
            default="https://sms.tencentcloudapi.com",
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

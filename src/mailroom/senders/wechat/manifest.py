# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a WeChat service account needs, and how persistent it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mailroom.core.clock import MINUTE, SECOND
from mailroom.senders.contract import Field, Manifest, Shape, Words


def _is_known_again(settings: Mapping[str, str]) -> bool:
    """A template message is, by its client_msg_id, for ten minutes; a subscription notice bears none."""
    return settings.get("mode") != "subscription"


MANIFEST: Final = Manifest(
    kind="wechat",
    title=Words("WeChat service account", "微信服务号"),
    fields=(
        Field(
            name="app_id",
            shape=Shape.TEXT,
            title=Words("AppID", "开发者ID（AppID）"),
            help=Words("Of the verified service account.", "已认证服务号的 AppID。"),
            required=True,
        ),
        Field(
            name="app_secret",
            shape=Shape.SECRET,
            title=Words("AppSecret", "开发者密码（AppSecret）"),
            help=Words(
                "The address of this server has to be on the account's IP whitelist.",
                "须将本服务器的公网地址加入该账号的 IP 白名单。",
            ),
            required=True,
        ),
        Field(
            name="mode",
            shape=Shape.CHOICE,
            title=Words("Kind of message", "消息类型"),
            help=Words(
                "“subscription” needs the follower's consent, mostly for each single message.",
                "选“subscription”为订阅通知，通常每条都需用户事先同意。",
            ),
            choices=("template", "subscription"),
            default="template",
        ),
        Field(
            name="template_id",
            shape=Shape.TEXT,
            title=Words("Template ID", "模板 ID"),
            help=Words("As the account's list of templates shows it.", "以该账号模板列表中显示的为准。"),
            required=True,
        ),
        Field(
            name="fields",
            shape=Shape.TEXT,
            title=Words("Keywords of the template", "模板关键词"),
            help=Words(
                "What each keyword shows, separated by spaces. There are {from} {fromname} {sender} {to} {subject} "
                "{date} {size} {attachnum} {body} {count}.",
                "各关键词显示的内容，以空格分隔。可用变量：{from} {fromname} {sender} {to} {subject} {date} {size} "
                "{attachnum} {body} {count}。",
            ),
            default="thing1={fromname} thing2={subject} time3={date}",
        ),
        Field(
            name="callback_token",
            shape=Shape.SECRET,
            title=Words("Token of the callback", "服务器配置令牌（Token）"),
            help=Words(
                "As entered in the account's server configuration; without it nobody can link his WeChat.",
                "与公众平台“服务器配置”中填写的一致；用户绑定微信时需要。",
            ),
            required=True,
        ),
        Field(
            name="aes_key",
            shape=Shape.SECRET,
            title=Words("EncodingAESKey", "消息加解密密钥（EncodingAESKey）"),
            help=Words(
                "For the safe mode, which is better: the plain one does not protect what a call says.",
                "用于安全模式，建议使用：明文模式不保护回调内容。",
            ),
        ),
        Field(
            name="base_url",
            shape=Shape.URL,
            title=Words("Address of the API", "接口地址"),
            help=Words("Where WeChat's API is.", "微信接口所在的地址。"),
            default="https://api.weixin.qq.com",
            advanced=True,
        ),
    ),
    retries=(5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE),
    jitter=0.2,
    timeout=10 * SECOND,
    concurrency=64,
    reach="wechat",
    receipt=True,
    idempotent=_is_known_again,
)

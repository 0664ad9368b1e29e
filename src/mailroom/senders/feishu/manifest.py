# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a Feishu sender needs, and how fast and persistent it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mailroom.core.clock import MINUTE, SECOND
from mailroom.senders.contract import Field, Manifest, Pace, Shape, Words, always


def _pace(settings: Mapping[str, str]) -> Pace:
    if settings.get("mode") == "robot":
        return Pace(every=700, burst=3)  # below 100 a minute, and 5 a second
    return Pace(every=65, burst=20)  # below 1000 a minute, and 50 a second


MANIFEST: Final = Manifest(
    kind="feishu",
    title=Words("Feishu / Lark", "飞书"),
    fields=(
        Field(
            name="mode",
            shape=Shape.CHOICE,
            title=Words("Way", "方式"),
            help=Words(
                "“app”: messages of an app to each person. “robot”: a group's custom bot, for everybody in the group.",
                "“app”：应用发送给成员的消息；“robot”：群自定义机器人，群内所有人可见。",
            ),
            choices=("app", "robot"),
            default="app",
        ),
        Field(
            name="app_id",
            shape=Shape.TEXT,
            title=Words("App ID", "App ID"),
            help=Words(
                "Of the custom app. Another app means that everybody has to link again.",
                "企业自建应用的 App ID。更换应用后，所有成员都需要重新绑定。",
            ),
        ),
        Field(
            name="app_secret",
            shape=Shape.SECRET,
            title=Words("App secret", "App Secret"),
            help=Words("Of the same app.", "同一应用的 App Secret。"),
        ),
        Field(
            name="robot_token",
            shape=Shape.SECRET,
            title=Words("Bot token", "机器人令牌"),
            help=Words(
                "What follows /hook/ in the address of a group's bot.",
                "群机器人 Webhook 地址中 /hook/ 之后的内容。",
            ),
        ),
        Field(
            name="robot_secret",
            shape=Shape.SECRET,
            title=Words("Bot signing secret", "机器人签名密钥"),
            help=Words(
                "If the group's bot asks for signatures.",
                "群机器人启用“签名校验”时的密钥。",
            ),
        ),
        Field(
            name="encrypt_key",
            shape=Shape.SECRET,
            title=Words("Event key", "Encrypt Key"),
            help=Words(
                "Signs and encrypts the events that Feishu sends us, such as that a message has been read.",
                "飞书事件（如消息已读）的签名与加密密钥。",
            ),
        ),
        Field(
            name="verification_token",
            shape=Shape.SECRET,
            title=Words("Event token", "Verification Token"),
            help=Words("Stands in each of these events.", "每个事件中携带的校验 token。"),
        ),
        Field(
            name="base_url",
            shape=Shape.URL,
            title=Words("API address", "接口地址"),
            help=Words("For Lark: https://open.larksuite.com.", "Lark 请填写 https://open.larksuite.com。"),
            default="https://open.feishu.cn",
            advanced=True,
        ),
        Field(
            name="login_url",
            shape=Shape.URL,
            title=Words("Sign-in address", "登录地址"),
            help=Words(
                "Where people sign in to link their account. For Lark: https://accounts.larksuite.com.",
                "成员绑定账号时登录的地址。Lark 请填写 https://accounts.larksuite.com。",
            ),
            default="https://accounts.feishu.cn",
            advanced=True,
        ),
    ),
    # Together less than the hour for which Feishu recognises a repeat.
    retries=(5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE),
    jitter=0.2,
    timeout=10 * SECOND,
    concurrency=64,
    pace=_pace,
    reach="feishu",
    receipt=True,
    idempotent=always,  # within an hour; a second message in a group does little harm
)

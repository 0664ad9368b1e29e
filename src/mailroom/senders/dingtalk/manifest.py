# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a DingTalk sender needs, and how fast and persistent it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mailroom.core.clock import HOUR, MINUTE, SECOND
from mailroom.senders.contract import Field, Manifest, Pace, Shape, Words


def _pace(settings: Mapping[str, str]) -> Pace:
    if settings.get("mode") == "robot":
        return Pace(every=4 * SECOND, burst=4)  # more than 20 in a minute, and it is silent for ten
    return Pace(every=60, burst=10)


def _is_known_again(settings: Mapping[str, str]) -> bool:
    """A work notice with the same words is dropped within a day, and a second one in a group does little harm; what the
    app's robot writes to one person would come twice.
    """
    return settings.get("mode") != "oto"


MANIFEST: Final = Manifest(
    kind="dingtalk",
    title=Words("DingTalk", "钉钉"),
    fields=(
        Field(
            name="mode",
            shape=Shape.CHOICE,
            title=Words("Way", "方式"),
            help=Words(
                "“work”: work notices of an internal app. “oto”: its robot writes to each person. “robot”: a group's "
                "custom robot, for everybody in the group.",
                "“work”：企业内部应用的工作通知；“oto”：应用机器人单聊；“robot”：群自定义机器人，群内所有人可见。",
            ),
            choices=("work", "oto", "robot"),
            default="work",
        ),
        Field(
            name="app_key",
            shape=Shape.TEXT,
            title=Words("App key", "AppKey"),
            help=Words("Client ID of the internal app.", "企业内部应用的 AppKey（Client ID）。"),
        ),
        Field(
            name="app_secret",
            shape=Shape.SECRET,
            title=Words("App secret", "AppSecret"),
            help=Words("Client secret of the internal app.", "企业内部应用的 AppSecret（Client Secret）。"),
        ),
        Field(
            name="agent_id",
            shape=Shape.TEXT,
            title=Words("Agent ID", "AgentId"),
            help=Words("Number of the internal app, for work notices.", "企业内部应用的 AgentId，用于工作通知。"),
        ),
        Field(
            name="robot_token",
            shape=Shape.SECRET,
            title=Words("Robot token", "机器人令牌"),
            help=Words(
                "What follows access_token= in the address of a group's robot.",
                "群机器人 Webhook 地址中 access_token= 之后的内容。",
            ),
        ),
        Field(
            name="robot_secret",
            shape=Shape.SECRET,
            title=Words("Robot signing secret", "机器人加签密钥"),
            help=Words(
                "The secret that begins with SEC, if the group's robot asks for signatures.",
                "群机器人启用“加签”时以 SEC 开头的密钥。",
            ),
        ),
        Field(
            name="callback_token",
            shape=Shape.SECRET,
            title=Words("Event token", "事件签名 token"),
            help=Words(
                "Signs the events that DingTalk sends us: who leaves the organisation is unlinked.",
                "钉钉事件订阅的签名 token：成员离职后自动解除绑定。",
            ),
        ),
        Field(
            name="aes_key",
            shape=Shape.SECRET,
            title=Words("Event key", "事件加密 aes_key"),
            help=Words("Encrypts these events; 43 characters.", "事件订阅的加密 aes_key，43 个字符。"),
        ),
        Field(
            name="corp_id",
            shape=Shape.TEXT,
            title=Words("Corp ID", "CorpId"),
            help=Words(
                "Only where events are encrypted for the organisation instead of the app.",
                "仅当事件以企业 CorpId（而非 AppKey）加密时填写。",
            ),
            advanced=True,
        ),
        Field(
            name="base_url",
            shape=Shape.URL,
            title=Words("API address", "接口地址"),
            help=Words("Where DingTalk's older API is.", "钉钉旧版服务端接口的地址。"),
            default="https://oapi.dingtalk.com",
            advanced=True,
        ),
        Field(
            name="api_url",
            shape=Shape.URL,
            title=Words("New API address", "新版接口地址"),
            help=Words("Where DingTalk's newer API is.", "钉钉新版服务端接口的地址。"),
            default="https://api.dingtalk.com",
            advanced=True,
        ),
        Field(
            name="login_url",
            shape=Shape.URL,
            title=Words("Sign-in address", "登录地址"),
            help=Words("Where people sign in to link their account.", "成员绑定账号时登录的地址。"),
            default="https://login.dingtalk.com",
            advanced=True,
        ),
    ),
    retries=(5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE),
    jitter=0.2,
    timeout=10 * SECOND,
    concurrency=64,
    pace=_pace,
    # It answers for a day.
    asks=(5 * SECOND, 30 * SECOND, 5 * MINUTE, HOUR, 23 * HOUR),
    reach="dingtalk",
    receipt=True,
    idempotent=_is_known_again,
)

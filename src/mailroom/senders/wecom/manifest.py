# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a WeCom application, or robot, needs, and how persistent it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mailroom.core.clock import MINUTE, SECOND
from mailroom.senders.contract import Field, Manifest, Pace, Shape, Words, always


def _pace(settings: Mapping[str, str]) -> Pace:
    """A robot may say 20 things a minute; an organisation may make 10,000 calls a minute and 150,000 an hour."""
    return Pace(4 * SECOND, 4) if settings.get("mode") == "robot" else Pace(30, 100)


MANIFEST: Final = Manifest(
    kind="wecom",
    title=Words("WeCom", "企业微信"),
    fields=(
        Field(
            name="mode",
            shape=Shape.CHOICE,
            title=Words("Sends as", "发送方式"),
            help=Words(
                "“app”: an application, to each member. “robot”: a robot, to its group.",
                "选“app”由自建应用发给成员本人；选“robot”由群机器人发到群里。",
            ),
            choices=("app", "robot"),
            default="app",
        ),
        Field(
            name="corp_id",
            shape=Shape.TEXT,
            title=Words("Corp ID", "企业 ID"),
            help=Words("Of the organisation. For an application.", "在“我的企业”中查看。自建应用必填。"),
        ),
        Field(
            name="agent_id",
            shape=Shape.TEXT,
            title=Words("AgentId", "应用 AgentId"),
            help=Words("The application's number.", "自建应用的编号。"),
        ),
        Field(
            name="corp_secret",
            shape=Shape.SECRET,
            title=Words("Secret", "应用 Secret"),
            help=Words(
                "The application's. The address of this server has to be among its trusted IPs.",
                "自建应用的 Secret。须将本服务器的公网地址加入该应用的企业可信 IP。",
            ),
        ),
        Field(
            name="robot_key",
            shape=Shape.SECRET,
            title=Words("Key of the robot", "群机器人 key"),
            help=Words("What follows “key=” in its Webhook address.", "群机器人 Webhook 地址中 “key=” 之后的部分。"),
        ),
        Field(
            name="callback_token",
            shape=Shape.SECRET,
            title=Words("Token of the callback", "接收消息 Token"),
            help=Words(
                "With the key below: WeCom then tells who has left the organisation.",
                "与下面的密钥一起填写后，可得知成员离职。",
            ),
        ),
        Field(
            name="aes_key",
            shape=Shape.SECRET,
            title=Words("EncodingAESKey", "接收消息 EncodingAESKey"),
            help=Words("As WeCom shows it beside the token.", "与 Token 一同显示。"),
        ),
        Field(
            name="base_url",
            shape=Shape.URL,
            title=Words("Address of the API", "接口地址"),
            help=Words("Where WeCom's API is.", "企业微信接口所在的地址。"),
            default="https://qyapi.weixin.qq.com",
            advanced=True,
        ),
        Field(
            name="login_url",
            shape=Shape.URL,
            title=Words("Address of the sign-in page", "登录页地址"),
            help=Words("Where members sign in to link their account.", "成员绑定账号时登录的页面。"),
            default="https://login.work.weixin.qq.com/wwlogin/sso/login",
            advanced=True,
        ),
    ),
    retries=(5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE),
    jitter=0.2,
    timeout=10 * SECOND,
    concurrency=64,
    pace=_pace,
    reach="wecom",
    idempotent=always,  # by content; and in a group, a repeat does less harm than a loss
)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The page of the phones: what would have arrived on people's phones. A script draws it; all of it comes from here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from string import Template
from types import MappingProxyType
from typing import Final

_FOLDER: Final = files("mailroom.sandbox") / "static"

SCRIPT: Final = (_FOLDER / "phones.js").read_text("utf-8")
STYLE: Final = (_FOLDER / "phones.css").read_text("utf-8")
_PAGE: Final = Template((_FOLDER / "phones.html").read_text("utf-8"))

# Everything on the page quotes what strangers wrote in a mail.
HEADERS: Final = MappingProxyType(
    {
        "Content-Security-Policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
)

_WORDS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "en": {
            "language": "en",
            "title": "Sandbox",
            "lead": "What would have arrived on people’s phones.",
            "empty": "Nothing has arrived yet. This page fills by itself.",
            "clear": "Clear",
            "away": "The sandbox does not answer. Trying again …",
            "script": "This page is drawn by a script; please allow it.",
            "subjectless": "(no subject)",
            "attached": "attached:",
            "repeat": "repeat",
            "signed": "signed",
            "forged": "wrong signature",
            "raw": "As it was sent",
            "odd": "Not a push",
            "sms": "Messages",
            "wechat": "WeChat",
            "wecom": "WeCom",
            "dingtalk": "DingTalk",
            "feishu": "Feishu",
            "open": "Open",
            "sent": "sent",
            "arrived": "arrived",
            "read": "read",
            "lost": "not delivered",
            "report": "Report to the sender:",
            "providers": "Providers",
            "providers_lead": "Doubles of the providers. What is set here holds until the sandbox is started again.",
            "knobs": "Settings",
            "callback": "Reports go to",
            "as_new": "As new",
            "all_from_now": "all from now on",
            "hang": "Hang",
            "reset": "Break off",
            "reset_taken": "Take it, then break off",
            "bad_gateway": "502",
            "slow": "Slow (3 s)",
            "scan": "Scan",
            "scan_as": "Scan as:",
        },
        "zh": {
            "language": "zh-CN",
            "title": "沙盒",
            "lead": "本应出现在大家手机上的通知。",
            "empty": "尚未收到任何通知，本页会自动更新。",
            "clear": "清空",
            "away": "沙盒没有响应，正在重试……",
            "script": "本页由脚本绘制，请允许运行脚本。",
            "subjectless": "（无主题）",
            "attached": "附件",
            "repeat": "重复",
            "signed": "已签名",
            "forged": "签名错误",
            "raw": "原始内容",
            "odd": "不是推送",
            "sms": "短信",
            "wechat": "微信",
            "wecom": "企业微信",
            "dingtalk": "钉钉",
            "feishu": "飞书",
            "open": "查看详情",
            "sent": "已发送",
            "arrived": "已送达",
            "read": "已读",
            "lost": "未送达",
            "report": "向发送方回执：",
            "providers": "服务商",
            "providers_lead": "各服务商的本地替身。这里的设置在沙盒重启后失效。",
            "knobs": "设置",
            "callback": "回执地址",
            "as_new": "恢复原状",
            "all_from_now": "此后全部请求",
            "hang": "无响应",
            "reset": "断开连接",
            "reset_taken": "收下后断开",
            "bad_gateway": "502",
            "slow": "缓慢（3 秒）",
            "scan": "扫码",
            "scan_as": "扫码身份：",
        },
    }
)


def render(accept_language: str) -> str:
    """The page, in Chinese or English, whichever the browser would rather have."""
    words = _WORDS[language(accept_language)]
    return _PAGE.substitute({name: escape(word) for name, word in words.items()}, words=escape(json.dumps(words)))


def language(accept_language: str) -> str:
    """`zh` or `en`: the one that an `Accept-Language` header likes better (RFC 9110 §12.5.4)."""
    liked = {"zh": 0.0, "en": 0.0}
    for item in accept_language.split(","):
        tag, _, weight = item.partition(";")
        name = tag.strip().lower().partition("-")[0]
        if name in liked:
            liked[name] = max(liked[name], _weight(weight))
    return "zh" if liked["zh"] > liked["en"] else "en"


def _weight(parameter: str) -> float:
    try:
        return float(parameter.strip().removeprefix("q=") or 1)
    except ValueError:
        return 0.0

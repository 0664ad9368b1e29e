# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What WeChat calls us for: who scanned a code, who left, what became of a message.

In the plain mode the signature covers the time alone; in the safe one it covers all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final
from xml.etree import ElementTree as ET

from mailroom.core.errors import InvalidValue
from mailroom.senders import sealed, weixin
from mailroom.senders.contract import (
    Account,
    Call,
    Event,
    Forged,
    Heard,
    Left,
    News,
    Reply,
    Reported,
    Scanned,
    excerpt,
)

_NEW_FOLLOWER: Final = "qrscene_"


def hear(account: Account, call: Call) -> Heard | Forged:
    """See `Hears.hear`."""
    token, aes_key = account.secret("callback_token"), account.secret("aes_key")
    if call.method == "GET" or not aes_key.reveal():
        if not weixin.is_timely(call) or not weixin.is_by(token, call, "signature"):
            return Forged("wrong signature or time")
        if call.method == "GET":
            return Heard(Reply(body=call.query.get("echostr", "").encode("utf-8", "replace")))
        words: bytes | Forged = call.body
    else:
        try:
            key = sealed.key(aes_key)
        except InvalidValue as fault:
            return Forged(str(fault))
        words = weixin.unseal(call, weixin.envelope(call.body), token, key, receiver=account.settings.get("app_id", ""))
    if isinstance(words, Forged):
        return words
    told = weixin.parse(words)
    return Forged("no XML that we take") if told is None else _understand(account, told)


def _understand(account: Account, told: ET.Element) -> Heard:
    who, when = _text(told, "FromUserName"), _text(told, "CreateTime")
    event = _text(told, "Event")
    # developers.weixin.qq.com: "events: FromUserName and CreateTime"; of one second there may be several.
    name = excerpt(" ".join((who, when, event, _text(told, ".//MsgID", ".//MsgId"), _text(told, "EventKey"))))
    read = _EVENTS.get(event)
    events = read(account, told, who) if read is not None and who and _text(told, "MsgType") == "event" else ()
    return weixin.understood(name, *events)


def _followed(_account: Account, told: ET.Element, who: str) -> Sequence[Event]:
    key = _text(told, "EventKey")
    return [Scanned(key.removeprefix(_NEW_FOLLOWER), who)] if key.startswith(_NEW_FOLLOWER) else []


def _scanned(_account: Account, told: ET.Element, who: str) -> Sequence[Event]:
    return [Scanned(_text(told, "EventKey"), who)]


def _unfollowed(_account: Account, _told: ET.Element, who: str) -> Sequence[Event]:
    return [Left(who)]


def _finished(_account: Account, told: ET.Element, who: str) -> Sequence[Event]:
    status = _text(told, "Status")
    if status == "success":
        return [Reported(_text(told, "MsgID"), News.ARRIVED, address=who)]
    lost = Reported(_text(told, "MsgID"), News.LOST, status, status, address=who)
    return [lost, Left(who)] if "user block" in status else [lost]


def _notice_finished(_account: Account, told: ET.Element, who: str) -> Sequence[Event]:
    code, words = _text(told, ".//ErrorCode"), _text(told, ".//ErrorStatus")
    news = News.ARRIVED if code == "0" else News.LOST
    return [Reported(_text(told, ".//MsgID"), news, code, words, address=who)]


def _withdrawn(account: Account, told: ET.Element, who: str) -> Sequence[Event]:
    ours = account.settings.get("template_id", "")
    said = {_text(one, "TemplateId"): _text(one, "SubscribeStatusString") for one in told.iter("List")}
    return [Left(who)] if said.get(ours) == "reject" else []


_EVENTS: Final[Mapping[str, Callable[[Account, ET.Element, str], Sequence[Event]]]] = MappingProxyType(
    {
        "subscribe": _followed,
        "SCAN": _scanned,
        "unsubscribe": _unfollowed,
        "TEMPLATESENDJOBFINISH": _finished,
        "subscribe_msg_sent_event": _notice_finished,
        "subscribe_msg_change_event": _withdrawn,
    }
)


def _text(told: ET.Element, *names: str) -> str:
    return next((excerpt(found) for name in names if (found := told.findtext(name))), "")

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What DingTalk says later: what became of a message, where it is asked; who left, where it calls us. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from mailroom.core.clock import HOUR
from mailroom.core.secrets import Secret
from mailroom.senders import sealed
from mailroom.senders.contract import Account, Call, Forged, Heard, Left, News, Question, Reply, Reported, Why, excerpt
from mailroom.senders.http import octets, parsed_object

_WINDOW: Final = HOUR
_MOST: Final = 1000  # who may leave at once
# Somebody was told the same before. Our texts being what they are, that was an earlier attempt whose answer was lost.
_REPEATED: Final = frozenset({"143106", "143206"})
# In which order the lists are looked at; the code of a report is in the list itself where none stands here.
_LISTS: Final = (
    ("read_user_id_list", News.READ, "read", ""),
    ("unread_user_id_list", News.ARRIVED, "unread", ""),
    ("forbidden_list", News.LOST, "", "held back by a limit"),
    ("forbidden_user_id_list", News.LOST, "forbidden", "held back by a limit"),
    ("invalid_user_id_list", News.LOST, "invalid", "nobody of the organisation whom the app may write to"),
    ("failed_user_id_list", News.LOST, "failed", "DingTalk could not deliver it"),
)


def of_notice(said: Mapping[str, Any], question: Question) -> Reported | None:
    """What became of a work notice to one person, by the lists in which DingTalk puts its receivers: CSV or arrays,
    nested or not, by the documented names and the real ones.
    """
    lists = said
    for name in ("result", "send_result"):
        inner = lists.get(name)
        lists = inner if isinstance(inner, dict) else lists
    for name, news, known, text in _LISTS:
        if _any(lists, name):
            code = known or _code(lists[name])
            return _report(question, News.ARRIVED if code in _REPEATED else news, code, text)
    return None


def of_words(said: Mapping[str, Any], question: Question) -> Reported | None:
    """What became of what the robot wrote to one person."""
    readers = said.get("messageReadInfoList")
    if isinstance(readers, list) and any(isinstance(one, dict) and one.get("readStatus") == "READ" for one in readers):
        return _report(question, News.READ, "READ", "")
    status = excerpt(str(said.get("sendStatus", "")))[:64]
    if status == "SUCCESS":
        return _report(question, News.ARRIVED, status, "")
    if status.startswith("FAIL"):
        return _report(question, News.LOST, status, "DingTalk could not deliver it")
    return None


def hear(account: Account, call: Call, receivers: tuple[str, ...]) -> Heard | Forged:
    """An event, signed with the callback token, and sealed for one of the `receivers`."""
    token, key = account.secrets.get("callback_token"), account.secrets.get("aes_key")
    if token is None or key is None:
        return Forged("this sender hears no events")
    envelope = parsed_object(call.body)
    words = str(envelope.get("encrypt", ""))
    stamp, nonce = call.query.get("timestamp", ""), call.query.get("nonce", "")
    shown = call.query.get("signature") or call.query.get("msg_signature", "")
    if not sealed.is_signed(shown, token.reveal(), stamp, nonce, words):
        return Forged("wrong signature")
    if not re.fullmatch(r"[0-9]{1,15}", stamp) or abs(int(stamp) - call.now) > _WINDOW:
        return Forged("wrong time")
    octets_of_key = sealed.key(key)
    for receiver in receivers:
        plain = sealed.unseal(octets_of_key, words, receiver=receiver)
        if plain is not None:
            event = parsed_object(plain)
            left = _left(event)
            reply = _success(token, octets_of_key, receiver, stamp, nonce)
            about = f"{event.get('TimeStamp')}:{','.join(one.address for one in left)}" if left else ""
            return Heard(reply, left, excerpt(about)[:128])
    return Forged("sealed with another key, or for somebody else")


def _left(event: Mapping[str, Any]) -> tuple[Left, ...]:
    users = event.get("UserId")
    if event.get("EventType") != "user_leave_org" or not isinstance(users, list):
        return ()
    return tuple(Left(user, Why.GONE) for user in users[:_MOST] if isinstance(user, str) and user.isprintable())


def _success(token: Secret, key: bytes, receiver: str, stamp: str, nonce: str) -> Reply:
    words = sealed.seal(key, b"success", receiver=receiver)
    signed = sealed.signature(token.reveal(), stamp, nonce, words)
    said = {"msg_signature": signed, "timeStamp": stamp, "nonce": nonce, "encrypt": words}
    return Reply(body=octets(said), media_type="application/json")


def _report(question: Question, news: News, code: str, text: str) -> Reported:
    return Reported(question.provider_id, news, code, text, question.address)


def _any(lists: Mapping[str, Any], name: str) -> bool:
    found = lists.get(name)
    return bool(found.strip(" ,") if isinstance(found, str) else isinstance(found, list) and found)


def _code(forbidden: object) -> str:
    """The code in a `forbidden_list`; there is one receiver, hence one."""
    first = forbidden[0] if isinstance(forbidden, list) else None
    return excerpt(str(first.get("code", "")))[:64] if isinstance(first, dict) else "forbidden"

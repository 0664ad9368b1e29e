# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What WeChat and WeCom have in common: `errcode` in each answer, and calls to us in XML, signed and sealed
(developer.work.weixin.qq.com, "callback configuration").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from xml.etree import ElementTree as ET

from mailroom.core.clock import MINUTE, SECOND
from mailroom.core.secrets import Secret
from mailroom.senders import sealed
from mailroom.senders.api import code_of
from mailroom.senders.contract import Call, Event, Forged, Heard, Reply, Scope, TryLater
from mailroom.senders.http import READ_LIMIT, Answer, text_of
from mailroom.senders.verdicts import Said

# A call was made too often.
TOO_OFTEN: Final = TryLater("", "", Scope.SENDER, MINUTE)

_WINDOW: Final = 5 * MINUTE  # so far from now the time of a call may be
# "invalid ip 192.0.2.1, not in whitelist", "not allow to access from your ip, ..., from ip: 192.0.2.1"
_OUR_ADDRESS: Final = re.compile(r"\bip:? ([0-9a-fA-F]*[.:][0-9a-fA-F.:]*[0-9a-fA-F])")


def read(said: Mapping[str, Any], _answer: Answer, _now: int) -> Said | None:
    """See `api.Read`. Some calls say `errcode` only where there is an error."""
    code = code_of(said["errcode"]) if "errcode" in said else None
    if code is None and ("access_token" in said or "ticket" in said):
        code = ""
    if code is None:
        return None
    text = text_of(said, "errmsg")
    if code in {"40164", "60020"} and (ours := _OUR_ADDRESS.search(text)):
        text = f"allow {ours[1]} to use the account: {text}"
    return Said(code, text, said)


def is_timely(call: Call) -> bool:
    """Whether the call was made about now, as it says."""
    stamp = call.query.get("timestamp", "")
    return bool(re.fullmatch(r"[0-9]{1,12}", stamp)) and abs(int(stamp) * SECOND - call.now) <= _WINDOW


def is_by(token: Secret, call: Call, name: str, *parts: str) -> bool:
    """Whether the call's parameter `name` is the signature over its time, its nonce and the parts."""
    query = call.query
    signed = (token.reveal(), query.get("timestamp", ""), query.get("nonce", ""), *parts)
    return bool(token.reveal()) and sealed.is_signed(query.get(name, ""), *signed)


def unseal(call: Call, words: str, token: Secret, key: bytes, *, receiver: str) -> bytes | Forged:
    """The words of a call, if they are signed, and sealed for us."""
    if not is_timely(call) or not is_by(token, call, "msg_signature", words):
        return Forged("wrong signature or time")
    plain = sealed.unseal(key, words, receiver=receiver)
    return Forged("sealed with another key, or for somebody else") if plain is None else plain


def envelope(body: bytes) -> str:
    """What is sealed in a call's XML; "" nothing."""
    told = parse(body)
    return "" if told is None else (told.findtext("Encrypt") or "").strip()


def parse(body: bytes) -> ET.Element | None:
    """The XML of a call, if it is small and without a document type: so there are no entities to expand."""
    text = body.decode("utf-8", "replace")
    if len(body) > READ_LIMIT or "<!DOCTYPE" in text:
        return None
    try:
        return ET.fromstring(text)  # noqa: S314  # see above
    except (ET.ParseError, ValueError):
        return None


def understood(name: str, *events: Event) -> Heard:
    """The answer to a call; `name` tells it from others."""
    return Heard(Reply(body=b"success"), events, name)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What WeCom calls us for: who has left the organisation. All of it is sealed."""

from __future__ import annotations

from mailroom.core.errors import InvalidValue
from mailroom.senders import sealed, weixin
from mailroom.senders.contract import Account, Call, Forged, Heard, Left, Reply, Why, excerpt


def hear(account: Account, call: Call) -> Heard | Forged:
    """See `Hears.hear`."""
    token, receiver = account.secret("callback_token"), account.settings.get("corp_id", "")
    try:
        key = sealed.key(account.secret("aes_key"))
    except InvalidValue as fault:
        return Forged(str(fault))
    asked = call.method == "GET"
    words = call.query.get("echostr", "") if asked else weixin.envelope(call.body)
    plain = weixin.unseal(call, words, token, key, receiver=receiver)
    if isinstance(plain, Forged):
        return plain
    return Heard(Reply(body=plain)) if asked else _understand(plain)


def _understand(plain: bytes) -> Heard | Forged:
    told = weixin.parse(plain)
    if told is None:
        return Forged("no XML that we take")
    said = {one.tag: (one.text or "").strip() for one in told}
    change, member = said.get("ChangeType", ""), said.get("UserID", "")
    name = excerpt(" ".join((said.get("FromUserName", ""), said.get("CreateTime", ""), change, member)))
    has_left = change == "delete_user" and member
    return weixin.understood(name, *([Left(member, Why.GONE)] if has_left else []))

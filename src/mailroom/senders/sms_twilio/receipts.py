# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What became of an SMS, as Twilio's status callbacks tell, signed with the account's auth token.

They come in any order. Only final states say anything, so that an early one that comes late undoes nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl

from mailroom.core.secrets import Secret
from mailroom.senders.contract import Account, Call, Forged, Heard, News, Reply, Reported, excerpt

_FINAL: Final[Mapping[str, News]] = {
    "delivered": News.ARRIVED,
    "read": News.READ,
    "undelivered": News.LOST,
    "failed": News.LOST,
}
_MOST_PARAMETERS: Final = 200


def signature(secret: Secret, url: str, parameters: Iterable[tuple[str, str]]) -> str:
    """X-Twilio-Signature: HMAC-SHA1 over the URL and each parameter in its order (twilio.com/docs/usage/security)."""
    said = url + "".join(name + value for name, value in sorted(set(parameters)))
    digest = hmac.digest(secret.reveal().encode(), said.encode("utf-8", "replace"), hashlib.sha1)
    return base64.b64encode(digest).decode()


def hear(account: Account, call: Call) -> Heard | Forged:
    """See `Hears`. A proxy may have changed how our URL looks from here, so the one that we gave Twilio counts too."""
    secret = account.secret("auth_token")
    parameters = _parameters(call)
    shown = next((value for name, value in call.headers.items() if name.lower() == "x-twilio-signature"), "")
    urls = {call.url, account.settings.get("callback_url", "")} - {""}
    right = [signature(secret, url, parameters) for url in urls]
    if not secret.reveal() or not any(hmac.compare_digest(one.encode(), _octets(shown)) for one in right):
        return Forged("the signature is not Twilio's")
    said = dict(parameters)
    news = _FINAL.get(said.get("MessageStatus", ""))
    events = (_read(said, news),) if news and said.get("MessageSid") else ()
    return Heard(Reply(204), events)


def _read(said: Mapping[str, str], news: News) -> Reported:
    name, code, words, number = (
        excerpt(said.get(key, "")) for key in ("MessageSid", "ErrorCode", "ErrorMessage", "To")
    )
    return Reported(name, news, code, words, number)


def _parameters(call: Call) -> Sequence[tuple[str, str]]:
    if call.method != "POST":
        return ()
    try:
        return parse_qsl(call.body.decode(), keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        return ()


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "replace")

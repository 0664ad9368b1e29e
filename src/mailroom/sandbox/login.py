# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Where people sign in at a provider, to come back with a code: one field, and no password. In Chinese or English."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from types import MappingProxyType
from typing import Final

from aiohttp import web
from yarl import URL

from mailroom.core.clock import MINUTE, Clock
from mailroom.sandbox.page import language

_LASTS: Final = 5 * MINUTE
_AS: Final = "sign_in_as"

_PAGE: Final = """<!doctype html>
<html lang="{language}"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<h1>{title}</h1>
<form><p><label>{sign_in_as} <input name="{name}" value="{example}" pattern="{pattern}" aria-describedby="hint"
autocapitalize="none" required autofocus></label> <button>{sign_in}</button></p>
<p id="hint">{hint}</p>
{hidden}</form>
<p><a href="{cancel}">{no}</a></p>
</html>
"""
_WORDS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "en": {"sign_in_as": "Sign in as", "sign_in": "Sign in", "no": "Cancel"},
        "zh": {"sign_in_as": "登录身份", "sign_in": "登录", "no": "取消"},
    }
)


@dataclass(frozen=True, slots=True)
class Door:
    """A provider's: what it is called, and who may be entered, by language; an example, and the pattern of all."""

    title: Mapping[str, str]
    hint: Mapping[str, str]
    example: str
    pattern: str  # as HTML has them


@dataclass(slots=True)
class Logins:
    """Codes that stand for who signed in: each works once, for five minutes."""

    clock: Clock
    _codes: dict[str, tuple[str, int]] = field(default_factory=dict)

    def page(self, request: web.Request, door: Door, *, code: str) -> web.Response:
        """The page, or the way back from it with the code in a parameter of that name."""
        query = request.query
        back = URL(query.get("redirect_uri", ""))
        if back.scheme not in {"http", "https"}:
            return web.Response(status=400, text="redirect_uri is not a URL")
        state = {"state": query.get("state", "")}
        if user := query.get(_AS, ""):
            return web.Response(
                status=302, headers={"Location": str(back.update_query({code: self.issue(user)} | state))}
            )
        hidden = "".join(
            f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in query.items()
        )
        cancel = escape(str(back.update_query({"error": "access_denied"} | state)))
        spoken = language(request.headers.get("Accept-Language", ""))
        text = _PAGE.format(
            language=spoken,
            title=door.title[spoken],
            hint=door.hint[spoken],
            example=door.example,
            pattern=door.pattern,
            name=_AS,
            hidden=hidden,
            cancel=cancel,
            **_WORDS[spoken],
        )
        return web.Response(text=text, content_type="text/html", headers={"Vary": "Accept-Language"})

    def issue(self, user: str) -> str:
        """A code for somebody who has signed in."""
        code = secrets.token_hex(12)
        self._codes[code] = (user, self.clock() + _LASTS)
        return code

    def redeem(self, code: str) -> str:
        """Who signed in; nobody for a code that is old, used or unknown."""
        user, until = self._codes.pop(code, ("", 0))
        return user if self.clock() <= until else ""

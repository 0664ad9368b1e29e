# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Pages in the reader's language: which one that is, and templates that speak it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from mailroom.core.clock import SECOND, iso
from mailroom.core.text import LANGUAGES, translation
from mailroom.directory.model import Member

LANGUAGE_COOKIE: Final = "language"
_LOCALES: Final = {"en": Locale("en"), "zh": Locale("zh", "CN", script="Hans")}
_KILO: Final = 1000
# Signs that turn the direction of writing: they make "exe.gpj" of a name that ends in "jpg.exe".
_TURNING: Final = dict.fromkeys(map(ord, "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"))


def language_of(request: Request, member: Member | None) -> str:
    """The language to answer in: as chosen in this browser, else as the member likes it, else as the browser does."""
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    if chosen in LANGUAGES:
        return chosen
    if member is not None and member.language in LANGUAGES:
        return member.language
    return _accepted(request.headers.get("accept-language", ""))


def _accepted(header: str) -> str:
    """The best of our languages by an Accept-Language field (RFC 9110 §12.5.4)."""
    liked = dict.fromkeys(LANGUAGES, 0.0)
    for item in header.split(","):
        tag, _, weight = item.partition(";")
        language = tag.strip().lower().partition("-")[0]
        if language in liked:
            try:
                liked[language] = max(liked[language], float(weight.strip().removeprefix("q=") or 1))
            except ValueError:
                continue
    return max(LANGUAGES, key=lambda language: liked[language])


def cut(text: str, most: int) -> str:
    """The text's beginning, when it is longer than people read."""
    return text if len(text) <= most else text[: most - 1] + "…"


def shown(text: str) -> Markup:
    """A stranger's text that cannot turn what stands around it."""
    return Markup("<bdi>{}</bdi>").format(straight(text))


def straight(text: str) -> str:
    """The text without the signs that turn the direction of writing."""
    return text.translate(_TURNING)


class Templates:
    """The templates, once for each language. `asset` gives the URL of a static file."""

    def __init__(self, asset: Callable[[str], str]) -> None:
        self._environments: Final = {language: _environment(language, asset) for language in LANGUAGES}

    def page(
        self,
        request: Request,
        template: str,
        *,
        member: Member | None = None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: Any,
    ) -> HTMLResponse:
        """The page that the template makes of the values, in the reader's language."""
        language = language_of(request, member)
        text = (
            self._environments[language]
            .get_template(template)
            .render(language=language, path=_path(request), member=member, **values)
        )
        return HTMLResponse(text, status_code=status, headers=headers)


def _path(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _environment(language: str, asset: Callable[[str], str]) -> Environment:
    locale = _LOCALES[language]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    words = translation(language)
    environment.install_gettext_callables(words.gettext, words.ngettext, newstyle=True)  # type: ignore[attr-defined]  # the extension adds it
    environment.globals["asset"] = asset
    environment.globals["html_language"] = "zh-CN" if language == "zh" else language
    environment.filters["cut"] = cut
    environment.filters["shown"] = shown
    environment.filters["straight"] = straight
    environment.filters["who"] = lambda sender: sender.rpartition(" <")[0] or sender
    environment.filters["day"] = lambda moment: _time(moment, "short", format_date(_utc(moment), "medium", locale))
    environment.filters["moment"] = lambda moment: _time(
        moment, "long", format_datetime(_utc(moment), "medium", locale=locale) + " UTC"
    )
    environment.filters["size"] = lambda octets: _size(octets, locale)
    return environment


def _utc(moment: int) -> datetime:
    return datetime.fromtimestamp(moment / SECOND, UTC)


def _time(moment: int, form: str, text: str) -> Markup:
    """A time in UTC, which a script turns into the reader's own."""
    return Markup('<time datetime="{}" data-form="{}">{}</time>').format(iso(moment), form, text)


def _size(octets: int, locale: Locale) -> str:
    if octets < _KILO:
        return f"{octets} B"
    unit, value = ("kB", octets / _KILO) if octets < _KILO**2 else ("MB", octets / _KILO**2)
    return f"{format_decimal(value, '#,##0.0' if value < 10 else '#,##0', locale)} {unit}"

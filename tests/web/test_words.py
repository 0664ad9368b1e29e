# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Everything that people read has its words in every language, and no catalogue holds words that nobody says."""

from __future__ import annotations

import importlib
import pkgutil
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import mailroom
from mailroom.core.errors import Refusal
from mailroom.core.text import LANGUAGES, translation

SOURCE = Path(mailroom.__file__).parent
# Nothing to import: the migrations run where they are loaded by path, and engines may lack their driver.
_NOT_IMPORTED = re.compile(r"\.(migrations|engines)\b|__main__")


def catalogue(language: str) -> Catalog:
    path = SOURCE / f"locale/{language}/LC_MESSAGES/mailroom.po"
    return read_po(path.read_text(encoding="utf-8").splitlines(), locale=language)


def of_templates() -> Iterator[str]:
    methods = [("**/templates/**.html", "jinja2")]
    for _, _, said, _, _ in extract_from_dir(SOURCE / "web", method_map=methods):
        yield said[0] if isinstance(said, tuple) else said


def of_refusals() -> Iterator[str]:
    for module in pkgutil.walk_packages([str(SOURCE)], "mailroom."):
        if not _NOT_IMPORTED.search(module.name):
            importlib.import_module(module.name)
    pending = [Refusal]
    while pending:
        refusal = pending.pop()
        pending.extend(refusal.__subclasses__())
        if refusal.__module__.startswith("mailroom."):
            yield refusal.sentence


def of_things_that_refusals_name() -> Iterator[str]:
    for path in SOURCE.rglob("*.py"):
        yield from re.findall(r'[( ]what="([a-z ]+)"', path.read_text(encoding="utf-8"))


def of_mails_we_write() -> Iterator[str]:
    for folder in ("notify", "delivery", "directory"):
        for _, _, said, _, _ in extract_from_dir(SOURCE / folder, keywords={"N_": None}):
            yield said[0] if isinstance(said, tuple) else said


WORDS = sorted({*of_templates(), *of_refusals(), *of_things_that_refusals_name(), *of_mails_we_write()})


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_everything_said_is_translated_and_nothing_else(language: str) -> None:
    known = catalogue(language)
    translated = {message.id[0] if isinstance(message.id, tuple) else message.id for message in known if message.string}
    assert sorted(set(WORDS) - translated) == []
    assert sorted(translated - set(WORDS) - {""}) == []
    assert not [message.id for message in known if message.fuzzy and message.id]


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_a_translation_is_filled_with_the_same_values(language: str) -> None:
    for message in catalogue(language):
        ours, theirs = _plural(message.id), _plural(message.string)
        assert _fields(ours) == _fields(theirs), ours


def test_chinese_has_chinese_punctuation() -> None:
    templates = [path.read_text(encoding="utf-8") for path in SOURCE.rglob("web/templates/**/*.html")]
    for message in catalogue("zh"):
        assert not re.search(r"[\u4e00-\u9fff)}] ?[,;:!?()]|[,;:!?()] ?[\u4e00-\u9fff]", _plural(message.string)), (
            message.id
        )
    for template in templates:
        assert not re.search(r"_\([^{}]*\) \}\}[,;:)]|[,;:(] ?\{\{ (_|ngettext)\(", template)


def _plural(forms: object) -> str:
    return str(forms[-1] if isinstance(forms, list | tuple) else forms)


def _fields(text: str) -> set[str]:
    braces = set() if "%(" in text else {name for _, name, _, _ in string.Formatter().parse(text) if name}
    return braces | set(re.findall(r"%\((\w+)\)", text))


def test_the_compiled_catalogue_is_there() -> None:
    assert translation("zh").gettext("Inbox") == "收件箱"

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Words for people, in their language. Catalogues lie in `mailroom/locale`; English is what the code says."""

from __future__ import annotations

import functools
import gettext
from pathlib import Path

from mailroom.core.errors import Refusal

LANGUAGES = ("en", "zh")

_LOCALE = Path(__file__).parent.parent / "locale"


def N_(text: str) -> str:  # noqa: N802 # gettext's own name for it
    """Mark a text that is translated later."""
    return text


@functools.cache
def translation(language: str) -> gettext.NullTranslations:
    """The catalogue of a language such as `zh` or `zh-CN`; English for one that we do not have."""
    base = language.replace("_", "-").partition("-")[0].lower()
    return gettext.translation("mailroom", _LOCALE, [base], fallback=True)


def sentence(refusal: Refusal, language: str) -> str:
    """What a refusal says to people. The things it names are words of ours too."""
    words = translation(language)
    about = {
        name: words.gettext(said) if isinstance(said, str) and said else said for name, said in refusal.about.items()
    }
    return words.gettext(refusal.sentence).format(**about)

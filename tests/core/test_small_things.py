# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Secrets stay unseen, in the log too; ids differ; times read as people write them; words come in two languages."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from mailroom.core import clock, ids
from mailroom.core.secrets import Secret
from mailroom.core.text import translation

SECRET = "correct horse battery staple"

LOGGING = f"""
from mailroom.core import log
from mailroom.core.secrets import Secret

def sign_in(password):
    plain = password.reveal()
    raise RuntimeError("no luck")

log.configure()
log.get("smtp").debug("too fine")
log.get("smtp").info("signed in", member="amy", password=Secret({SECRET!r}), nested={{"secret": Secret({SECRET!r})}})
try:
    sign_in(Secret({SECRET!r}))
except RuntimeError:
    log.get("web").exception("failed")
"""


def test_a_secret_shows_itself_nowhere() -> None:
    secret = Secret(SECRET)
    assert {str(secret), repr(secret), f"{secret}", f"{secret!r}", "%s" % secret} == {"***"}  # noqa: UP031 # a way too
    assert str({"password": secret}) == "{'password': ***}"
    assert SECRET not in str(RuntimeError(secret))


def test_a_secret_is_no_json() -> None:
    with pytest.raises(TypeError):
        json.dumps({"password": Secret(SECRET)})


def test_a_secret_equals_its_like_and_is_revealed_on_purpose() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert Secret(SECRET) != SECRET
    assert Secret(SECRET).reveal() == SECRET


def test_the_log_is_json_without_secrets_even_in_tracebacks() -> None:
    ran = subprocess.run([sys.executable, "-c", LOGGING], capture_output=True, text=True, check=True)
    lines = ran.stderr.splitlines()
    signed_in, failed = map(json.loads, lines)
    assert SECRET not in ran.stderr
    assert (signed_in["part"], signed_in["event"], signed_in["level"]) == ("smtp", "signed in", "info")
    assert (signed_in["member"], signed_in["password"]) == ("amy", "***")
    assert failed["exception"][0]["exc_type"] == "RuntimeError"


def test_an_id_is_26_letters_and_never_the_same() -> None:
    made = [ids.new() for _ in range(10_000)]
    assert len(set(made)) == len(made)
    assert {len(each) for each in made} == {26}
    assert set("".join(made)) == set("0123456789abcdefghijklmnopqrstuv")


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_750_000_000_999, "2025-06-15T15:06:40Z"),
        (-1, "1969-12-31T23:59:59Z"),
    ],
)
def test_a_moment_is_written_in_utc_to_the_second(moment: int, written: str) -> None:
    assert clock.iso(moment) == written


def test_now_is_in_milliseconds() -> None:
    assert clock.now() > 1_700_000_000_000


@pytest.mark.parametrize("language", ["en", "fr", "", "tlh-KX"])
def test_a_language_that_we_do_not_have_is_english(language: str) -> None:
    assert translation(language).gettext("The mailbox is full.") == "The mailbox is full."

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The program from its first moment: what a shell sees of it, and that a verb loads no more than it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cli.conftest import Mailroom, caller
from tests.conftest import ROOT

LIGHT = ("domain list", "member list", "mailbox list", "group list", "policy show", "queue list", "notify log")
HEAVY = {
    *("aiohttp", "alembic", "babel", "cryptography.x509", "jinja2", "psycopg", "starlette", "uvicorn", "uvloop"),
    *("mailroom.protocols", "mailroom.runtime.app", "mailroom.web"),
}

RUN = f"""
import contextlib, sys
from mailroom import cli
for words in {LIGHT}:
    sys.argv[1:] = words.split()
    with contextlib.suppress(SystemExit):
        cli.main()
    print(*sys.modules, file=sys.stderr)
"""


def test_the_program_takes_a_secret_prints_and_says_no(mailroom_from_the_start: Mailroom) -> None:
    mailroom = mailroom_from_the_start
    words = ("init", "--domain", "corp.example", "--password-stdin", "--json")
    made = mailroom(*words, stdin="a long password\n")
    assert (made.status, made.err) == (0, "")
    assert {record["type"] for record in made.json} >= {"MX", "TXT", "SRV"}
    again = mailroom(*words, stdin="a long password\n", env={"LANG": "zh_CN.UTF-8"})
    assert (again.status, again.out, again.err) == (1, "", "name_taken: 组织 corp.example 已存在。\n")
    wrong = mailroom("doman", "list")
    assert (wrong.status, wrong.out) == (2, "")
    assert "'domain'" in wrong.err
    assert "--install-completion" not in mailroom("domain", "--help").out
    nodots = mailroom("domain", "add", "nodots")
    assert (nodots.status, nodots.err) == (1, "invalid_domain: nodots is not a domain.\n")


@pytest.mark.parametrize(
    "locale",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii:strict"},
    ],
    ids=["C", "ASCII", "streams"],
)
def test_every_locale_speaks_utf_8(
    mailroom: Mailroom, mailroom_from_the_start: Mailroom, locale: Mapping[str, str]
) -> None:
    assert mailroom("init", "--domain", "corp.example", "--password-stdin", stdin="a long password\n").status == 0
    words = ("member", "add", "zhang", "--name", "张三", "--password-stdin")
    added = mailroom_from_the_start(*words, stdin="密码密码密码密码\n", env=locale)
    assert (added.status, added.err) == (0, "")
    assert "name: 张三\n" in added.out
    unknown = mailroom_from_the_start("member", "show", "李\udcff", env=locale)
    assert unknown.err == "not_found: There is no member 李\ufffd.\n"


def test_a_password_in_another_code_is_refused(tmp_path: Path) -> None:
    said = subprocess.run(
        [Path(sys.executable).with_name("mailroom"), "init", "--domain", "corp.example", "--password-stdin"],
        input="密码密码密码密码\n".encode("gb18030"),
        env=os.environ | {"MAILROOM_DATA": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert (said.returncode, said.stderr) == (1, b"invalid_value: password: it is not in UTF-8\n")


@pytest.mark.parametrize(
    ("words", "password"),
    [
        (("--domain", "no domain"), "a long password\n"),
        (("--domain", "corp.example", "--admin", "a@b"), "a long password\n"),
        (("--domain", "corp.example", "--admin", "-"), "a long password\n"),
        (("--domain", "corp.example"), "short\n"),
    ],
)
def test_an_init_that_is_refused_leaves_nothing(tmp_path: Path, words: tuple[str, ...], password: str) -> None:
    data = tmp_path / "data"
    mailroom = caller("", data)
    assert mailroom("init", *words, "--password-stdin", stdin=password).status == 1
    assert not data.exists()
    assert mailroom("domain", "list").err.startswith("invalid_value: data: there is no store")


def test_the_help_names_every_verb(mailroom: Mailroom) -> None:
    said = mailroom("--help")
    assert said.status == 0
    assert all(f" {name} " in said.out for name in ("init", "serve", "domain", "queue"))
    assert " docs " not in said.out


def test_a_light_verb_loads_no_server(sqlite_url: str) -> None:
    settings = os.environ | {"MAILROOM_DATABASE": sqlite_url}
    done = subprocess.run(
        [sys.executable, "-c", RUN], env=settings, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert [HEAVY.intersection(line.split()) for line in done.stderr.splitlines()] == [set()] * len(LIGHT)

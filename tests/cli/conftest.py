# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The command, called as people call it: in a process of its own, which need not import anything unless the start is
what is shown.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli import forked
from tests.conftest import ROOT


@dataclass(frozen=True)
class Said:
    """What a call printed, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Mailroom = Callable[..., Said]
Run = Callable[[Sequence[str], Mapping[str, str], str], Said]


@pytest.fixture
def mailroom(sqlite_url: str, tmp_path: Path) -> Mailroom:
    """`mailroom("domain", "list")` on a store of the test's own."""
    return caller(sqlite_url, tmp_path)


@pytest.fixture
def mailroom_on_each(store_url: str, tmp_path: Path) -> Mailroom:
    """The same, on each engine in turn."""
    return caller(store_url, tmp_path)


@pytest.fixture
def mailroom_from_the_start(sqlite_url: str, tmp_path: Path) -> Mailroom:
    """As `mailroom`, by the program that is installed: a second each."""
    return caller(sqlite_url, tmp_path, run=_started)


def _forked(words: Sequence[str], variables: Mapping[str, str], stdin: str) -> Said:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").write_text(stdin, encoding="utf-8")
        status = forked.call(words, variables, folder)
        return Said(status, *((folder / stream).read_text(encoding="utf-8") for stream in ("out", "err")))


def _started(words: Sequence[str], variables: Mapping[str, str], stdin: str) -> Said:
    program = Path(sys.executable).with_name("mailroom")
    done = subprocess.run(
        [program, *words], input=stdin, env=variables, cwd=ROOT, capture_output=True, text=True, check=False
    )
    return Said(done.returncode, done.stdout, done.stderr)


def caller(store_url: str, data: Path, *, run: Run = _forked) -> Mailroom:
    """Calls the command with settings of the test's own."""

    def call(*words: str, stdin: str = "", env: Mapping[str, str] | None = None) -> Said:
        given = {"MAILROOM_DATA": str(data), "MAILROOM_DATABASE": store_url, "LANG": "C.UTF-8", **(env or {})}
        return run(words, os.environ | given, stdin)

    return call

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The command, called as people call it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

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


@pytest.fixture
def mailroom(sqlite_url: str, tmp_path: Path) -> Mailroom:
    """`mailroom("domain", "list")` on a store of the test's own."""
    return caller(sqlite_url, tmp_path)


@pytest.fixture
def mailroom_on_each(store_url: str, tmp_path: Path) -> Mailroom:
    """The same, on each engine in turn."""
    return caller(store_url, tmp_path)


def caller(store_url: str, data: Path) -> Mailroom:
    """Calls the command with settings of the test's own."""
    program = Path(sys.executable).with_name("mailroom")

    def call(*words: str, stdin: str = "", env: Mapping[str, str] | None = None) -> Said:
        given = {"MAILROOM_DATA": str(data), "MAILROOM_DATABASE": store_url, "LANG": "C.UTF-8", **(env or {})}
        done = subprocess.run(
            [program, *words],
            input=stdin,
            env=os.environ | given,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return call

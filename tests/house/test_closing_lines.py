# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A run says by name what it did not do, just above pytest's own closing line; see `tests/conftest.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(tests: str, folder: Path, **environment: str) -> tuple[int, list[str]]:
    """Run a file of tests under our conftest; the exit status and the lines from `not run` on."""
    (folder / "test_sample.py").write_text(tests)
    pytest = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-p", "tests.conftest", str(folder)]
    done = subprocess.run(
        pytest, cwd=ROOT, env=os.environ | environment, text=True, stdout=subprocess.PIPE, check=False
    )
    lines = [line.strip("= ") for line in done.stdout.splitlines()]
    return done.returncode, lines[lines.index("not run") + 1 :]


def test_a_full_run_says_so(tmp_path: Path) -> None:
    status, (said, closing) = run("def test_fine(): pass", tmp_path, CI="true")
    assert (status, said) == (0, "nothing: every part ran")
    assert closing.startswith("1 passed")


def test_a_missing_tool_is_a_failure_where_it_could_be_installed(tmp_path: Path) -> None:
    status, (said, closing) = run("def test_it(tool): tool('no-such-program')", tmp_path, CI="true")
    assert status == 1
    assert said.startswith("failure: ")
    assert "test_sample.py::test_it (no no-such-program: " in said
    assert closing.startswith("1 skipped")


def test_the_absent_mail_corpus_is_named_and_forgiven(tmp_path: Path) -> None:
    absent = str(tmp_path / "nowhere")
    status, (said, _) = run("def test_it(shared_data): pass", tmp_path, CI="true", TEST_DATA=absent)
    assert status == 0
    assert "test_sample.py::test_it (not here: the folder of real mails" in said

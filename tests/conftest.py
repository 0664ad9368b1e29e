# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What every test may ask for, and the closing lines of a run: each part that did not run, by name and reason.

A test that needs something this machine cannot have (the mail corpus, which lives beside the repository) skips with a
reason that begins with `NOT_HERE`. Any other skip is a hole in the gate: as root, or with `CI=true`, where everything
can be installed, it fails the run.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

from tests.provision import which

ROOT = Path(__file__).parent.parent
NOT_HERE = "not here: "

pytest_plugins = ["tests.stores"]

hypothesis.settings.register_profile("gate", deadline=None)  # two shared cores are no stop-watch
hypothesis.settings.load_profile("gate")

# Where no test configures the log, an error in it is not drawn in colours with every variable: that takes 0.3 s.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Here, because pytest reads the options of no conftest further down in a run over everything."""
    parser.addoption("--kills", type=int, default=20, help="how often tests/kill kills the server (make chaos: 1000)")


def pytest_collection_finish() -> None:
    """Five thousand tests are here to stay: the collector need not look at them again and again."""
    gc.freeze()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real mails (`mails/`, `bounces/`): beside the repository, or where TEST_DATA says."""
    folder = Path(os.environ.get("TEST_DATA", ROOT.parent / "shared/data"))
    if not folder.is_dir():
        pytest.skip(f"{NOT_HERE}the folder of real mails; name one in TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Find a program of someone else's: `tool("swaks")` is its path, or the test is skipped by name."""

    def find(program: str) -> str:
        path = which(program)
        if path is None:
            pytest.skip(f"no {program}: `make test` as root on Debian installs it")
        return path

    return find


def skips_are_failures() -> bool:
    """Whether everything a test needs can be had on this machine."""
    return os.environ.get("CI") == "true" or os.geteuid() == 0


def not_run(terminal: pytest.TerminalReporter) -> list[tuple[str, str]]:
    """The (test, reason) pairs of what was skipped."""
    return sorted(
        (report.nodeid, report.longrepr[2].removeprefix("Skipped: "))
        for report in terminal.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple)
    )


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run for a hole in the gate."""
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if not isinstance(terminal, pytest.TerminalReporter) or not skips_are_failures():
        return  # a worker of xdist: its controller judges
    holes = [test for test, reason in not_run(terminal) if not reason.startswith(NOT_HERE)]
    if holes and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Name what did not run, last of all but pytest's own closing line."""
    yield
    missed = not_run(terminalreporter)
    terminalreporter.write_sep("=", "not run")
    if not missed:
        terminalreporter.write_line("nothing: every part ran")
    for test, reason in missed:
        verdict = "failure" if skips_are_failures() and not reason.startswith(NOT_HERE) else "skipped"
        terminalreporter.write_line(f"{verdict}: {test} ({reason})")

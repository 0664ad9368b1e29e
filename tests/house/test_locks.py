# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The locks name every package by version and hash, and no place to get it from: that is the installer's setting."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINNED = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>\S+)(?P<rest>(?:.*\\\n)+.*)", re.MULTILINE)


def lock(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.lock").read_text()


def pinned(name: str) -> dict[str, str]:
    return {entry["name"]: entry["version"] for entry in PINNED.finditer(lock(name))}


def names(requirements: list[str]) -> set[str]:
    """The packages' names, written as the locks write them."""
    return {re.split(r"[^\w.-]", each)[0].replace(".", "-").replace("_", "-").lower() for each in requirements}


@pytest.mark.parametrize("name", ["runtime", "dev"])
def test_each_entry_of_a_lock_carries_hashes(name: str) -> None:
    text = lock(name)
    entries = list(PINNED.finditer(text))
    assert len(entries) == len(re.findall(r"^\w", text, re.MULTILINE)) > 20
    assert [entry["name"] for entry in entries if "--hash=sha256:" not in entry["rest"]] == []


@pytest.mark.parametrize("name", ["runtime", "dev"])
def test_a_lock_names_no_index_link_or_folder(name: str) -> None:
    assert re.findall(r"://|file:| @ |^-.*", lock(name), re.MULTILINE) == []


def test_the_locks_hold_what_the_project_asks_for() -> None:
    project = PYPROJECT["project"]
    asked = [*project["dependencies"], *(each for extra in project["optional-dependencies"].values() for each in extra)]
    assert names(asked) <= pinned("runtime").keys()
    assert names([*asked, *PYPROJECT["dependency-groups"]["dev"]]) <= pinned("dev").keys()


def test_tests_run_on_the_versions_that_users_get() -> None:
    assert pinned("runtime").items() <= pinned("dev").items()


def test_the_browser_libraries_are_exact_and_hashed() -> None:
    wanted = json.loads((ROOT / "frontend/package.json").read_text())["dependencies"]
    locked = json.loads((ROOT / "frontend/package-lock.json").read_text())["packages"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    packages = [package for name, package in locked.items() if name]
    assert all(package["integrity"].startswith("sha512-") for package in packages)
    assert [package for package in packages if "resolved" in package] == []

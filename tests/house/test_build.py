# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The wheel stands alone: what the build hook makes is inside, so nothing is fetched at run time."""

from __future__ import annotations

import gettext
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import build_hook

ROOT = Path(__file__).parents[2]


def test_the_wheel_holds_all_that_runs(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", str(tmp_path), str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("mailroom-*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())

    package = ROOT / "src"
    written = {str(path.relative_to(package)) for path in package.rglob("*.py")}
    translated = {str(path.with_suffix(".mo").relative_to(package)) for path in package.rglob("*.po")}
    vendored = json.loads((ROOT / "frontend/package.json").read_text())["vendor"]
    assert written | translated | {"mailroom/py.typed"} <= inside
    assert {f"mailroom/web/static/vendor/{name}" for name in vendored} <= inside
    assert any(name.endswith("/licenses/LICENSE") for name in inside)
    assert [name for name in inside if name.endswith((".po", ".pot", ".made-from", ".map"))] == []


def test_libraries_made_from_the_same_lock_are_left_alone(tmp_path: Path) -> None:
    frontend = tmp_path / "frontend"
    frontend.mkdir()
    for name in build_hook.NPM_INPUTS:
        (frontend / name).write_text("{}")
    vendor = tmp_path / "vendor"
    (frontend / "package.json").write_text('{"name": "empty", "vendor": {}}')
    (frontend / "package-lock.json").write_text('{"name": "empty", "lockfileVersion": 3, "packages": {"": {}}}')

    build_hook.vendor(frontend, into=vendor)
    (vendor / "kept").touch()
    build_hook.vendor(frontend, into=vendor)
    assert (vendor / "kept").exists()

    (frontend / "package.json").write_text('{"name": "changed", "vendor": {}}')
    build_hook.vendor(frontend, into=vendor)
    assert not (vendor / "kept").exists()


def test_translations_are_compiled_for_gettext(tmp_path: Path) -> None:
    folder = tmp_path / "zh_CN" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "mailroom.po").write_text('msgid "Inbox"\nmsgstr "收件箱"\n', encoding="utf-8")
    build_hook.compile_translations(tmp_path)
    assert gettext.translation("mailroom", tmp_path, ["zh_CN"]).gettext("Inbox") == "收件箱"

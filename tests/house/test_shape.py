# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The rules of the house that no linter knows: what every file carries, and what none may."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPDX = "# SPDX-FileCopyrightText: The Mailroom authors\n# SPDX-License-Identifier: Apache-2.0\n"


@cache
def files() -> tuple[Path, ...]:
    """Every file that git has, or would have after `git add --all`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    return tuple(path for name in sorted(listed.split("\0")) if name and (path := ROOT / name).is_file())


def modules() -> Iterator[tuple[str, str]]:
    """Each Python file: its name from the root, and its source."""
    for path in files():
        if path.suffix == ".py":
            yield str(path.relative_to(ROOT)), path.read_text()


def test_every_module_names_its_licence() -> None:
    assert [name for name, source in modules() if not source.startswith(SPDX)] == []


def test_every_module_says_why_it_exists() -> None:
    assert [name for name, source in modules() if not ast.get_docstring(ast.parse(source))] == []


def test_folders_and_modules_name_the_business() -> None:
    nothing_said = {"utils", "util", "helpers", "services", "managers", "common", "misc"}
    named = {part for path in files() for part in (*path.relative_to(ROOT).parts[:-1], path.stem)}
    assert named & nothing_said == set()


# Each pattern is spelled so that it does not find itself.
REGISTRY = re.compile(rb"pyp[i]\.org|pythonhoste[d]\.org|npmj[s]\.(?:org|com)|de[b]\.debian\.org")
MACHINE = re.compile(rb"(?<![\w.~*-])/(?:wor[k]|roo[t]|far[m])/\w")


@pytest.mark.parametrize("forbidden", [REGISTRY, MACHINE], ids=["a registry's address", "a path of one machine"])
def test_no_file_holds(forbidden: re.Pattern[bytes]) -> None:
    assert [str(path.relative_to(ROOT)) for path in files() if forbidden.search(path.read_bytes())] == []


SILENCED = re.compile(r"(?P<what>type: ignore(?:\[[\w, -]+\])?|noqa(?:: [A-Z0-9, ]+\b)?|pragma: no \w+)(?P<rest>.*)")


def test_whatever_is_silenced_says_why() -> None:
    unexplained = []
    for name, source in modules():
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            silenced = SILENCED.search(token.string) if token.type == tokenize.COMMENT else None
            if silenced and not re.match(r"\s*(?:-+|:|#)\s*\S", silenced["rest"]):
                unexplained.append(f"{name}:{token.start[0]}: {token.string}")
    assert unexplained == []


def test_the_core_is_the_standard_library_and_the_log() -> None:
    allowed = sys.stdlib_module_names | {"mailroom"}
    foreign = {
        (name, module)
        for name, source in modules()
        if name.startswith("src/mailroom/core/")
        for module in imported(source)
        if module not in allowed
    }
    assert foreign <= {("src/mailroom/core/log.py", "structlog")}


def imported(source: str) -> Iterator[str]:
    """The top-level packages that a module imports."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (name.name.partition(".")[0] for name in names)
            case ast.ImportFrom(module=str(module)):
                yield module.partition(".")[0]


def test_no_test_replaces_what_is_ours() -> None:
    patching = [(name, source) for name, source in modules() if "setattr" in source]
    assert [f"{name}:{line}" for name, source in patching for line in replacing(ast.parse(source))] == []


def replacing(tree: ast.Module) -> Iterator[int]:
    """The lines where `setattr`, monkeypatch's or the builtin, is given something of mailroom's: imported from it,
    reached from there, or named by its path.
    """
    ours = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                ours |= {(each.asname or each.name).partition(".")[0] for each in names if is_ours(each.name)}
            case ast.ImportFrom(module=str(module), names=names) if is_ours(module):
                ours |= {each.asname or each.name for each in names}
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="setattr") | ast.Name(id="setattr"), args=[target, *_]):
                while isinstance(target, ast.Attribute):
                    target = target.value
                match target:
                    case ast.Name(id=name) if name in ours:
                        yield node.lineno
                    case ast.Constant(value=str(path)) if is_ours(path):
                        yield node.lineno


def is_ours(module: str) -> bool:
    return module.partition(".")[0] == "mailroom"


FRAGMENT = re.compile(r"\d+\.(?:added|changed|deprecated|fixed|removed|security)\.md")


def test_each_change_is_a_fragment_with_a_number_and_a_kind() -> None:
    fragments = [path for path in files() if path.parent == ROOT / "changes" and path.name != "README.md"]
    assert [path.name for path in fragments if not FRAGMENT.fullmatch(path.name)] == []
    assert [path.name for path in fragments if not path.read_text().strip()] == []

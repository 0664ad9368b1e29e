# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Every refusal has its own code, a meaning, and a sentence whose blanks are filled wherever it is raised."""

from __future__ import annotations

import ast
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

import mailroom
from mailroom.core import errors
from mailroom.core.errors import Kind, Refusal

REFUSALS = {name: each for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, Refusal)}
SOURCES = sorted(Path(mailroom.__file__).parent.rglob("*.py"))


def blanks(refusal: type[Refusal]) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(refusal.sentence) if name}


def raised(source: Path) -> Iterator[tuple[int, str, set[str] | None]]:
    """Where refusals are made: line, class, and the names given (None when they are passed on as `**about`)."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in REFUSALS:
            names = [keyword.arg for keyword in node.keywords]
            yield node.lineno, node.func.id, None if None in names else {name for name in names if name}
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Name) and node.exc.id in REFUSALS:
            yield node.lineno, node.exc.id, set()


def test_codes_are_unique() -> None:
    codes = [each.code for each in REFUSALS.values()]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_it_has_a_meaning_and_says_it(refusal: type[Refusal]) -> None:
    assert refusal.kind in Kind
    assert refusal.code.replace("_", "").isalpha()
    assert refusal.code.islower()
    about = dict.fromkeys(blanks(refusal), "x")
    assert str(refusal(**about)).endswith(("x", "."))
    assert refusal(**about).about == about


def test_whoever_raises_one_fills_its_sentence() -> None:
    wrong = [
        f"{source}:{line} {name} wants {sorted(blanks(REFUSALS[name]))}"
        for source in SOURCES
        for line, name, given in raised(source)
        if given is not None and given != blanks(REFUSALS[name])
    ]
    assert wrong == []


def test_every_kind_is_meant_by_some_refusal() -> None:
    assert {each.kind for each in REFUSALS.values()} == set(Kind)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`mailroom docs`: the reference pages that are made from the code. The gate compares them with what is committed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from mailroom.core import errors
from mailroom.core.errors import Refusal
from mailroom.core.settings import Settings
from mailroom.directory.policies import CATALOGUE
from mailroom.senders.catalogue import manifests

app = typer.Typer()


@app.command(hidden=True)
def docs(
    into: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("docs/reference"),
) -> None:
    """Write the reference pages: REST, settings, policies, errors, sender kinds."""
    into.mkdir(parents=True, exist_ok=True)
    for name, page in pages().items():
        (into / name).write_text(page, encoding="utf-8")


def pages() -> dict[str, str]:
    """Every page by its file name."""
    kinds = ("kind", "setting", "values", "meaning")
    settings = ("key", "default", "meaning")
    from mailroom.web.api import catalogue  # noqa: PLC0415 # only this verb needs what describes shapes

    operations = ((f"`{one.method} {one.path}`", one.summary) for one in catalogue.OPERATIONS)
    return {
        "api.md": _page("REST", _API, ("request", "what it does"), operations),
        "errors.md": _page("Errors", _ERRORS, ("code", "kind", "sentence"), _errors()),
        "sender-kinds.md": _page("Sender kinds", _KINDS, kinds, _kinds()),
        "policies.md": _page("Policies", _POLICIES, ("policy", "default", "values", "meaning"), _policies()),
        "settings.md": _page("Settings", _SETTINGS, settings, _settings(Settings(), "")),
    }


_API = """\
Under `/api/v1`. How to use it: [the guide](../guide/api.md). All of it, with its shapes: `mailroom openapi`, or
`/api/openapi.json` of a running server."""
_SETTINGS = """\
`mailroom.toml` in the working folder, or the file that `--config` or `MAILROOM_CONFIG` names; then the environment:
`MAILROOM_<KEY>`, nested with `__`, lists joined by commas. An unknown key is an error. Only what a process needs to
start; all else lives in the store."""
_POLICIES = """\
What the administrator decides for the whole installation: `mailroom policy set NAME VALUE`. A change counts from the
next mail or sign-in on. What is not set has its default."""
_ERRORS = """\
What Mailroom says no to. The code is stable; on the command line a refusal is one line, `code: sentence`, and exit
status 1. The sentence comes in the reader's language."""
_KINDS = "The ways out, and what each one is set up with."


def _page(title: str, text: str, columns: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [f"# {title}", "", "<!-- made by `mailroom docs` -->", "", text, ""]
    lines += [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _settings(group: Any, prefix: str) -> Iterator[tuple[str, str, str]]:
    for one in dataclasses.fields(group):
        default = getattr(group, one.name)
        if dataclasses.is_dataclass(default):
            yield from _settings(default, f"{prefix}{one.name}.")
        else:
            fixed = one.default is not dataclasses.MISSING and default not in ("", ())
            yield f"`{prefix}{one.name}`", f"`{default}`" if fixed else "", one.metadata["what"]


def _policies() -> Iterator[tuple[str, str, str, str]]:
    for one in CATALOGUE.values():
        yield f"`{one.name}`", f"`{one.default}`" if one.default else "", one.values, one.what


def _errors() -> Iterator[tuple[str, str, str]]:
    from mailroom.web import refusals  # noqa: PLC0415 # likewise

    named = (*vars(refusals).values(), *vars(errors).values())  # of those with one code the general one
    found = {kind.code: kind for kind in named if isinstance(kind, type) and issubclass(kind, Refusal)}
    for kind in sorted(found.values(), key=lambda each: each.code):
        yield f"`{kind.code}`", kind.kind.value, kind.sentence


def _kinds() -> Iterator[tuple[str, str, str, str]]:
    for name, manifest in manifests().items():
        for one in manifest.fields:
            values = ", ".join(f"`{choice}`" for choice in one.choices) or one.shape.value
            yield f"`{name}`", f"`{one.name}`", values, f"{one.title.en}: {one.help.en}"

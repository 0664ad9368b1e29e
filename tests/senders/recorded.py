# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Providers' recorded answers, as they lie in each kind's `fixtures/`."""

from __future__ import annotations

import json
from dataclasses import fields
from importlib.resources import files
from typing import Any

import pytest

from mailroom.senders.contract import Outcome


def recorded(kind: str) -> list[Any]:
    """Each answer with the outcome that it is to have, as parameters of a test."""
    folder = files(f"mailroom.senders.{kind}") / "fixtures"
    answers = sorted(
        (file.name.removesuffix(".json"), json.loads(file.read_text("utf-8"))) for file in folder.iterdir()
    )
    return [pytest.param(fixture, id=name) for name, fixture in answers]


def as_json(outcome: Outcome) -> dict[str, Any]:
    return {"is": type(outcome).__name__} | {field.name: getattr(outcome, field.name) for field in fields(outcome)}

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The description of the REST interface, without a store or a server."""

from __future__ import annotations

from pathlib import Path

from mailroom.web.api import catalogue
from tests.cli.conftest import caller


def test_the_description_needs_no_store(tmp_path: Path) -> None:
    said = caller("", tmp_path)("openapi")
    assert (said.status, said.json) == (0, catalogue.document())
    assert list(tmp_path.iterdir()) == []

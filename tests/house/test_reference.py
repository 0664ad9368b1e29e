# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The reference pages say what the code says."""

from __future__ import annotations

import pytest

from mailroom.cli.docs import pages
from tests.conftest import ROOT


@pytest.mark.parametrize(("name", "page"), pages().items())
def test_a_page_is_as_mailroom_docs_writes_it(name: str, page: str) -> None:
    kept = (ROOT / "docs/reference" / name).read_text(encoding="utf-8")
    assert kept == page, "run: mailroom docs"

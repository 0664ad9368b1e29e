# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What the tests of protocols ask for."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from tests.protocols.fake import FakeAcceptance


@pytest.fixture
def acceptance(tmp_path: Path) -> FakeAcceptance:
    return FakeAcceptance(tmp_path)


@pytest.fixture(scope="session")
def certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("mx.x").configure_cert(context)
    return context

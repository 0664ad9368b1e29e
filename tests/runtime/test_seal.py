# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""An installation is opened with the key that sealed its secrets, and with no other."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mailroom.core.errors import InvalidValue
from mailroom.directory.model import SYSTEM
from mailroom.runtime.app import open_app
from tests import make
from tests.walks.town import settings_for


async def test_another_key_opens_nothing(sqlite_url: str, tmp_path: Path) -> None:
    settings = settings_for(sqlite_url, tmp_path)
    async with open_app(settings) as app:
        await make.organisation(app.store)
        await app.store.write(
            lambda tx: app.notify.change_all(
                tx, SYSTEM, {"push_url": "https://hooks.example/", "push_secret": "s3cret"}
            )
        )
    key = tmp_path / "secret.key"
    ours = key.read_bytes()
    key.write_bytes(os.urandom(len(ours)))
    with pytest.raises(InvalidValue, match="another key"):
        async with open_app(settings):
            pass
    key.unlink()
    with pytest.raises(InvalidValue, match="missing"):
        async with open_app(settings):
            pass
    key.write_bytes(ours)
    async with open_app(settings) as app:
        assert (await app.store.read(app.notify.show))["push_secret"] == "***"

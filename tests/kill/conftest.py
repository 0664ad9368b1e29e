# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A town of four mailboxes with a push URL, and the number of kills that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pytest

from mailroom.core import settings
from mailroom.core.settings import Listen
from mailroom.directory import addresses, domains, members
from mailroom.directory.model import SYSTEM, DomainState, Role
from mailroom.mailboxes import create
from mailroom.runtime.app import App, open_app
from mailroom.storage.ports import Tx
from tests.kill.ledger import DOMAIN, MAILBOXES


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """How often to kill."""
    return int(request.config.getoption("--kills"))


def variables_for(data: Path) -> dict[str, str]:
    """The settings of a server on that folder, as its environment would hold them."""
    return {
        "MAILROOM_DATA": str(data),
        "MAILROOM_HOSTNAME": "mailroom.test",
        **{f"MAILROOM_LISTEN__{one.name.upper()}": "127.0.0.1:0" for one in fields(Listen)},
        "MAILROOM_EGRESS__ALLOW": "127.0.0.0/8",
        "MAILROOM_LIMITS__CONNECTIONS_PER_ADDRESS": "1000",
    }


async def furnish(variables: Mapping[str, str], *, push_url: str) -> None:
    """Make the town."""
    async with open_app(settings.load(None, variables)) as app:
        await app.store.write(lambda tx: _make(app, tx, push_url))


def _make(app: App, tx: Tx, push_url: str) -> None:
    organisation_id = members.found_organisation(tx, "Town")
    domains.add(tx, SYSTEM, organisation_id, DOMAIN, state=DomainState.ACTIVE)
    for address in MAILBOXES:
        userid = address.partition("@")[0]
        owner = members.add(tx, organisation_id, userid, name=userid, password_hash="", role=Role.MEMBER)
        create.personal(tx, SYSTEM, owner, addresses.parse_new(address))
    app.notify.change_all(tx, SYSTEM, {"push_url": push_url})

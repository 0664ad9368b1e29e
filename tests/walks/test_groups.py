# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A mail to a mailing group, handed over by SMTP: every member is told of it once."""

from __future__ import annotations

import smtplib

import pytest

from mailroom.delivery import rules
from mailroom.delivery.rules import Forwarding
from mailroom.directory import access, addresses, groups, members
from mailroom.directory.model import SYSTEM, Allow
from mailroom.storage.ports import Tx
from tests import make
from tests.walks.town import Town


def _groups(tx: Tx) -> None:
    made = {}
    for local, allow, named in (
        ("all", Allow.ANYONE, ["amy@corp.example", "sales@corp.example"]),
        ("team", Allow.MEMBERS, ["amy@corp.example", "bob@corp.example", "all@corp.example"]),
    ):
        address = addresses.parse_new(f"{local}@corp.example")
        made[local] = groups.create(
            tx, SYSTEM, members.organisation(tx), address, name=local, members=named, allow=allow
        )
    groups.add(tx, SYSTEM, made["all"], ["team@corp.example"])
    carol = access.own_mailbox(tx, members.get(tx, "carol").id)
    bob = access.own_mailbox(tx, members.get(tx, "bob").id)
    assert carol is not None
    assert bob is not None
    rules.forward(tx, bob, Forwarding(("carol@corp.example",)))
    rules.forward(tx, carol, Forwarding(("bob@corp.example", "amy@corp.example")))


async def test_each_member_is_told_once(town: Town) -> None:
    await town.app.store.write(_groups)
    await town.push_to("crm")
    await town.send(make.mail(to="all@corp.example"), ["all@corp.example", "bob@corp.example"])
    # One more, so that a second telling of the first would have come before it.
    await town.settled()
    await town.send(make.mail(message_id="<2@out.example>"), ["amy@corp.example"])
    received = await town.pushed(5)
    told = sorted(f"{push['to']} {push['msgid']}" for one in received if (push := one.push))
    assert told == [
        "amy@corp.example <1@out.example>",
        "amy@corp.example <2@out.example>",
        "bob@corp.example <1@out.example>",
        "carol@corp.example <1@out.example>",
        "sales@corp.example <1@out.example>",
    ]


async def test_a_group_for_members_refuses_strangers_at_rcpt(town: Town) -> None:
    await town.app.store.write(_groups)
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        await town.send(make.mail(), ["team@corp.example"], sender="eve@out.example")
    [(code, text)] = refused.value.recipients.values()
    assert (code, text) == (550, b"5.7.2 this list takes no mail from you")
    # A test's own client comes from a trusted network: what it says of itself is believed.
    await town.send(make.mail(), ["team@corp.example"], sender="bob@corp.example")

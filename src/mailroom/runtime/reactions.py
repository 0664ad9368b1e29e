# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Which fact makes whom do what. The whole answer is this table.

A reaction runs in one transaction with the note that it is done, so it may write rows and nothing else. Its name is
kept in the store: do not change it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mailroom.delivery import bounces
from mailroom.delivery.returns import Returns
from mailroom.events.facts import (
    BackupBegan,
    BackupDone,
    DomainAbnormal,
    Fact,
    MailArrived,
    MailboxExported,
    MemberRemoved,
    NoticeFailed,
    RecipientSettled,
    SenderDisabled,
    SenderFaulty,
)
from mailroom.notify import failures, new_mail, preferences
from mailroom.notify.alarms import Alarms
from mailroom.notify.owners import Owners
from mailroom.storage.ports import Tx


@dataclass(frozen=True, slots=True)
class Reaction:
    """One thing that follows from a fact."""

    name: str
    react: Callable[[Tx, Any], None]


Reactions = Mapping[type[Fact], tuple[Reaction, ...]]


def table(*, alarms: Alarms, owners: Owners, returns: Returns) -> Reactions:
    """Who reacts."""
    return {
        MailArrived: (
            Reaction("push", new_mail.push),
            Reaction("notice", new_mail.notice),
            Reaction("bounce", bounces.arrived),
        ),
        SenderDisabled: (Reaction("alarm", alarms.sender_disabled),),
        SenderFaulty: (Reaction("alarm", alarms.sender_faulty),),
        NoticeFailed: (Reaction("failed", failures.failed),),
        MemberRemoved: (Reaction("forget", preferences.forget),),
        DomainAbnormal: (Reaction("alarm", alarms.domain_abnormal),),
        BackupBegan: (Reaction("tell", owners.backup_began),),
        BackupDone: (Reaction("tell", owners.backup_done),),
        MailboxExported: (Reaction("tell", owners.exported),),
        RecipientSettled: (Reaction("return", returns.settled),),
    }

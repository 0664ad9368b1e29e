# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Every fact, on one page. A fact is written in the transaction in which it happened; `runtime/reactions.py` says who
reacts. Fields are numbers and texts only, so that a fact is JSON at rest.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, get_args

from mailroom.core.ids import ContentId, FolderId, MailboxId, MemberId, MessageId, RecipientId, SenderId, Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class MailArrived:
    """A new mail was delivered to a mailbox, and neither as junk nor as trash; never a copy, a draft, an import or a
    backup.
    """

    mailbox_id: MailboxId
    folder_id: FolderId
    uid: Uid
    content_id: ContentId
    envelope_from: str  # "" is the null reverse-path


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderDisabled:
    """A sender was switched off because its other end has failed for too long or said that it is gone."""

    sender_id: SenderId
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderFaulty:
    """A sender's account is wrong: its queue waits until an administrator has seen to it. Once for each fault."""

    sender_id: SenderId
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeFailed:
    """A notice, a code or a test has ended without reaching its recipient: it failed, was cancelled, or the provider
    says that it did not arrive.
    """

    recipient_id: RecipientId
    state: str
    why: str  # see senders.contract.Why


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientSettled:
    """A recipient of a mail to somebody elsewhere has come to a state that nothing but a late receipt changes; somebody
    may have to hear of it.
    """

    recipient_id: RecipientId
    message_id: MessageId
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRemoved:
    """A member is none any more."""

    member_id: MemberId


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainAbnormal:
    """The records of a domain that works have not been right for a day and more."""

    name: str
    finding: str  # see directory.proof
    foreign: str  # the hosts that are to go, joined by spaces


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupBegan:
    """The mails of one mailbox are being copied into another, at an administrator's wish."""

    target_id: MailboxId
    source: str  # its address
    folder: str  # in the target
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupDone:
    """The mails of one mailbox have been copied into another."""

    source_id: MailboxId
    source: str  # their addresses
    target: str
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxExported:
    """The mails of a mailbox are being written to a file, at an administrator's wish."""

    mailbox_id: MailboxId
    address: str
    actor: str


Fact = (
    MailArrived
    | SenderDisabled
    | SenderFaulty
    | NoticeFailed
    | RecipientSettled
    | MemberRemoved
    | DomainAbnormal
    | BackupBegan
    | BackupDone
    | MailboxExported
)

KINDS: dict[str, type[Fact]] = {kind.__name__: kind for kind in get_args(Fact)}


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def to_json(fact: Fact) -> str:
    """The fact's fields, at rest."""
    return _encode({field.name: getattr(fact, field.name) for field in dataclasses.fields(fact)})


def from_json(kind: str, payload: str) -> Fact:
    """The fact that `to_json` wrote. Fields that a later release added take their defaults."""
    fields: dict[str, Any] = json.loads(payload)
    return KINDS[kind](**fields)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The values of messaging."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mailroom.core.ids import MailboxId, MemberId, MessageId, RecipientId, SenderId
from mailroom.messaging.states import State

# What goes out, for one sender kind. It is JSON at rest.
Content = Mapping[str, Any]


class Origin(enum.StrEnum):
    """Where a message comes from."""

    NOTICE = "notice"  # it tells of a mail
    TEST = "test"  # somebody tries a sender
    CODE = "code"  # it proves that a number is his who enters what it says
    MAIL = "mail"  # a mail to somebody elsewhere


class SenderState(enum.StrEnum):
    """Whether a sender is used."""

    ACTIVE = "active"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Sender:
    """A configured way out. Its secrets stay sealed until it is used."""

    id: SenderId
    code: str
    name: str
    kind: str
    settings: Mapping[str, str]
    sealed: bytes
    state: SenderState
    reason: str  # of its last failure, until it works
    failures: int  # in a row
    failing_since: int | None
    paused_until: int | None
    faulty: bool  # it fails until an administrator has seen to it
    told_at: int | None  # when the administrators were last told of that
    paced_at: int  # see `pace`


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that is to be sent."""

    origin: Origin
    content: Content
    trace: str = ""  # the Message-ID of the mail that it tells of, or that it is
    mailbox_id: MailboxId | None = None  # of whose mail it tells
    member_id: MemberId | None = None  # to whom


@dataclass(frozen=True, slots=True)
class Due:
    """A recipient that the holder of the lease is to try now."""

    id: RecipientId
    message_id: MessageId
    origin: Origin
    sender_id: SenderId
    code: str
    address: str
    options: Content
    lane: str
    attempts: int  # this one included
    content: Content
    interrupted: bool  # an earlier attempt left no trace: its process died
    octets: Callable[[], bytes] | None = None  # what goes with the content, if it is small


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A recipient that is not to be tried after all: it ends as cancelled, with the reason."""

    due: Due
    reason: str


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient, as who sent the message asks about it."""

    id: RecipientId
    address: str
    options: Content
    state: State
    reason: str  # of its last failure: a code, and words


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt, as the log shows it."""

    number: int
    began_at: int
    took: int  # milliseconds
    outcome: str
    code: str  # the provider's own
    detail: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One recipient, as the log shows it. Times in milliseconds."""

    id: RecipientId
    message_id: MessageId
    msgid: str
    origin: Origin
    trace: str
    sender: str
    kind: str
    address: str
    state: State
    attempts: int
    next_at: int | None
    provider_id: str
    reason: str
    created_at: int
    updated_at: int
    mailbox_id: MailboxId | None
    member_id: MemberId | None

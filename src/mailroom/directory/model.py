# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The values of the directory."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from mailroom.core.ids import ClientPasswordId, DomainId, GroupId, MailboxId, MemberId, OrganisationId


class DomainState(enum.StrEnum):
    """What a domain may do; only the working ones take and send mail."""

    PENDING = "pending"  # added, never proven
    VERIFYING = "verifying"  # asked for, not proven yet
    ACTIVE = "active"
    ABNORMAL = "abnormal"  # was active, fails its checks, works on
    DISABLED = "disabled"  # switched off by an administrator

    @property
    def works(self) -> bool:
        """Whether mail is taken for the domain, and sent as it."""
        return self in {DomainState.ACTIVE, DomainState.ABNORMAL}


class MemberStatus(enum.StrEnum):
    """Whether a member may sign in."""

    ACTIVE = "active"
    DISABLED = "disabled"


class Role(enum.StrEnum):
    """What a member may do beyond reading mail."""

    ADMINISTRATOR = "administrator"  # of the whole organisation
    MEMBER = "member"


class AddressRole(enum.StrEnum):
    """Why a mailbox answers to an address."""

    PRIMARY = "primary"
    ALIAS = "alias"


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain of the organisation, such as `corp.example`."""

    id: DomainId
    organisation_id: OrganisationId
    name: str
    state: DomainState


@dataclass(frozen=True, slots=True)
class Member:
    """A person with a login."""

    id: MemberId
    organisation_id: OrganisationId
    userid: str
    name: str
    status: MemberStatus
    role: Role
    language: str  # "" = the browser's


class Service(enum.StrEnum):
    """What a mail program signs in to."""

    IMAP = "imap"
    POP3 = "pop3"
    SMTP = "smtp"  # submission
    SIEVE = "sieve"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who has signed in with a mail program."""

    mailbox_id: MailboxId  # the mailbox that the user name stands for
    address: str  # its primary address
    member: Member | None  # its owner; None: a public mailbox, by a client password of its own
    client_password: ClientPasswordId | None = None  # None: by the member's own password, or by a token


@dataclass(frozen=True, slots=True)
class Lease:
    """An address and who holds it at present: a mailbox or a group, never both."""

    address: str
    domain_id: DomainId
    domain_state: DomainState
    mailbox_id: MailboxId | None
    group_id: GroupId | None
    role: AddressRole

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The values of the directory."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from mailroom.core.ids import DomainId, MailboxId, MemberId, OrganisationId


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


@dataclass(frozen=True, slots=True)
class Lease:
    """An address and the mailbox that holds it at present."""

    address: str
    domain_id: DomainId
    domain_state: DomainState
    mailbox_id: MailboxId
    role: AddressRole

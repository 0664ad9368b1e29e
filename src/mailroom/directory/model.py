# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The values of the directory."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from mailroom.core.ids import (
    ApiKeyId,
    ClientPasswordId,
    DepartmentId,
    DomainId,
    GroupId,
    MailboxId,
    MemberId,
    OrganisationId,
    TagId,
)


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
    REMOVED = "removed"  # gone; the row stays for what he did


class Role(enum.StrEnum):
    """What a member may do beyond reading mail."""

    ADMINISTRATOR = "administrator"  # of the whole organisation
    MEMBER = "member"


class AddressRole(enum.StrEnum):
    """Why a mailbox answers to an address."""

    PRIMARY = "primary"
    ALIAS = "alias"
    FORMER = "former"  # the primary one before a renaming


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
    is_creator: bool = False  # who founded the organisation: nobody keeps him out


@dataclass(frozen=True, slots=True)
class Department:
    """A part of the organisation, with members and with parts of its own."""

    id: DepartmentId
    parent_id: DepartmentId | None
    name: str
    is_disabled: bool  # by itself; one below a disabled one is so as well
    path: str  # its name after those of the departments above it, joined by "/"


@dataclass(frozen=True, slots=True)
class Tag:
    """A label that members bear."""

    id: TagId
    name: str


@dataclass(frozen=True, slots=True)
class Users:
    """Who uses a public mailbox: these members, and all of these departments and of these tags."""

    members: tuple[Member, ...] = ()
    departments: tuple[Department, ...] = ()
    tags: tuple[Tag, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.members or self.departments or self.tags)


class ActorKind(enum.StrEnum):
    """What asks."""

    SYSTEM = "system"  # this server, by itself
    OPERATOR = "operator"  # whoever runs the command on the machine: may do everything
    MEMBER = "member"
    KEY = "key"  # a program


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks for a change, and over what he has a say. `rights` makes one of a member, and judges."""

    kind: ActorKind
    name: str
    member: Member | None = None
    governs_all: bool = False  # the whole organisation
    domains: frozenset[DomainId] = frozenset()  # else these domains

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.name}" if self.name else self.kind.value


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that a program shows, all but the key itself. Times in milliseconds."""

    id: ApiKeyId
    name: str
    governs_all: bool  # the whole organisation
    domains: frozenset[DomainId]  # else these domains
    created_at: int
    last_used_at: int | None
    revoked_at: int | None


SYSTEM = Actor(ActorKind.SYSTEM, "", governs_all=True)


class Service(enum.StrEnum):
    """What a mail program signs in to."""

    IMAP = "imap"
    POP3 = "pop3"
    SMTP = "smtp"  # submission
    SIEVE = "sieve"


@dataclass(frozen=True, slots=True)
class ClientPassword:
    """A password for mail programs, all but the password itself. Times in milliseconds."""

    id: ClientPasswordId
    mailbox_id: MailboxId
    remark: str
    services: frozenset[Service]
    created_at: int
    last_used_at: int | None
    last_used_from: str


@dataclass(frozen=True, slots=True)
class Verifiers:
    """What is kept of a member's own password: its argon2 hash ("" lets nobody in), and for SCRAM its keys, sealed
    (None: no SCRAM).
    """

    argon2: str = ""
    scram: bytes | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """A mailbox as one signs in to it: with its owner and his password, or a public one."""

    mailbox_id: MailboxId
    address: str  # its primary address
    is_open: bool  # mailbox, domain and owner are all in use
    member: Member | None
    verifiers: Verifiers


@dataclass(frozen=True, slots=True)
class Tries:
    """Tries to sign in that failed lately, of one user name or one client network. Times in milliseconds."""

    key: str  # name:<user name> | address:<network>
    tries: int
    last_at: int
    again_at: int  # nothing is heard before


@dataclass(frozen=True, slots=True)
class Principal:
    """Who has signed in with a mail program."""

    mailbox_id: MailboxId  # the mailbox that the user name stands for
    address: str  # its primary address
    member: Member | None  # its owner; None: a public mailbox, by a client password of its own
    client_password: ClientPasswordId | None = None  # None: by the member's own password, or by a token
    own_password: str = ""  # digest of its hash, when it was that: a new password ends what the old one opened


class Allow(enum.StrEnum):
    """Who may send to a mailing group."""

    ANYONE = "anyone"
    ORGANISATION = "organisation"  # whoever has an address of ours, and has shown that it is his
    MEMBERS = "members"  # of the group, and of the groups within it
    CUSTOM = "custom"  # whom a list of its own names


@dataclass(frozen=True, slots=True)
class Group:
    """A mailing group: a mail to its address goes to all of its members."""

    id: GroupId
    address: str
    name: str
    allow: Allow


@dataclass(frozen=True, slots=True)
class Lease:
    """An address and who holds it at present: a mailbox or a group, never both."""

    address: str
    domain_id: DomainId
    domain_state: DomainState
    mailbox_id: MailboxId | None
    group_id: GroupId | None
    role: AddressRole

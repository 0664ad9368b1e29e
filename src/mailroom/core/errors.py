# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Our own refusals, by meaning.

A refusal is something *we* say no to. It carries a `Kind` (what it means), a stable `code` (what programs may
rely on) and a sentence for people. Only the protocol edges turn a kind into `452`, `NO [OVERQUOTA]` or HTTP `507`;
each edge has a total table. What the outside refuses is never an exception but an outcome (`senders.contract`).
"""

from __future__ import annotations

import enum
from typing import ClassVar


class Kind(enum.StrEnum):
    """What a refusal means, whoever hears it."""

    INVALID = "invalid"  # the input is not of the form it must have
    NOT_FOUND = "not_found"  # no such thing, or not yours to know of
    TAKEN = "taken"  # the name is in use
    CONFLICT = "conflict"  # the thing's state does not allow it
    UNAUTHENTICATED = "unauthenticated"  # we do not know who asks
    FORBIDDEN = "forbidden"  # we know, and the answer is no
    LIMIT = "limit"  # more than is allowed, now or ever
    TOO_LARGE = "too_large"  # one thing larger than is allowed
    OVER_QUOTA = "over_quota"  # the mailbox is full
    NO_SPACE = "no_space"  # the disk is full
    UNAVAILABLE = "unavailable"  # something we need is away; later may do


class Refusal(Exception):
    """A no of ours. Subclasses name the kind, the code and the sentence; `about` fills the sentence."""

    kind: ClassVar[Kind] = Kind.INVALID
    code: ClassVar[str] = "invalid"
    sentence: ClassVar[str] = "The request is not valid."

    def __init__(self, **about: str | int) -> None:
        self.about = about
        super().__init__(about)

    def __str__(self) -> str:
        return self.sentence.format(**self.about)


class InvalidValue(Refusal):
    """A value does not have the form that its name promises."""

    code = "invalid_value"
    sentence = "{name}: {reason}"


class InvalidAddress(Refusal):
    """The text is no e-mail address."""

    code = "invalid_address"
    sentence = "{address} is not an e-mail address."


class InvalidDomain(InvalidAddress):
    """A domain that cannot be one."""

    code = "invalid_domain"
    sentence = "{address} is not a domain."


class NotFound(Refusal):
    """There is no such thing, or the asker may not know of it."""

    kind = Kind.NOT_FOUND
    code = "not_found"
    sentence = "There is no {what} {name}."


class AddressTaken(Refusal):
    """The address is in use; `by` says where: member, alias, group, public or recycled."""

    kind = Kind.TAKEN
    code = "address_taken"
    sentence = "The address {address} is taken ({by})."


class NameTaken(Refusal):
    """A name that must be unique is in use."""

    kind = Kind.TAKEN
    code = "name_taken"
    sentence = "The {what} {name} is there already."


class DomainNotActive(Refusal):
    """The domain has not been proven, or is switched off."""

    kind = Kind.CONFLICT
    code = "domain_not_active"
    sentence = "The domain {domain} is not active."


class InUse(Refusal):
    """The thing cannot go while others depend on it."""

    kind = Kind.CONFLICT
    code = "in_use"
    sentence = "{what} {name} is still in use: {by}."


class MemberHasMailbox(Refusal):
    """A member has one personal mailbox and no more."""

    kind = Kind.CONFLICT
    code = "member_has_mailbox"
    sentence = "The member {userid} already has a mailbox."


class NoPermission(Refusal):
    """Who asks has no say over this."""

    kind = Kind.FORBIDDEN
    code = "no_permission"
    sentence = "You have no permission to do this."


class CannotDisable(Refusal):
    """Nobody shuts himself out, and nobody shuts out who founded the organisation."""

    kind = Kind.CONFLICT
    code = "cannot_disable"
    sentence = "{userid} cannot be disabled: it is the creator of the organisation, or you yourself."


class TargetIsSource(Refusal):
    """A mailbox cannot be copied into itself, nor given to who has it."""

    kind = Kind.CONFLICT
    code = "target_is_source"
    sentence = "The target is the source: {address}."


class TargetTooSmall(Refusal):
    """What is to be copied does not fit into the target."""

    kind = Kind.OVER_QUOTA
    code = "target_too_small"
    sentence = "{address} has room for {room} octets; {needed} are needed."


class NotInBin(Refusal):
    """The mailbox is not in the recycle bin, or its time there is over."""

    kind = Kind.CONFLICT
    code = "not_in_bin"
    sentence = "{address} is not in the recycle bin, or its time there is over."


class NotRunning(Refusal):
    """The work has ended; there is nothing to cancel."""

    kind = Kind.CONFLICT
    code = "not_running"
    sentence = "The job {job} is {state}."


class AuditBroken(Refusal):
    """Somebody has changed the audit log, or taken something out of it."""

    kind = Kind.CONFLICT
    code = "audit_broken"
    sentence = "Entry {entry} of the audit log is not as it was written, or does not follow the one before it."


class AuditCut(Refusal):
    """Somebody has taken the last entries out of the audit log."""

    kind = Kind.CONFLICT
    code = "audit_cut"
    sentence = "After entry {entry} something is missing from the audit log."


class MailboxDisabled(Refusal):
    """The mailbox takes no mail and no logins."""

    kind = Kind.CONFLICT
    code = "mailbox_disabled"
    sentence = "The mailbox {address} is disabled."


class PublicMailboxLimit(Refusal):
    """The organisation has as many public mailboxes as it may have."""

    kind = Kind.LIMIT
    code = "public_mailbox_limit"
    sentence = "The limit of public mailboxes ({limit}) is reached."


class AliasLimit(Refusal):
    """The mailbox has as many aliases as it may have."""

    kind = Kind.LIMIT
    code = "alias_limit"
    sentence = "The mailbox {address} has {limit} aliases already, the most it may have."


class TooMany(Refusal):
    """There are as many of these as there may be."""

    kind = Kind.LIMIT
    code = "too_many"
    sentence = "The limit of {what} ({limit}) is reached."


class NotResendable(Refusal):
    """Only what has ended without arriving can be sent again."""

    kind = Kind.CONFLICT
    code = "not_resendable"
    sentence = "A notice that is {state} cannot be sent again."


class NotQueued(Refusal):
    """Only what still waits can be taken back, or be tried at once."""

    kind = Kind.CONFLICT
    code = "not_queued"
    sentence = "A recipient that is {state} does not wait any more."


class OverQuota(Refusal):
    """The mail does not fit into the mailbox any more."""

    kind = Kind.OVER_QUOTA
    code = "over_quota"
    sentence = "The mailbox is full."


class TooLarge(Refusal):
    """One thing is larger than it may be; `limit` is in octets."""

    kind = Kind.TOO_LARGE
    code = "too_large"
    sentence = "{what} is larger than {limit} octets."


class WrongCredentials(Refusal):
    """User name and password do not belong together; which of them is wrong is not said."""

    kind = Kind.UNAUTHENTICATED
    code = "wrong_credentials"
    sentence = "The user name or the password is wrong."


class TooManyAttempts(Refusal):
    """Too many tries in a row; `seconds` says when the next one is heard."""

    kind = Kind.LIMIT
    code = "too_many_attempts"
    sentence = "Too many attempts. Try again in {seconds} seconds."


class EgressRefused(Refusal):
    """The address lies in a network that this server may not reach (setting `egress.allow`)."""

    kind = Kind.FORBIDDEN
    code = "egress_refused"
    sentence = "{host} is in a private network that egress.allow does not name."


class SenderNotAllowed(Refusal):
    """The member may not send as this address."""

    kind = Kind.FORBIDDEN
    code = "sender_not_allowed"
    sentence = "You may not send as {address}."


class SendingLimit(Refusal):
    """The member has written to as many recipients as he may for now."""

    kind = Kind.LIMIT
    code = "sending_limit"
    sentence = "You have reached the limit of {limit} recipients in {period}."


class MalformedMail(Refusal):
    """A mail of a member's lacks what a mail must have (RFC 5322 §3.6); `reason` says what."""

    code = "malformed_mail"
    sentence = "The mail cannot be sent: {reason}."


class LoginBlocked(Refusal):
    """The administrator does not allow this way of signing in."""

    kind = Kind.FORBIDDEN
    code = "login_blocked"
    sentence = "Signing in this way is not allowed."


class AccountDisabled(Refusal):
    """Who signs in is who he says, and is kept out. Nobody learns it without the right password."""

    kind = Kind.FORBIDDEN
    code = "account_disabled"
    sentence = "{address} is disabled: the mailbox, its owner or its domain."


class PolicyRefused(Refusal):
    """The mail fails a check that this server insists on; `reason` says which."""

    kind = Kind.FORBIDDEN
    code = "policy_refused"
    sentence = "The mail is not accepted: {reason}."


class ComeAgain(Refusal):
    """The mail may come again a little later (RFC 6647)."""

    kind = Kind.UNAVAILABLE
    code = "come_again"
    sentence = "Please try again in {seconds} seconds."


class GroupRefused(Refusal):
    """The mailing group does not take mail from this sender."""

    kind = Kind.FORBIDDEN
    code = "group_refused"
    sentence = "{address} takes no mail from this sender."


class RelayDenied(Refusal):
    """The domain is not ours, and we send on nothing for strangers."""

    kind = Kind.FORBIDDEN
    code = "relay_denied"
    sentence = "This server takes no mail for {domain}."


class MailLoop(Refusal):
    """The mail has been through too many servers (RFC 5321 §6.3)."""

    kind = Kind.FORBIDDEN
    code = "mail_loop"
    sentence = "The mail has passed {hops} servers: it is going round in a circle."


class InvalidPhone(Refusal):
    """The text is no mobile number."""

    code = "invalid_phone"
    sentence = "{number} is not a mobile number."


class UnknownVariable(Refusal):
    """The text of a notice names a variable that there is not."""

    code = "unknown_variable"
    sentence = "{name}: there is no variable {variable}."


class WayNotOffered(Refusal):
    """The administrator has not set up this way of telling people."""

    kind = Kind.CONFLICT
    code = "way_not_offered"
    sentence = "Notices by {way} are not offered."


class NoticesNotPermitted(Refusal):
    """The administrator's list of who may be told on his phone does not name the member."""

    kind = Kind.FORBIDDEN
    code = "notices_not_permitted"
    sentence = "The administrator does not permit you notices on your phone."


class NumberNotPermitted(Refusal):
    """SMS go to numbers of some countries only."""

    kind = Kind.FORBIDDEN
    code = "number_not_permitted"
    sentence = "The administrator does not permit SMS to {number}."


class NotLinked(Refusal):
    """The member has linked nothing by which he could be told in this way."""

    kind = Kind.CONFLICT
    code = "not_linked"
    sentence = "Link your number or account first ({way})."


class TooManyCodes(Refusal):
    """Codes are sent one at a time, and a few a day; `seconds` says when the next one is."""

    kind = Kind.LIMIT
    code = "too_many_codes"
    sentence = "No more codes for now. Try again in {seconds} seconds."


class WrongCode(Refusal):
    """The code is not the one that was sent."""

    code = "wrong_code"
    sentence = "The code is wrong."


class CodeExpired(Refusal):
    """No code is awaited: none was sent, or it is too old, or was tried too often."""

    kind = Kind.CONFLICT
    code = "code_expired"
    sentence = "The code has expired, or was tried too often. Ask for another one."


class LinkExpired(Refusal):
    """The proof was used, is too old, was never begun, or was begun by somebody else."""

    kind = Kind.CONFLICT
    code = "link_expired"
    sentence = "This has expired, or was used. Begin again."


class LinkRefused(Refusal):
    """The provider did not say whose account it is; `reason` are its words."""

    kind = Kind.FORBIDDEN
    code = "link_refused"
    sentence = "The account was not confirmed: {reason}"


class NoSpace(Refusal):
    """The disk is full. Nothing of the attempt has been kept."""

    kind = Kind.NO_SPACE
    code = "no_space"
    sentence = "The server has no space left."


class Busy(Refusal):
    """Too many ask for the same costly thing at once; `seconds` says when to ask again."""

    kind = Kind.UNAVAILABLE
    code = "busy"
    sentence = "Too many are asking at the moment. Try again in {seconds} seconds."


class Unavailable(Refusal):
    """A part that is needed does not answer. Nothing of the attempt has been kept."""

    kind = Kind.UNAVAILABLE
    code = "unavailable"
    sentence = "{what} is not available at the moment."

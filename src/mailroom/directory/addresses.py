# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The one name-space: whatever answers to an address has its row here, and nothing else guards uniqueness."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from mailroom.core.errors import AddressTaken, DomainNotActive, InvalidAddress, NotFound
from mailroom.core.ids import GroupId, MailboxId
from mailroom.directory import domains, queries
from mailroom.directory.model import AddressRole, Lease
from mailroom.directory.names import canonical_domain
from mailroom.storage.ports import Tx

_LOCAL_MOST = 64  # octets: RFC 5321 §4.5.3.1.1
# What every domain answers to, whoever has the address or nobody: RFC 5321 §4.5.1, RFC 2142 §4.
OFFICES = frozenset({"abuse", "postmaster"})
# What a new address may consist of: RFC 5321's dot-string without "+", which divides the tag, and without the signs
# that shells, URLs and path names fall over. Letters of any script (RFC 6531).
_NEW_LOCAL = re.compile(r"[^\W_](?:[\w.&'=-]*[\w=-])?", re.UNICODE)


@dataclass(frozen=True, slots=True)
class Address:
    """An address in its canonical form: lower case, NFC, A-labels. Two spellings of one address are equal."""

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"

    @property
    def untagged(self) -> Address:
        """The address without its `+tag` (RFC 5233)."""
        base, plus, _ = self.local.partition("+")
        return Address(base, self.domain) if plus and base else self


def parse(text: str) -> Address:
    """The canonical form of any address that a mail may be sent to. Raises `InvalidAddress`."""
    local, at, domain = text.strip().rpartition("@")
    if len(local) > 1 and local[0] == local[-1] == '"':
        local = re.sub(r"\\(.)", r"\1", local[1:-1])
    # Folding can take a composed letter apart again.
    local = unicodedata.normalize("NFC", unicodedata.normalize("NFC", local).casefold())
    if not at or not local or len(local.encode(errors="replace")) > _LOCAL_MOST or not local.isprintable():
        raise InvalidAddress(address=text)
    return Address(local, canonical_domain(domain, of=text))


def parse_new(text: str) -> Address:
    """The canonical form of an address that is to be made: no tag, no quoting. Raises `InvalidAddress`."""
    address = parse(text)
    if not _NEW_LOCAL.fullmatch(address.local) or ".." in address.local:
        raise InvalidAddress(address=text)
    return address


def take(tx: Tx, address: Address, mailbox_id: MailboxId, role: AddressRole) -> None:
    """Give the address to the mailbox. Raises `AddressTaken`, `NotFound` (no such domain)."""
    domain = domains.get(tx, address.domain)
    if not queries.addresses.add(tx, str(address), domain.id, mailbox_id, role):
        raise _taken(tx, address)


def take_for_group(tx: Tx, address: Address, group_id: GroupId) -> None:
    """Give the address to a mailing group. Raises as `take` does."""
    domain = domains.get(tx, address.domain)
    if not queries.addresses.add_for_group(tx, str(address), domain.id, group_id):
        raise _taken(tx, address)


def ask_free(tx: Tx, address: Address) -> None:
    """Whether nobody has the address; who takes it next decides. Raises `AddressTaken`."""
    if queries.addresses.lease(tx, str(address)) is not None:
        raise _taken(tx, address)


def _taken(tx: Tx, address: Address) -> AddressTaken:
    holder = queries.addresses.lease(tx, str(address))
    # None: its holder has given it up since; who tries again gets it.
    return AddressTaken(address=str(address), by=queries.addresses.holder_kind(tx, holder) if holder else "alias")


def release(tx: Tx, address: Address, mailbox_id: MailboxId) -> None:
    """Take an alias away, or a former address. Raises `NotFound` when the mailbox has none such."""
    holder = queries.addresses.lease(tx, str(address))
    if holder is None or holder.mailbox_id != mailbox_id or holder.role is AddressRole.PRIMARY:
        raise NotFound(what="alias", name=str(address))
    queries.addresses.remove(tx, str(address))


def rename(tx: Tx, mailbox_id: MailboxId, new: Address) -> str:
    """Let the mailbox, which the caller has locked, go by `new`; what it went by until now, which is the result, stays
    as a former address. Of two addresses of its own, it and `new` change roles. Mailing groups name the new one from
    now on. Raises `AddressTaken`, `DomainNotActive`, `NotFound` (no such domain).
    """
    domain = domains.get(tx, new.domain)
    if not domain.state.works:
        raise DomainNotActive(domain=domain.name)
    old = primary(tx, mailbox_id)
    if old == str(new):
        return old
    left = AddressRole.FORMER
    if not queries.addresses.add(tx, str(new), domain.id, mailbox_id, AddressRole.PRIMARY):
        holder = queries.addresses.lease(tx, str(new))
        if holder is None or holder.mailbox_id != mailbox_id:
            raise _taken(tx, new)
        left = holder.role
        queries.addresses.change_role(tx, str(new), AddressRole.PRIMARY)
    queries.addresses.change_role(tx, old, left)
    queries.groups.members.rename(tx, old, str(new))
    queries.groups.senders.rename(tx, old, str(new))
    return old


def resolve(tx: Tx, address: Address) -> Lease | None:
    """Who answers to the address now: the address itself, then without its tag."""
    exact = queries.addresses.lease(tx, str(address))
    if exact is not None or address.untagged == address:
        return exact
    return queries.addresses.lease(tx, str(address.untagged))


def resolve_all(tx: Tx, wanted: Collection[Address]) -> Mapping[Address, Lease]:
    """Who answers to each of many addresses; those that nobody has are missing."""
    exact = queries.addresses.leases(tx, [str(one) for one in wanted])
    tagged = [one for one in wanted if str(one) not in exact and one.untagged != one]
    plain = queries.addresses.leases(tx, [str(one.untagged) for one in tagged])
    found = {one: exact.get(str(one)) or plain.get(str(one.untagged)) for one in wanted}
    return {one: lease for one, lease in found.items() if lease is not None}


def ask_known(tx: Tx, wanted: Collection[Address]) -> None:
    """Whether those that are of our domains are somebody's. Raises `NotFound` for the first that is not."""
    ours = {domain.name for domain in domains.every(tx)}
    here = [one for one in wanted if one.domain in ours and one.local not in OFFICES]
    held = resolve_all(tx, here)
    if unknown := next((one for one in here if one not in held), None):
        raise NotFound(what="address", name=str(unknown))


def aliases(tx: Tx, mailbox_id: MailboxId) -> Sequence[str]:
    """The mailbox's further addresses, without its former ones."""
    return queries.addresses.in_role(tx, mailbox_id, AddressRole.ALIAS)


def former(tx: Tx, mailbox_id: MailboxId) -> Sequence[str]:
    """What the mailbox went by before it was renamed, as far as it still answers to it."""
    return queries.addresses.in_role(tx, mailbox_id, AddressRole.FORMER)


def every(tx: Tx, mailbox_id: MailboxId) -> Sequence[str]:
    """All that the mailbox answers to."""
    return queries.addresses.addresses_of(tx, mailbox_id)


def primary(tx: Tx, mailbox_id: MailboxId) -> str:
    """The mailbox's own address. Raises `NotFound`."""
    found = queries.addresses.primary(tx, mailbox_id)
    if found is None:
        raise NotFound(what="mailbox", name=str(mailbox_id))
    return found

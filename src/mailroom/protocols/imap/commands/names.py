# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
r"""Mailbox names as a client writes them, and the folders that they mean.

A member's own folders bear their names as they are; those of a public mailbox that he uses stand under
`Shared/<its address>/`. Who has signed in to a public mailbox by a client password of its own sees that one alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from mailroom.core.errors import NotFound
from mailroom.core.ids import MailboxId
from mailroom.directory import addresses
from mailroom.directory.model import Principal
from mailroom.mailboxes import access, folders
from mailroom.mailboxes.model import Folder
from mailroom.protocols.imap.grammar.lexer import Malformed
from mailroom.storage.ports import Tx

SHARED: Final = folders.SHARED
_PREFIX: Final = f"{SHARED}/"
_HIDDEN: Final = "/"  # no name begins so
_WILDCARDS_MOST: Final = 50


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name points: a mailbox, and the folder's name in it. There need not be such a folder."""

    mailbox_id: MailboxId
    name: str


def place(tx: Tx, principal: Principal, name: str) -> Place:
    """What the name means. Raises `NotFound` for what is no place of this client's."""
    if principal.member is None or not name.startswith(_PREFIX):
        return Place(principal.mailbox_id, name)
    address, _, rest = name.removeprefix(_PREFIX).partition("/")
    for mailbox_id, shared in shared_with(tx, principal):
        if shared == address.lower() and rest:
            return Place(mailbox_id, folders.canonical(rest))
    raise NotFound(what="folder", name=name)


def find(tx: Tx, principal: Principal, name: str) -> Folder:
    """The folder of that name. Raises `NotFound`."""
    where = place(tx, principal, name)
    folder = folders.by_name(tx, where.mailbox_id, where.name)
    if folder is None:
        raise NotFound(what="folder", name=name)
    return folder


def new_place(tx: Tx, principal: Principal, name: str) -> Place:
    """The same for a folder that is to be made. Raises `NotFound`, and `Malformed` for the name that stands above all
    that is shared.
    """
    if principal.member is not None and name.rstrip("/") == SHARED:
        raise Malformed(b"NO [CANNOT] this name stands above what is shared")
    return place(tx, principal, name)


def shared_with(tx: Tx, principal: Principal) -> Sequence[tuple[MailboxId, str]]:
    """The public mailboxes that the client uses besides his own, each with its address."""
    found = access.reachable(tx, principal)[1:] if principal.member is not None else ()
    return [(mailbox.id, addresses.primary(tx, mailbox.id)) for mailbox in found]


def prefix(address: str) -> str:
    """What the names of a public mailbox's folders begin with."""
    return f"{_PREFIX}{address}/"


def subscribed(tx: Tx, principal: Principal, shared: Iterable[str]) -> frozenset[str]:
    """The names that the client has subscribed to. What is shared with him he sees until he says that he will not:
    nobody else could subscribe him when he becomes a user of a public mailbox.
    """
    kept = folders.subscriptions(tx, principal.mailbox_id)
    hidden = frozenset(name.removeprefix(_HIDDEN) for name in kept if name.startswith(_HIDDEN))
    return frozenset(name for name in kept if not name.startswith(_HIDDEN)) | (frozenset(shared) - hidden)


def subscribe(tx: Tx, principal: Principal, name: str) -> None:
    """Show it to the client. Raises `NotFound`, and as `folders.subscribe`."""
    find(tx, principal, name)
    if _is_shared(principal, name):
        folders.unsubscribe(tx, principal.mailbox_id, _HIDDEN + name)
    else:
        folders.subscribe(tx, principal.mailbox_id, name)


def unsubscribe(tx: Tx, principal: Principal, name: str) -> None:
    """Show it no more. Raises as `folders.subscribe`."""
    if _is_shared(principal, name):
        folders.subscribe(tx, principal.mailbox_id, _HIDDEN + name)
    else:
        folders.unsubscribe(tx, principal.mailbox_id, name)


def _is_shared(principal: Principal, name: str) -> bool:
    return principal.member is not None and name.startswith(_PREFIX)


def matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Whether a name is one that the patterns mean: `*` stands for anything, `%` for anything without "/". Takes a time
    that grows with the name and the pattern, whatever they are. Raises `Malformed` for too many wildcards.
    """
    found = [re.compile(_regex(pattern), re.DOTALL) for pattern in patterns]
    return lambda name: any(each.fullmatch(name) for each in found)


def _regex(pattern: str) -> str:
    # A wildcard takes as little as lets the next piece follow, and keeps it: atomic, so that nothing is tried twice.
    # Only what follows the last `*` has to reach the end, and is tried at each place.
    wildcards = re.findall(r"[*%]+|[^*%]+", folders.canonical(pattern))
    if len(wildcards) > 2 * _WILDCARDS_MOST:
        raise Malformed(b"NO [LIMIT] too many wildcards")
    segments: list[str] = [""]
    for word in wildcards:
        if "*" in word:
            segments.append("")
        else:
            segments[-1] += word
    first, *others = [_segment(segment, is_last=place == len(segments) - 1) for place, segment in enumerate(segments)]
    if not others:
        return first
    *between, last = others
    return first + "".join(f"(?>.*?{segment})" for segment in between) + f".*{last}"


def _segment(pattern: str, *, is_last: bool) -> str:
    head, *pieces = [re.escape(piece) for piece in re.split("%+", pattern)]
    if not pieces:
        return head
    *between, tail = pieces
    end = f"[^/]*{tail}" if is_last else f"(?>[^/]*?{tail})"
    return head + "".join(f"(?>[^/]*?{piece})" for piece in between) + end

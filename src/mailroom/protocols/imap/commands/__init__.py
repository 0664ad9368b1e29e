# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What each command does. `TABLE` is the whole protocol: in which states a command is heard, who does it, and what is
told of others' changes before its answer.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mailroom.protocols.imap.commands import (
    acl,
    append,
    capability,
    fetch,
    idle,
    listing,
    login,
    marks,
    moving,
    quota,
    search,
    select,
    tree,
)
from mailroom.protocols.imap.grammar import values
from mailroom.protocols.imap.session import Session, State


class Telling(enum.Enum):
    """What is told before a command's answer, if a folder is open."""

    ALL = enum.auto()
    BY_UID = enum.auto()  # RFC 9051 §7.5.1: no expunges, unless it is the command's UID form
    NOTHING = enum.auto()


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table. `run` gives what stands behind the tag."""

    states: frozenset[State]
    run: Callable[[Session, Any], Awaitable[bytes]]  # Any: the command whose type is the key
    telling: Telling = Telling.ALL


_ANY: Final = frozenset(State)
_STRANGER: Final = frozenset({State.NOT_AUTHENTICATED})
_MEMBER: Final = frozenset({State.AUTHENTICATED, State.SELECTED})
_OPEN: Final = frozenset({State.SELECTED})

TABLE: Final[Mapping[type[values.Command], Rule]] = {
    values.Capability: Rule(_ANY, capability.capability, Telling.NOTHING),
    values.Noop: Rule(_ANY, capability.noop),
    values.Logout: Rule(_ANY, capability.logout, Telling.NOTHING),
    values.Id: Rule(_ANY, capability.identify, Telling.NOTHING),
    values.StartTls: Rule(_STRANGER, login.start_tls),
    values.Authenticate: Rule(_STRANGER, login.authenticate),
    values.Login: Rule(_STRANGER, login.login),
    values.Enable: Rule(_MEMBER, capability.enable, Telling.NOTHING),
    values.Compress: Rule(_MEMBER, login.compress, Telling.NOTHING),
    values.Select: Rule(_MEMBER, select.select),
    values.Create: Rule(_MEMBER, tree.create),
    values.Delete: Rule(_MEMBER, tree.delete),
    values.Rename: Rule(_MEMBER, tree.rename),
    values.Subscribe: Rule(_MEMBER, tree.subscribe),
    values.Unsubscribe: Rule(_MEMBER, tree.unsubscribe),
    values.List: Rule(_MEMBER, listing.listing),
    values.Lsub: Rule(_MEMBER, listing.lsub),
    values.XList: Rule(_MEMBER, listing.xlist),
    values.Namespace: Rule(_MEMBER, listing.namespace, Telling.NOTHING),
    values.Status: Rule(_MEMBER, listing.status),
    values.Append: Rule(_MEMBER, append.append),
    values.Idle: Rule(_MEMBER, idle.idle),
    values.GetQuota: Rule(_MEMBER, quota.get_quota),
    values.GetQuotaRoot: Rule(_MEMBER, quota.get_quota_root),
    values.SetQuota: Rule(_MEMBER, quota.set_quota),
    values.GetAcl: Rule(_MEMBER, acl.get_acl),
    values.SetAcl: Rule(_MEMBER, acl.set_acl),
    values.DeleteAcl: Rule(_MEMBER, acl.delete_acl),
    values.ListRights: Rule(_MEMBER, acl.list_rights),
    values.MyRights: Rule(_MEMBER, acl.my_rights),
    values.Check: Rule(_OPEN, capability.check),
    values.Close: Rule(_OPEN, select.close),
    values.Unselect: Rule(_OPEN, select.unselect),
    values.Expunge: Rule(_OPEN, moving.expunge),
    values.Search: Rule(_OPEN, search.search, Telling.BY_UID),
    values.Sort: Rule(_OPEN, search.sort, Telling.BY_UID),
    values.Thread: Rule(_OPEN, search.thread, Telling.BY_UID),
    values.Fetch: Rule(_OPEN, fetch.fetch, Telling.BY_UID),
    values.StoreMarks: Rule(_OPEN, marks.store, Telling.BY_UID),
    values.Copy: Rule(_OPEN, moving.copy),
    values.Move: Rule(_OPEN, moving.move),
}

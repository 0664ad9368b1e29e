# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""All operations of the REST interface. A path with fixed words goes before one with a name in their place."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Final

from mailroom.web.api import (
    audit,
    copies,
    departments,
    domains,
    groups,
    jobs,
    keys,
    mailboxes,
    me,
    members,
    notify,
    openapi,
    passwords,
    tags,
)
from mailroom.web.api import bin as bin_
from mailroom.web.api.contract import PREFIX, Operation

OPERATIONS: Final[Sequence[Operation]] = (
    *domains.OPERATIONS,
    *members.OPERATIONS,
    *departments.OPERATIONS,
    *tags.OPERATIONS,
    *mailboxes.OPERATIONS,
    *copies.OPERATIONS,
    *passwords.OPERATIONS,
    *bin_.OPERATIONS,
    *groups.OPERATIONS,
    *keys.OPERATIONS,
    *jobs.OPERATIONS,
    *audit.OPERATIONS,
    *me.OPERATIONS,
    *notify.OPERATIONS,
)


@functools.cache
def document() -> dict[str, Any]:
    """What `/api/openapi.json` says."""
    return openapi.document(OPERATIONS, PREFIX)

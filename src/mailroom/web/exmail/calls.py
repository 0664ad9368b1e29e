# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""All calls of the Exmail-shaped interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mailroom.web.exmail import account, groups, publicmail
from mailroom.web.exmail.contract import Call

CALLS: Final[Sequence[Call]] = (*publicmail.CALLS, *groups.CALLS, *account.CALLS)

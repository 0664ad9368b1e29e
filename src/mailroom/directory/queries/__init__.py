# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""All SQL of the directory."""

from mailroom.directory.queries import (
    access,
    accounts,
    addresses,
    brakes,
    certificates,
    domains,
    groups,
    keys,
    members,
    organisations,
    policies,
    sessions,
)

__all__ = [
    "access",
    "accounts",
    "addresses",
    "brakes",
    "certificates",
    "domains",
    "groups",
    "keys",
    "members",
    "organisations",
    "policies",
    "sessions",
]

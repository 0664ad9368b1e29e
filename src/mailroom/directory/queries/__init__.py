# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""All SQL of the directory."""

from mailroom.directory.queries import (
    access,
    accounts,
    addresses,
    api_keys,
    audit,
    brakes,
    certificates,
    departments,
    domains,
    groups,
    keys,
    members,
    organisations,
    policies,
    rights,
    sessions,
    tags,
)

__all__ = [
    "access",
    "accounts",
    "addresses",
    "api_keys",
    "audit",
    "brakes",
    "certificates",
    "departments",
    "domains",
    "groups",
    "keys",
    "members",
    "organisations",
    "policies",
    "rights",
    "sessions",
    "tags",
]

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""All SQL of the notices."""

from mailroom.notify.queries import links, notices, preferences, settings, tickets

__all__ = ["links", "notices", "preferences", "settings", "tickets"]

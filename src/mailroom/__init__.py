# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mailroom: mailboxes, SMTP, new-mail notices and unified messaging on your own machine.

The package, the command and the product share this name; ``ARCHITECTURE.md`` is the map.
"""

__version__ = "0.1.0"

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""POP3, for the catalogue."""

from __future__ import annotations

from mailroom.protocols.contract import Manifest
from mailroom.protocols.pop3.server import pop3

MANIFESTS = (
    Manifest("pop3", "pop3", "POP3: programs fetch the inbox, with STLS", pop3, role="imap"),
    Manifest("pop3s", "pop3s", "the same in TLS from the first octet", pop3, role="imap", tls=True),
)

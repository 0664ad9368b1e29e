# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""IMAP, for the catalogue."""

from __future__ import annotations

from mailroom.protocols.contract import Manifest
from mailroom.protocols.imap.server import imap

MANIFESTS = (
    Manifest("imap", "imap", "IMAP: mail programs read, file and mark mails; with STARTTLS", imap, role="imap"),
    Manifest("imaps", "imaps", "the same in TLS from the first octet", imap, role="imap", tls=True),
)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""ManageSieve, for the catalogue."""

from __future__ import annotations

from mailroom.protocols.contract import Manifest
from mailroom.protocols.managesieve.server import managesieve

MANIFESTS = (
    Manifest("managesieve", "managesieve", "ManageSieve: programs keep their filters here", managesieve, role="imap"),
)

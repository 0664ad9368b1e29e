# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""SMTP and LMTP, for the catalogue."""

from __future__ import annotations

from mailroom.protocols.contract import Manifest
from mailroom.protocols.smtp.server import lmtp, smtp, submission

MANIFESTS = (
    Manifest("smtp", "smtp", "SMTP: mail from other servers and from programs", smtp, role="smtp"),
    Manifest("lmtp", "lmtp", "LMTP: mail from a mail server in front, with a reply per recipient", lmtp, role="smtp"),
    Manifest("submission", "submission", "Submission: mail from members' programs", submission, role="smtp"),
    Manifest("submissions", "submissions", "Submission in TLS", submission, role="smtp", tls=True),
)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mails that this server writes itself. Pure."""

from __future__ import annotations

from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate


def begin(
    *, name: str, local: str, hostname: str, subject: str, now: int, id_: str, submitted: str = "auto-generated"
) -> EmailMessage:
    """A mail with its first header fields, from `local` at this server; `now` in milliseconds. `submitted` says that no
    person wrote it (RFC 3834 §5).
    """
    mail = EmailMessage(policy=SMTP)
    mail["From"] = Address(name, local, hostname)
    # Written here, since the policy's own folding may leave an encoded word empty, which RFC 2047 §2 forbids.
    mail.set_raw("Subject", Header(subject, None if subject.isascii() else "utf-8", header_name="Subject").encode())
    mail["Date"] = formatdate(now / 1000)
    mail["Message-ID"] = f"<{id_}@{hostname}>"
    mail["Auto-Submitted"] = submitted
    return mail

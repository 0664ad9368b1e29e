# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The identities. An id is given once, never changes and is never given again."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NewType

OrganisationId = NewType("OrganisationId", int)
DomainId = NewType("DomainId", int)
MemberId = NewType("MemberId", int)
MailboxId = NewType("MailboxId", int)
FolderId = NewType("FolderId", int)
ContentId = NewType("ContentId", int)  # the immutable octets of a mail; copies of a mail share it
Uid = NewType("Uid", int)  # a mail's number in its folder (RFC 9051 §2.3.1.1)
Modseq = NewType("Modseq", int)  # a folder's change counter (RFC 7162)
FactId = NewType("FactId", int)
MessageId = NewType("MessageId", int)
RecipientId = NewType("RecipientId", int)
SenderId = NewType("SenderId", int)
GroupId = NewType("GroupId", int)
ClientPasswordId = NewType("ClientPasswordId", int)
DepartmentId = NewType("DepartmentId", int)
TagId = NewType("TagId", int)
ApiKeyId = NewType("ApiKeyId", int)
JobId = NewType("JobId", int)
EntryId = NewType("EntryId", int)  # of the recycle bin

NewId = Callable[[], str]


def new() -> str:
    """A public id: 26 characters of [0-9a-v], unguessable, for names that leave the system (message ids, leases)."""
    alphabet = "0123456789abcdefghijklmnopqrstuv"
    number = int.from_bytes(os.urandom(17)) >> 6
    return "".join(alphabet[number >> shift & 31] for shift in range(0, 130, 5))

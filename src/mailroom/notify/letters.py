# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mails that this server writes to people here, in every language that we have. They are filed as they are: one makes
no notices, is filtered by nothing and answered by nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from mailroom.core import ids, log
from mailroom.core.errors import MailboxDisabled, NotFound, OverQuota
from mailroom.core.ids import MailboxId
from mailroom.core.text import LANGUAGES, translation
from mailroom.mailboxes import append, contents, quota
from mailroom.mailboxes.contents import Small
from mailroom.mailboxes.model import FolderRole
from mailroom.mime import compose
from mailroom.mime.scan import scan
from mailroom.mime.structure import summarise
from mailroom.storage.ports import Tx

_LOG = log.get("letters")


def file(
    tx: Tx,
    to: Iterable[MailboxId],
    subject: str,
    text: str,
    about: Callable[[str], Mapping[str, str]],
    *,
    hostname: str,
) -> None:
    """Put a mail into each of the inboxes that takes it. `about` fills subject and text, which are marked by `N_`, in a
    language; `hostname` is ours.
    """
    spoken = [(translation(language), about(language)) for language in LANGUAGES]
    mail = compose.begin(
        name="Mailroom",
        local="mailroom",
        hostname=hostname,
        subject=" / ".join(words.gettext(subject).format(**filled) for words, filled in spoken),
        now=tx.now,
        id_=ids.new(),
    )
    mail.set_content("\n\n--\n\n".join(words.gettext(text).format(**filled) for words, filled in spoken))
    octets = mail.as_bytes()
    part = scan(octets)
    summary = summarise(part, lambda start, end: octets[start:end])
    for mailbox_id in to:
        try:
            quota.ask(tx, mailbox_id, size=len(octets), address=str(mailbox_id))
        except (NotFound, OverQuota, MailboxDisabled) as refused:  # must not keep it from the others
            _LOG.warning("letter not filed", mailbox=mailbox_id, reason=refused.code)
            continue
        content_id = contents.add(tx, Small(octets), summary, size=len(octets), refs=1)
        append.deliver(tx, content_id, mailbox_id, role=FolderRole.INBOX, size=len(octets), envelope_from="")

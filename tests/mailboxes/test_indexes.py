# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Indexes are used: what a mail program asks all day must not read through a folder, nor a job through a table."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from sqlalchemy.sql.expression import Executable

from mailroom.core.ids import Modseq
from mailroom.directory.queries import departments
from mailroom.mailboxes.model import NO_FLAGS, Flag, MailboxKind
from mailroom.mailboxes.queries import blobs, contents, folders, mailboxes, mails, search
from mailroom.mailboxes.query import Changed, Flagged
from mailroom.mailboxes.search import _plan
from mailroom.storage.engines.sqlite import connect, statements

LISTS = {"uids": [1, 2], "ids": [1, 2], "folder_ids": [1, 2]}


def searching(query: Any) -> Executable:
    return search._statement(_plan(query).bounds.index, whole=False, said=False)


BY_KEY = "mails USING PRIMARY KEY (folder_id=? AND uid"
PLANS = {
    "the collector": (blobs._COLLECTABLE_BLOBS, "blobs_unreferred"),
    "flags of a range": (mails._FLAGS_OF.range, BY_KEY),
    "flags of some": (mails._FLAGS_OF.named, BY_KEY),
    "rows of some": (mails._rows(("envelope",)).named, BY_KEY),
    "what a view has missed": (mails._CHANGED, "mails_modseq (folder_id=? AND modseq>?)"),
    "the rest of it": (mails._CHANGED_REST, BY_KEY),
    "which it has missed": (mails._CHANGED_UIDS, "COVERING INDEX mails_modseq (folder_id=? AND modseq>?)"),
    "what has gone": (mails._VANISHED, "expunged_modseq (folder_id=? AND modseq>?)"),
    "new mails": (mails._UIDS_ABOVE, BY_KEY),
    "the first unseen": (mails._FIRST_UNSEEN, "mails_unseen (folder_id=?"),
    "how many deleted": (mails._COUNT_DELETED, "mails_deleted (folder_id=?"),
    "expunge": (mails._PICK_DELETED.range, "mails_deleted (folder_id=?"),
    "expunge some": (mails._PICK_DELETED.named, "mails_deleted (folder_id=?"),
    "who changed it since": (mails._TOUCHED_UIDS.range, "mails_modseq (folder_id=? AND modseq>?)"),
    "mark": (mails._SET_FLAGS.range, BY_KEY),
    "mark some": (mails._SET_FLAGS.named, BY_KEY),
    "count the unseen": (mails._COUNT_UNSEEN.named, BY_KEY),
    "copy": (mails._COPY.named, BY_KEY),
    "remove": (mails._REMOVE.named, BY_KEY),
    "sort": (mails._BY_SAID.named, BY_KEY),
    "search unseen": (searching(Flagged(Flag.SEEN, NO_FLAGS)), "mails_unseen (folder_id=? AND uid"),
    "search unseen alone": (search._of_index("mails_unseen"), "COVERING INDEX mails_unseen (folder_id=? AND uid"),
    "search all": (search._of_index(""), BY_KEY),
    "search deleted": (searching(Flagged(Flag.DELETED, Flag.DELETED)), "mails_deleted (folder_id=? AND uid"),
    "search modseq": (searching(Changed(Modseq(5))), "mails_modseq (folder_id=? AND modseq>?)"),
    "search": (searching(Flagged(Flag.SEEN, Flag.SEEN)), BY_KEY),
    "a folder by name": (
        folders._FOLDER_BY_NAME,
        "folders USING INDEX sqlite_autoindex_folders_1 (mailbox_id=? AND name=?)",
    ),
    "a folder by role": (folders._FOLDER_BY_ROLE, "folders USING INDEX"),
    "keywords": (folders._KEYWORDS, "keywords USING INDEX"),
    "subscriptions": (folders._SUBSCRIBED, "subscriptions USING COVERING INDEX"),
    "references": (contents._COUNT_REFS, "contents USING INTEGER PRIMARY KEY"),
    "bodies": (contents._BODIES, "bodies USING INTEGER PRIMARY KEY"),
    "what is public": (mailboxes._PUBLIC_NAMES, "mailboxes USING INDEX mailboxes_public"),
    "public mailboxes": (mailboxes._IN_USE[MailboxKind.PUBLIC], "mailboxes USING INDEX mailboxes_public"),
    "whom a department shuts out": (departments._SHUT, "department_members USING COVERING INDEX"),
    "whom it does no more": (departments._OPEN, "mailboxes USING INDEX mailboxes_shut"),
    "who may look": (mailboxes._REACHABLE, "access USING INDEX access_member"),
}


@pytest.mark.parametrize(("statement", "expected"), PLANS.values(), ids=PLANS)
def test_no_more_is_read_than_is_asked_for(sqlite_url: str, statement: Executable, expected: str) -> None:
    given = dict.fromkeys(statement.compile().params, 1) | LISTS  # type: ignore[attr-defined]  # executables are compiled elements
    text, values = statements.get(statement).bind(given)
    used = {name: value for name, value in values.items() if f":{name}" in text}
    with contextlib.closing(connect(sqlite_url.removeprefix("sqlite:///"))) as file:
        plan = [str(row[3]) for row in file.execute(f"EXPLAIN QUERY PLAN {text}", used)]
    assert any(expected in step for step in plan), plan
    assert not any(step.startswith(("SCAN mails", "SCAN contents", "SCAN folders")) for step in plan), plan

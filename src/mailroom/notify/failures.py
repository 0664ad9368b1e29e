# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What follows when a notice, a code or a test has not reached its recipient."""

from __future__ import annotations

from mailroom.core.errors import NotFound
from mailroom.events.facts import NoticeFailed
from mailroom.messaging import log, recipients
from mailroom.messaging.states import State
from mailroom.notify import queries, settings
from mailroom.senders.contract import Why
from mailroom.storage.ports import Tx

# The provider did not take it, so it is not counted. What it took and lost is.
_NOT_TAKEN = {State.FAILED, State.CANCELLED}
_DEAD = {Why.GONE.value, Why.OPTED_OUT.value}


def failed(tx: Tx, fact: NoticeFailed) -> None:
    """Count an SMS that was not sent no more, and let a link by which nobody can be reached be broken."""
    try:
        entry = log.entry(tx, fact.recipient_id)
    except NotFound:  # forgotten since
        return
    if entry.state in _NOT_TAKEN and entry.member_id is not None:  # as it is now: it may have arrived all the same
        day = recipients.change_options(tx, fact.recipient_id, without="day")
        if day is not None:
            queries.notices.give_back(tx, entry.member_id, day)
    way = settings.way_of(entry.sender, entry.kind)
    if way is not None and fact.why in _DEAD:
        queries.links.break_(tx, way, entry.address, fact.why)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What the SMS of Alibaba Cloud and of Tencent Cloud have in common: receipts that are pushed in arrays, or asked for
one by one, and approved templates whose variables we fill in.

Pushes are not signed, so they are known by the key in their path; they may come twice and in any order.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mailroom.senders import template
from mailroom.senders.contract import Account, Call, Forged, Heard, Manifest, Parcel, Question, Reply, Reported, has_key
from mailroom.senders.http import Answer, NoAnswer, fields, parsed
from mailroom.senders.note import Note, Use
from mailroom.senders.template import Scene, Template


def hear(
    account: Account,
    call: Call,
    read: Callable[[Mapping[str, Any]], Reported | None],
    *,
    taken: Reply,
    nonsense: Reply,
) -> Heard | Forged:
    """See `Hears`. `read` makes the receipt of each report that is one."""
    if not has_key(account, call):
        return Forged("the path does not end in the account's callback key")
    reports = parsed(call.body)
    if not isinstance(reports, list):
        return Heard(nonsense)
    told = (read(report) for report in reports if isinstance(report, dict))
    return Heard(taken, tuple(one for one in told if one))


async def ask(
    questions: Sequence[Question],
    call: Callable[[Question], Awaitable[Answer | NoAnswer]],
    read: Callable[[Mapping[str, Any], Question], Reported | None],
) -> Sequence[Reported]:
    """See `Asks`: `call` asks, and `read` makes the receipt of an answer, if it is one."""
    told = []
    for question in questions:
        said = await call(question)
        if isinstance(said, NoAnswer):
            break  # nor will it have one for the others
        if report := read(fields(said), question):
            told.append(report)
    return told


@dataclass(frozen=True, slots=True)
class Form:
    """What a parcel is sent by: the approved template, the setting with its variables, and what they can say."""

    approved: str
    params: str
    scene: Scene

    def value(self, text: Template) -> str:
        """What a variable says; an empty one would be refused as a missing one."""
        return template.fill(text, self.scene).strip() or "-"


def form(manifest: Manifest, account: Account, parcel: Parcel) -> Form:
    """That of the parcel's note, by the account's settings; codes have a template of their own."""
    value = partial(manifest.value, account.settings)
    note = Note.read(parcel.content)
    prefix = "code_" if note.use is Use.CODE else ""
    scene = Scene(template.values(note, longest=int(value("longest"))), parcel.now)
    return Form(value(f"{prefix}template"), value(f"{prefix}params"), scene)

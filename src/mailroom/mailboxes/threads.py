# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""THREAD (RFC 5256): which mails answer which.

What refers to what is written by strangers: circles are not closed, of a thousand references the last count, and
nothing recurses, for one thread may hold all mails, each below the other.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby, pairwise
from typing import Final

from mailroom.core.ids import FolderId
from mailroom.mailboxes import queries
from mailroom.mailboxes.uids import Ranges, beyond
from mailroom.mime.subject import base_subject
from mailroom.storage.ports import Row, Store

_AT_ONCE: Final = 5_000  # rows of one transaction
_REFERENCES_MOST = 50  # of one mail: its nearest
_MISSING_MOST = 200_000  # mails that are referred to and not there
_CLIMB_MOST = 200  # steps up a thread to see whether a link would close a circle; beyond, it is left out


class Algorithm(enum.Enum):
    """How mails are put together."""

    ORDEREDSUBJECT = "orderedsubject"
    REFERENCES = "references"


@dataclass(slots=True)
class Thread:
    """A mail and those below it; UID 0 for one that is not there. Threads may be as deep as there are mails: go through
    them without recursion.
    """

    uid: int
    children: list[Thread] = field(default_factory=list)


async def threads(
    store: Store, folder_id: FolderId, uids: Ranges, algorithm: Algorithm, *, at_once: int = _AT_ONCE
) -> Sequence[Thread]:
    """The threads of the mails that are there, in the order that RFC 5256 wants."""
    forest = _Forest()
    while uids:
        rows = await store.read(partial(queries.mails.by_thread, folder_id=folder_id, uids=uids, limit=at_once))
        await asyncio.to_thread(forest.add, rows)
        uids = beyond(uids, rows[-1][0]) if len(rows) == at_once else ()
    return await asyncio.to_thread(forest.by_references if algorithm is Algorithm.REFERENCES else forest.by_subject)


class _Forest:
    """Mails, and such as are only referred to, by number: what is known of each stands at its place in the lists."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}  # by Message-ID
        self._missing = 0
        self._uids: list[int] = []  # 0: not there
        self._dates: list[int] = []
        self._subjects: list[str] = []
        self._answers: list[bool] = []
        self._references: list[Sequence[int]] = []
        self._parents: list[int | None] = []
        self._has_child: list[bool] = []
        self._children: list[list[int]] = []

    def add(self, rows: Iterable[Row]) -> None:
        """Rows of `queries.mails.by_thread`, ascending by UID."""
        for uid, internal_date, _, sent_at, subject, message_id, refers_to in rows:
            number = self._number_of(message_id, uid)
            self._uids[number] = uid
            self._dates[number] = internal_date if sent_at is None else sent_at
            self._subjects[number], self._answers[number] = base_subject(subject)
            self._references[number] = self._known(refers_to.split()[-_REFERENCES_MOST:])

    def _number_of(self, message_id: str, uid: int) -> int:
        number = self._numbers.get(message_id)
        if number is None or self._uids[number]:
            # Without an id, or with one that another has, a mail is one of a kind: no id begins with a space.
            number = self._new(message_id if message_id and number is None else f" {uid}")
        else:
            self._missing -= 1
        return number

    def _known(self, message_ids: Iterable[str]) -> Sequence[int]:
        found = []
        for message_id in message_ids:
            number = self._numbers.get(message_id)
            if number is None:
                if self._missing == _MISSING_MOST:
                    continue
                self._missing += 1
                number = self._new(message_id)
            found.append(number)
        return found

    def _new(self, message_id: str) -> int:
        number = self._numbers[message_id] = len(self._uids)
        self._uids.append(0)
        self._dates.append(0)
        self._subjects.append("")
        self._answers.append(False)
        self._references.append(())
        return number

    def by_subject(self) -> Sequence[Thread]:
        """ORDEREDSUBJECT (section 3): the first of a subject, and all others below it."""
        there = sorted(self._there(), key=lambda number: (self._subjects[number], self._key(number)))
        groups = [list(group) for _, group in groupby(there, lambda number: self._subjects[number])]
        groups.sort(key=lambda group: self._key(group[0]))
        return [Thread(self._uids[first], [Thread(self._uids[each]) for each in rest]) for first, *rest in groups]

    def by_references(self) -> Sequence[Thread]:
        """REFERENCES (section 3): its steps (1) to (6)."""
        self._link()
        roots = self._pruned()
        for number in roots:
            if not self._uids[number]:
                self._children[number].sort(key=self._key)
        roots.sort(key=self._root_key)
        roots = self._joined_by_subject(roots)
        for children in self._children:
            children.sort(key=self._key)
        roots.sort(key=self._root_key)
        return self._as_threads(roots)

    def _there(self) -> Iterable[int]:
        return (number for number, uid in enumerate(self._uids) if uid)

    def _key(self, number: int) -> tuple[int, int]:
        return self._dates[number], self._uids[number]

    def _root_key(self, number: int) -> tuple[int, int]:
        return self._key(self._spoken_for(number))

    def _spoken_for(self, number: int) -> int:
        """Whose subject and date count for a root: its own, or those of the first below one that is not there."""
        return number if self._uids[number] else self._children[number][0]

    def _link(self) -> None:
        """Step (1): parents."""
        self._parents = [None] * len(self._uids)
        self._has_child = [False] * len(self._uids)
        for number in sorted(self._there(), key=lambda number: self._uids[number]):
            references = self._references[number]
            for parent, child in pairwise(references):
                if self._parents[child] is None:
                    self._set_parent(child, parent)
            if references and references[-1] != self._parents[number]:
                self._set_parent(number, references[-1])

    def _set_parent(self, child: int, parent: int) -> None:
        if child != parent and not (self._has_child[child] and self._may_be_above(child, parent)):
            self._parents[child] = parent
            self._has_child[parent] = True

    def _may_be_above(self, above: int, number: int) -> bool:
        climbing: int | None = number
        for _ in range(_CLIMB_MOST):
            if climbing is None:
                return False
            if climbing == above:
                return True
            climbing = self._parents[climbing]
        return True

    def _pruned(self) -> list[int]:
        """Steps (2) and (3): the roots. Of those that are not there, such stay as hold several threads together."""
        below: list[list[int]] = [[] for _ in self._uids]
        for number, parent in enumerate(self._parents):
            if parent is not None:
                below[parent].append(number)
        self._children = [[] for _ in self._uids]
        roots = []
        for top in [number for number, parent in enumerate(self._parents) if parent is None]:
            pending = [(number, top) for number in below[top]]
            while pending:
                number, holder = pending.pop()
                if self._uids[number]:
                    self._children[holder].append(number)
                    holder = number
                pending += [(each, holder) for each in below[number]]
            if self._uids[top] or len(self._children[top]) > 1:
                roots.append(top)
            else:
                roots += self._children[top]
        return roots

    def _joined_by_subject(self, roots: Sequence[int]) -> list[int]:
        """Step (5): roots of one subject come together."""
        table = self._subject_table(roots)
        joined = dict.fromkeys(roots)
        for number in roots:
            if number not in joined:
                continue
            subject = self._subjects[self._spoken_for(number)]
            other = table.get(subject, number) if subject else number
            if other == number:
                continue
            del joined[number]
            if not self._uids[other]:
                self._children[other] += [number] if self._uids[number] else self._children[number]
            elif self._answers[number] and not self._answers[other]:
                self._children[other].append(number)
            else:
                del joined[other]
                table[subject] = self._new_root(other, number)
                joined[table[subject]] = None
        return list(joined)

    def _subject_table(self, roots: Sequence[int]) -> dict[str, int]:
        table: dict[str, int] = {}
        for number in roots:
            subject = self._subjects[self._spoken_for(number)]
            other = table.setdefault(subject, number)
            if self._uids[other] and (not self._uids[number] or (self._answers[other] and not self._answers[number])):
                table[subject] = number
        return table

    def _new_root(self, *children: int) -> int:
        number = self._new(f" {len(self._uids)} root")
        self._children.append(list(children))
        return number

    def _as_threads(self, roots: Sequence[int]) -> Sequence[Thread]:
        made = [Thread(self._uids[number]) for number in roots]
        pending = list(zip(roots, made, strict=True))
        while pending:
            number, thread = pending.pop()
            thread.children = [Thread(self._uids[child]) for child in self._children[number]]
            pending += zip(self._children[number], thread.children, strict=True)
        return made

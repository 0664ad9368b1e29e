# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""SORT: by each key, both ways, and with what is missing."""

from __future__ import annotations

from array import array

import pytest

from mailroom.core.ids import FolderId
from mailroom.mailboxes import append, contents, order
from mailroom.mailboxes.order import Key, Way
from mailroom.mailboxes.uids import EVERY
from mailroom.mime.scan import scan
from mailroom.mime.structure import summarise
from mailroom.storage.ports import Store, Tx
from tests import make

MAILS = [
    ("Zoe <b@x.example>", "Re: beta", "Mon, 3 Feb 2025 10:00:00 +0000", "anton@x.example", 3),
    ("Amy Li <c@x.example>", "alpha", "", '"Li, Bob" <zed@x.example>, A <a@x.example>', 1),
    ("a@x.example", "[list] fwd: Beta", "Sun, 2 Feb 2025 10:00:00 -0500", "", 2),
    ("Amy Li <c@x.example>", "gamma", "Sun, 2 Feb 2025 14:00:00 +0000", "Bea <mia@x.example>", 2),
]


async def filled(store: Store) -> FolderId:
    def work(tx: Tx) -> FolderId:
        folder = make.folder(tx, make.organise(tx).mailboxes["amy"]).id
        for sender, subject, date, to, arrived in MAILS:
            more = [f"Date: {date}"] if date else []
            octets = make.mail(sender=sender, subject=subject, to=to, more=[*more, f"Cc: {to}"], message_id="")
            summary = summarise(scan(octets), lambda start, end, octets=octets: octets[start:end])  # type: ignore[misc]  # a lambda's default
            content_id = contents.add(tx, contents.Small(octets), summary, size=len(octets), refs=1)
            # 1970: before all that have a date
            append.append(tx, content_id, into=folder, size=len(octets), internal_date=arrived)
        return folder

    return await store.write(work)


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ([(Key.ARRIVAL, Way.UP)], [2, 3, 4, 1]),
        ([(Key.ARRIVAL, Way.DOWN)], [1, 3, 4, 2]),
        ([(Key.DATE, Way.UP)], [2, 4, 3, 1]),
        ([(Key.SUBJECT, Way.UP)], [2, 1, 3, 4]),
        ([(Key.SUBJECT, Way.UP), (Key.DATE, Way.UP)], [2, 3, 1, 4]),
        ([(Key.SUBJECT, Way.DOWN), (Key.DATE, Way.UP)], [4, 3, 1, 2]),
        ([(Key.FROM, Way.UP)], [3, 1, 2, 4]),
        ([(Key.DISPLAYFROM, Way.UP)], [3, 2, 4, 1]),
        ([(Key.TO, Way.UP)], [3, 1, 4, 2]),
        ([(Key.CC, Way.UP)], [3, 1, 4, 2]),
        ([(Key.DISPLAYTO, Way.UP)], [3, 1, 4, 2]),
        ([(Key.FROM, Way.UP), (Key.SUBJECT, Way.DOWN), (Key.FROM, Way.DOWN)], [3, 1, 4, 2]),
    ],
    ids=str,
)
async def test_mails_are_sorted(store: Store, by: list[tuple[Key, Way]], expected: list[int]) -> None:
    folder = await filled(store)
    for at_once in (2, 3, 5000):
        assert list(await order.order(store, folder, EVERY, by, at_once=at_once)) == expected
    some = [uid for uid in expected if uid != 3]
    assert list(await order.order(store, folder, ((1, 2), (4, 9)), by)) == some


async def test_by_size(store: Store) -> None:
    folder = await filled(store)
    sizes = array("I", await order.order(store, folder, EVERY, [(Key.SIZE, Way.UP)]))
    assert sizes[0] == 3
    assert await order.order(store, folder, (), [(Key.SIZE, Way.UP)]) == []

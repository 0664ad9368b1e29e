# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""THREAD: who answers whom, as RFC 5256 wants it, and when strangers make circles, towers and crowds of references."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from mailroom.core.ids import MailboxId
from mailroom.mailboxes import threads
from mailroom.mailboxes.threads import Algorithm, Thread, _Forest
from mailroom.mailboxes.uids import EVERY
from mailroom.storage.ports import Store, Tx
from tests import make

Letter = tuple[str, str, str]  # message id, references, subject


def planted(letters: Sequence[Letter], dates: Sequence[int] = ()) -> _Forest:
    forest = _Forest()
    forest.add(
        [
            (uid, dates[uid - 1] if dates else uid, 0, None, subject, message_id, references)
            for uid, (message_id, references, subject) in enumerate(letters, 1)
        ]
    )
    return forest


def written(found: Sequence[Thread]) -> str:
    """As IMAP has it, for trees that are not too deep."""
    return "".join(f"({_members(thread)})" for thread in found)


def _members(thread: Thread) -> str:
    own = str(thread.uid) if thread.uid else ""
    if len(thread.children) == 1:
        return f"{own} {_members(thread.children[0])}".strip()
    return f"{own} {written(thread.children)}".strip()


REFERENCES: dict[str, tuple[list[Letter], str]] = {
    "alone": ([("<a>", "", "x"), ("<b>", "", "y")], "(1)(2)"),
    "a line": ([("<a>", "", "x"), ("<b>", "<a>", "Re: x"), ("<c>", "<a> <b>", "Re: x")], "(1 2 3)"),
    "a fork": ([("<a>", "", "x"), ("<b>", "<a>", "Re: x"), ("<c>", "<a>", "Re: x")], "(1 (2)(3))"),
    "the answer first": ([("<b>", "<a>", "Re: x"), ("<a>", "", "x")], "(2 1)"),
    "one missing, one left": ([("<b>", "<gone>", "x")], "(1)"),
    "one missing, two left": ([("<b>", "<gone>", "x"), ("<c>", "<gone>", "x")], "((1)(2))"),
    "missing between": ([("<a>", "", "x"), ("<c>", "<a> <gone>", "x"), ("<d>", "<a> <gone>", "x")], "(1 (2)(3))"),
    "a circle": ([("<a>", "<b>", "x"), ("<b>", "<a>", "y")], "(2 1)"),
    "itself": ([("<a>", "<a>", "x"), ("<b>", "<b> <b>", "y")], "(1)(2)"),
    "one id twice": ([("<a>", "", "x"), ("<a>", "", "y"), ("<b>", "<a>", "z")], "(1 3)(2)"),
    "no ids": ([("", "", "x"), ("", "", "y")], "(1)(2)"),
    "a better parent": ([("<c>", "<a>", "x"), ("<d>", "<a> <b> <c>", "x"), ("<b>", "<a>", "x")], "((1 2)(3))"),
    "an answer without references": ([("<a>", "", "x"), ("<b>", "", "Re: x")], "(1 2)"),
    "the answer comes first": ([("<b>", "", "Re: x"), ("<a>", "", "x")], "(2 1)"),
    "one subject, no answers": ([("<a>", "", "x"), ("<b>", "", "X"), ("<c>", "", "x")], "((1)(2)(3))"),
    "two answers": ([("<a>", "", "Re: x"), ("<b>", "", "Fwd: x")], "((1)(2))"),
    "no subject": ([("<a>", "", ""), ("<b>", "", "Re:")], "(1)(2)"),
    "missing with the same subject": (
        [
            ("<b>", "<gone>", "x"),
            ("<c>", "<gone>", "x"),
            ("<d>", "", "x"),
            ("<e>", "<left>", "x"),
            ("<f>", "<left>", "y"),
        ],
        "((1)(2)(3)(4)(5))",
    ),
}


@pytest.mark.parametrize(("letters", "expected"), REFERENCES.values(), ids=REFERENCES)
def test_by_references(letters: list[Letter], expected: str) -> None:
    assert written(planted(letters).by_references()) == expected


def test_siblings_and_threads_stand_by_date() -> None:
    letters = [("<a>", "", "x"), ("<b>", "<a>", "Re: x"), ("<c>", "<a>", "Re: x"), ("<d>", "", "y")]
    assert written(planted(letters, [5, 9, 7, 1]).by_references()) == "(4)(1 (3)(2))"


def test_by_subject() -> None:
    letters = [("", "", "b"), ("", "", "a"), ("", "", "Re: b"), ("", "", "[l] B"), ("", "", "")]
    assert written(planted(letters, [3, 4, 1, 9, 2]).by_subject()) == "(3 (1)(4))(5)(2)"


ids = some.sampled_from([f"<{number}>" for number in range(8)])
letters = some.tuples(
    some.just("") | ids, some.lists(ids, max_size=4).map(" ".join), some.sampled_from(["x", "Re: x", "y", "", "Re: y"])
)


@given(some.lists(letters, max_size=12), some.sampled_from(Algorithm))
@settings(max_examples=500)
def test_each_mail_is_in_one_place(found: list[Letter], algorithm: Algorithm) -> None:
    forest = planted(found)
    roots = forest.by_references() if algorithm is Algorithm.REFERENCES else forest.by_subject()
    pending, uids = list(roots), []
    while pending:
        thread = pending.pop()
        uids.append(thread.uid)
        assert thread.uid or thread.children
        assert all(child.uid for child in thread.children)  # only roots may be missing
        pending += thread.children
        assert len(uids) < 100
    assert sorted(uid for uid in uids if uid) == list(range(1, len(found) + 1))


MANY = 30_000


@pytest.mark.parametrize(
    "letters",
    [
        [(f"<{n}>", f"<{n - 1}>", "x") for n in range(MANY)],
        [(f"<{n}>", f"<{n + 1}>", "x") for n in range(MANY)],
        [(f"<{n}>", "<0>", "x") for n in range(MANY)],
        [(f"<{n}>", " ".join(f"<{(n * 7 + k) % MANY}>" for k in range(50)), "x") for n in range(MANY // 10)],
        [("", " ".join(f"<{n}-{k}>" for k in range(60)), "x") for n in range(MANY // 10)],
        [("", f"<{n}> <{n + 1}>", "Re: x") for n in range(MANY)],
    ],
    ids=["tower", "tower upside down", "star", "tangle", "strangers", "missing tower"],
)
@pytest.mark.timeout(20)
def test_nothing_that_strangers_write_takes_long(letters: list[Letter]) -> None:
    roots = planted(letters).by_references()
    pending, count = list(roots), 0
    while pending:
        thread = pending.pop()
        count += thread.uid > 0
        pending += thread.children
    assert count == len(letters)


async def test_mails_are_threaded_page_by_page(store: Store) -> None:
    def work(tx: Tx) -> None:
        folder = make.folder(tx, make.organise(tx).mailboxes["amy"]).id
        for number, more in enumerate(["", "In-Reply-To: <0@x>", "References: <0@x> <1@x>", "", "References: <3@x>"]):
            octets = make.mail(
                subject="x" if number < 3 else "y", message_id=f"<{number}@x>", more=[more] if more else []
            )
            make.appended(tx, folder, octets)

    await store.write(work)
    folder = await store.read(lambda tx: make.folder(tx, MailboxId(1)).id)
    for uids, algorithm, expected in (
        (EVERY, Algorithm.REFERENCES, "(1 2 3)(4 5)"),
        (((1, 1), (3, 5)), Algorithm.REFERENCES, "(1 3)(4 5)"),
        (EVERY, Algorithm.ORDEREDSUBJECT, "(1 (2)(3))(4 5)"),
    ):
        assert written(await threads.threads(store, folder, uids, algorithm, at_once=2)) == expected

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Names, lists and counts; searches and how their answers look."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mailroom.directory.model import SYSTEM
from mailroom.mailboxes import quota
from mailroom.mailboxes.threads import Thread
from mailroom.protocols.imap.commands import names
from mailroom.protocols.imap.commands.search import _written
from mailroom.storage.ports import Store
from tests import make
from tests.protocols.imap.room import Client, room

OWN = [b"INBOX", b"Drafts", b"Sent", b"Junk", b"Trash"]


async def listed(c: Client, words: str) -> list[bytes]:
    """The names in a list."""
    return [line.rpartition(b'"/" ')[2] for line in await c.ok(words)]


async def test_making_renaming_and_removing(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.call() as c:
        await c.login("amy")
        assert (await c("CREATE a/b/c")).code == "MAILBOXID"
        assert await listed(c, 'LIST "" a*') == [b"a", b"a/b", b"a/b/c"]
        assert await listed(c, "LIST a/ %") == [b"a/b"]
        assert (await c("CREATE a/b")).code == "ALREADYEXISTS"
        assert (await c("CREATE inbox")).code == "ALREADYEXISTS"
        for name in ("x//y", "..", "x/.", "*", "x/%", "x\x01", "x\ty"):
            for command in (b"CREATE ", b"RENAME a "):
                answer = await c(command + b"{%d+}\r\n%b" % (len(name), name.encode()))
                assert (answer.status, answer.code) == ("NO", "CANNOT"), name
        await c.ok("CREATE d/")
        await c.ok("DELETE a/b")
        assert (await c('LIST "" a/%')).lines == [b'LIST (\\Noselect \\HasChildren) "/" a/b']
        assert (await c('LIST "" (a/%) RETURN (CHILDREN)')).lines == [b'LIST (\\NonExistent \\HasChildren) "/" a/b']
        assert (await c("SELECT a/b")).code == "NONEXISTENT"
        assert (await c("DELETE a/b")).code == "NONEXISTENT"
        await c.ok("RENAME a/b e/f")
        assert await listed(c, 'LIST "" e*') == [b"e", b"e/f/c", b"e/f"]
        assert (await c("RENAME e/f/c d")).code == "ALREADYEXISTS"
        assert (await c("DELETE INBOX")).code == (await c("DELETE Sent")).code == "CANNOT"
        assert (await c("CREATE s (USE (\\Sent))")).code == "USEATTR"
        assert (await c("CREATE s (USE (\\Flagged))")).code == "USEATTR"
        await c.ok("CREATE old (USE (\\Archive))")
        assert await c.ok('LIST (SPECIAL-USE) "" old') == [b'LIST (\\Archive) "/" old']


async def test_renaming_the_inbox_leaves_an_empty_one(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place:
        await place.deliver("one", "two")
        async with place.open() as c:
            await c.ok("RENAME INBOX old")
            assert await c.ok("STATUS old (MESSAGES)") == [b"STATUS old (MESSAGES 2)"]
            assert await c.ok("NOOP") == []
            assert await c.ok("STATUS INBOX (MESSAGES)") == [b"STATUS INBOX (MESSAGES 0)"]


async def test_subscriptions(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.call() as c:
        await c.login("amy")
        await c.ok("CREATE a/b")
        await c.ok("SUBSCRIBE a/b")
        await c.ok("SUBSCRIBE Shared/sales@corp.example/INBOX")
        assert (await c("SUBSCRIBE nowhere")).status == "NO"
        await c.ok("DELETE a/b")
        assert await c.ok('LIST (SUBSCRIBED) "" a*') == [b'LIST (\\NonExistent \\Subscribed) "/" a/b']
        assert await c.ok("LSUB a/ %") == [b'LSUB () "/" a/b']
        assert await c.ok('LSUB "" a%') == [b'LSUB (\\Noselect) "/" a']
        assert await c.ok('LIST (SUBSCRIBED RECURSIVEMATCH) "" a') == [b'LIST () "/" a ("CHILDINFO" ("SUBSCRIBED"))']
        assert b"Shared/sales@corp.example/INBOX" in await listed(c, 'LSUB "" *')
        await c.ok("UNSUBSCRIBE a/b")
        assert await c.ok('LSUB "" a*') == []


async def test_lists_with_counts(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place:
        await place.deliver("one", "two")
        async with place.open() as c:
            await c.ok("STORE 1 +FLAGS (\\Deleted \\Seen)")
            lines = await c.ok('LIST "" (INBOX Sent) RETURN (SPECIAL-USE STATUS (MESSAGES UNSEEN DELETED))')
            assert lines == [
                b'LIST () "/" INBOX',
                b"STATUS INBOX (MESSAGES 2 UNSEEN 1 DELETED 1)",
                b'LIST (\\Sent) "/" Sent',
                b"STATUS Sent (MESSAGES 0 UNSEEN 0 DELETED 0)",
            ]
            assert await c.ok("STATUS INBOX (DELETED-STORAGE SIZE RECENT APPENDLIMIT)") == [
                b"STATUS INBOX (DELETED-STORAGE 118 SIZE 236 RECENT 0 APPENDLIMIT 52428800)"
            ]
            await store.write(lambda tx: quota.change(tx, SYSTEM, place.people.mailboxes["amy"], 1 << 20))
            assert (await c.ok("GETQUOTAROOT INBOX"))[1] == b'QUOTA "amy@corp.example" (STORAGE 1 1024)'
            assert (await c("STATUS nowhere (MESSAGES)")).code == "NONEXISTENT"


async def test_names_in_both_scripts(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.call() as c:
        await c.login("amy")
        await c.ok("CREATE &ZeV6Cw-")
        assert b"&ZeV6Cw-" in await listed(c, 'LIST "" %')
        await c.ok("ENABLE UTF8=ACCEPT")
        assert await listed(c, 'LIST "" 日*') == ['"日程"'.encode()]


async def test_searches(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place:
        await place.deliver("c", "a", "b")
        async with place.open() as c:
            await c.ok("STORE 2 +FLAGS (\\Deleted)")
            await c.ok("EXPUNGE")
            assert await c.ok("SEARCH 1:* UNSEEN") == [b"SEARCH 1 2"]
            assert await c.ok("UID SEARCH UID 2:9") == [b"SEARCH 3"]
            assert await c.ok("SEARCH 5:9") == [b"SEARCH"]
            assert await c.ok("SEARCH RETURN (MIN MAX COUNT) ALL") == [b'ESEARCH (TAG "t8") MIN 1 MAX 2 COUNT 2']
            assert await c.ok("UID SEARCH RETURN () ALL") == [b'ESEARCH (TAG "t9") UID ALL 1,3']
            assert await c.ok("SEARCH RETURN (SAVE) SUBJECT b") == []
            assert await c.ok("UID FETCH $ (UID)") == [b"2 FETCH (UID 3)"]
            assert await c.ok("SEARCH RETURN (SAVE MIN) ALL") == [b'ESEARCH (TAG "t12") MIN 1']
            assert await c.ok("SEARCH $") == [b"SEARCH 1"]
            assert await c.ok("SORT (SUBJECT) UTF-8 ALL") == [b"SORT 2 1"]
            assert await c.ok("UID SORT RETURN (ALL) (REVERSE SUBJECT) UTF-8 ALL") == [
                b'ESEARCH (TAG "t15") UID ALL 1,3'
            ]
            assert await c.ok("UID SORT RETURN (ALL) (SUBJECT) UTF-8 ALL") == [b'ESEARCH (TAG "t16") UID ALL 3,1']
            assert await c.ok("SEARCH YOUNGER 1000000000") == [b"SEARCH 1 2"]
            assert await c.ok("SEARCH OLDER 1000000000") == [b"SEARCH"]
            assert (await c("SEARCH CHARSET X-NONE ALL")).status == "NO"


async def test_threads(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place:
        for number, before in ((1, 0), (2, 1), (3, 1), (4, 0)):
            more = [f"References: <{before}@x>"] if before else []
            await place.deliver(octets=make.mail(subject=f"s{number}", message_id=f"<{number}@x>", more=more))
        async with place.open() as c:
            assert await c.ok("THREAD REFERENCES UTF-8 ALL") == [b"THREAD (1 (2)(3))(4)"]
            assert await c.ok("UID THREAD ORDEREDSUBJECT UTF-8 2:3") == [b"THREAD (2)(3)"]
            assert await c.ok("THREAD REFERENCES UTF-8 SEEN") == [b"THREAD"]


def test_how_threads_are_written() -> None:
    deep = Thread(1)
    last = deep
    for uid in range(2, 50_000):
        last.children.append(Thread(uid))
        last = last.children[0]
    assert _written(deep, int).startswith(b"(1 2 3 ")
    branched = Thread(3, [Thread(6, [Thread(4, [Thread(23)]), Thread(44, [Thread(7), Thread(96)])])])
    assert _written(branched, int) == b"(3 6 (4 23)(44 (7)(96)))"
    assert _written(Thread(0, [Thread(3), Thread(5)]), int) == b"((3)(5))"


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("*", ["a", "a/b"], []),
        ("%", ["a"], ["a/b"]),
        ("a/%", ["a/b"], ["a/b/c", "a"]),
        ("%/b", ["a/b"], ["x/a/b"]),
        ("*/b", ["a/b", "x/a/b"], ["b"]),
        ("a%b*c", ["axbxc", "abc", "ab/c"], ["a/bc"]),
        ("inbox", ["INBOX"], ["inbox"]),
        ("*%", ["a/b"], []),
        ("", [], ["a"]),
        ("(.*", ["(.x"], ["x"]),
    ],
)
def test_patterns(pattern: str, yes: list[str], no: list[str]) -> None:
    matches = names.matcher([pattern])
    assert all(matches(name) for name in yes)
    assert not any(matches(name) for name in no)


letters = some.text("ab/", max_size=8)


@given(some.text("ab/*%", max_size=8), letters)
def test_patterns_mean_what_a_child_would_say(pattern: str, name: str) -> None:
    assert names.matcher([pattern])(name) is plainly(pattern, name)


def plainly(pattern: str, name: str) -> bool:
    if not pattern:
        return not name
    if pattern[0] in "*%":
        passes = name and (pattern[0] == "*" or name[0] != "/")
        return plainly(pattern[1:], name) or bool(passes and plainly(pattern, name[1:]))
    return bool(name) and name[0] == pattern[0] and plainly(pattern[1:], name[1:])

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Public mailboxes in their users' logins, and how access ends."""

from __future__ import annotations

from pathlib import Path

from mailroom.directory import members, users
from mailroom.directory.clients import ClientPasswords
from mailroom.directory.clients import revoke as revoke_password
from mailroom.directory.model import SYSTEM, MemberStatus, Service, Users
from mailroom.mailboxes import quota
from mailroom.mailboxes.model import MailboxStatus
from mailroom.storage.ports import Store
from tests import make
from tests.protocols.imap.room import Client, Room, room

INBOX = "Shared/sales@corp.example/INBOX"


async def test_one_read_state_for_all(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place:
        await place.deliver("order", to="sales")
        async with place.open("amy", INBOX) as amy, place.open("bob", INBOX.replace("INBOX", "inbox")) as bob:
            await amy.ok("STORE 1 +FLAGS (\\Seen)")
            assert await bob.ok("NOOP") == [b"1 FETCH (FLAGS (\\Seen))"]
            await bob.ok("CREATE Shared/sales@corp.example/Done")
            answer = await bob("MOVE 1 Shared/sales@corp.example/Done")
            assert answer.status == "OK"
            assert await amy.ok("NOOP") == [b"1 EXPUNGE"]
            assert await amy.ok("STATUS Shared/sales@corp.example/Done (MESSAGES UNSEEN)") == [
                b"STATUS Shared/sales@corp.example/Done (MESSAGES 1 UNSEEN 0)"
            ]


async def test_what_is_not_yours_looks_like_what_is_not_there(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path, people=("amy", "bob")) as place, place.call() as c:
        await store.write(
            lambda tx: users.change(
                tx, SYSTEM, place.people.mailboxes["sales"], remove=Users((place.people.members["bob"],))
            )
        )
        await c.login("bob")
        for words in (
            f"SELECT {INBOX}",
            "SELECT Shared/none@corp.example/INBOX",
            "SELECT Shared/amy@corp.example/INBOX",
        ):
            answer = await c(words)
            assert (answer.status, answer.text) == ("NO", b"[NONEXISTENT] no such mailbox"), words
        assert not [line for line in await c.ok('LIST "" *') if b"Shared" in line]


async def test_nothing_is_made_beside_what_is_shared(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.call() as c:
        await c.login("amy")
        for words in (
            "CREATE Shared",
            "CREATE Shared/",
            "CREATE Shared/x",
            "CREATE Shared/sales@corp.example",
            f"RENAME {INBOX} x",
        ):
            assert (await c(words)).status == "NO", words
        assert (await c(f"RENAME Drafts {INBOX}/x")).code == "CANNOT"
        assert (await c(f"SETACL {INBOX} bob lr")).code == "NOPERM"
        assert await c.ok(f"MYRIGHTS {INBOX}") == [b"MYRIGHTS %b lrswipkxtecd" % INBOX.encode()]
        assert await c.ok(f"GETQUOTAROOT {INBOX}") == [
            b'QUOTAROOT %b "sales@corp.example"' % INBOX.encode(),
            b'QUOTA "sales@corp.example" ()',
        ]
        await store.write(lambda tx: quota.change(tx, SYSTEM, place.people.mailboxes["sales"], 10_240))
        assert await c.ok("GETQUOTA sales@corp.example") == [b'QUOTA "sales@corp.example" (STORAGE 0 10)']


async def parted(c: Client) -> None:
    """What the client sees in the end is a BYE, whatever it does."""
    await c.expect(r"\* BYE .*")
    await c.expect_end()


async def test_a_user_who_is_removed_loses_the_folder_at_once(store: Store, tmp_path: Path) -> None:
    async with (
        room(store, tmp_path) as place,
        place.open("bob", INBOX) as idling,
        place.open("bob", INBOX) as quiet,
        place.open("amy", INBOX) as amy,
        place.open("bob") as own,
    ):
        await idling.say("IDLE")
        await idling.expect(r"\+ .*")
        await revoke(place, "bob")
        await parted(idling)
        await parted(quiet)
        await amy.ok("NOOP")
        await own.ok("NOOP")
        assert (await own(f"SELECT {INBOX}")).status == "NO"


async def revoke(place: Room, userid: str) -> None:
    sales, member = place.people.mailboxes["sales"], place.people.members[userid]
    await place.store.write(lambda tx: users.change(tx, SYSTEM, sales, remove=Users((member,))))


async def test_a_member_who_is_disabled_loses_every_session(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.open("bob", INBOX) as shared, place.open("bob") as own:
        await own.say("IDLE")
        await own.expect(r"\+ .*")
        await store.write(lambda tx: members.change_status(tx, SYSTEM, "bob", MemberStatus.DISABLED))
        await parted(own)
        await parted(shared)


async def test_a_mailbox_that_is_disabled(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.open("bob", INBOX) as c:
        sales = place.people.mailboxes["sales"]
        await store.write(lambda tx: quota.change_status(tx, SYSTEM, sales, MailboxStatus.DISABLED))
        await parted(c)


async def test_a_new_password_ends_what_the_old_one_opened(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.open("bob") as c:
        await make.set_password(place.logins, "bob", "another password")
        await parted(c)


async def test_a_login_by_the_public_mailbox_itself(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.call() as c:
        clients = ClientPasswords(store, place.logins.passwords, place.logins.seal)
        sales = place.people.mailboxes["sales"]
        made, password = await clients.create(SYSTEM, sales, remark="office", services=[Service.IMAP])
        await place.deliver("order", to="sales")
        await c.login("sales@corp.example", password.reveal())
        assert await c.ok("NAMESPACE") == [b'NAMESPACE (("" "/")) NIL NIL']
        assert not [line for line in await c.ok('LIST "" *') if b"Shared" in line]
        assert b"1 EXISTS" in await c.ok("SELECT INBOX")
        await store.write(lambda tx: revoke_password(tx, SYSTEM, sales, made.id))
        await parted(c)


async def test_a_folder_that_is_removed(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.open() as c, place.open() as other:
        await c.ok("CREATE x")
        await c.ok("SELECT x")
        await other.ok("SELECT x")
        await c.ok("DELETE x")
        assert (await c("FETCH 1 FLAGS")).text == b"not now"
        await other.say("NOOP")
        await parted(other)


async def test_what_is_shared_is_subscribed_to_until_one_says_no(store: Store, tmp_path: Path) -> None:
    async with room(store, tmp_path) as place, place.call() as amy, place.call() as bob:
        await amy.login("amy")
        await bob.login("bob")
        lines = await amy.ok('LSUB "" "*"')
        assert b'LSUB () "/" ' + INBOX.encode() in lines
        await amy.ok(f"UNSUBSCRIBE {INBOX}")
        await amy.ok(f"UNSUBSCRIBE {INBOX}")
        lines = await amy.ok('LIST (SUBSCRIBED) "" "Shared/*"')
        assert not any(INBOX.encode() in line for line in lines)
        assert any(b"Shared/sales@corp.example/Sent" in line for line in lines)
        assert b'LSUB () "/" ' + INBOX.encode() in await bob.ok('LSUB "" "*"')  # each for himself
        await amy.ok(f"SUBSCRIBE {INBOX}")
        assert b'LSUB () "/" ' + INBOX.encode() in await amy.ok('LSUB "" "*"')

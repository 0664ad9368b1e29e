# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The life of domains and mailboxes from the outside, row by row as the specification numbers it (E-1 to E-11): by the
command and by REST, on both databases, with real mail in between and a name server of the test's own.
"""

from __future__ import annotations

import asyncio
import imaplib
import smtplib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from mailroom.core.clock import DAY
from mailroom.directory import api_keys, members
from mailroom.directory.model import SYSTEM, Role
from mailroom.mailboxes import recycle
from mailroom.mailboxes.model import EntryState
from mailroom.runtime.serve import Running, running
from mailroom.storage.ports import Tx
from tests import dns, make
from tests.cli.conftest import caller
from tests.dns import Names
from tests.walks.hands import Command, Hands, Refused, Rest
from tests.walks.town import settings_for

DOMAIN = "corp.example"
HOST = "mx.corp.example"


@dataclass(frozen=True, slots=True)
class World:
    """A server with nothing but its first administrator, who has hands; and the people who use it."""

    server: Running
    names: Names
    hands: Hands

    async def send(self, to: str, subject: str, *, sender: str = "eve@out.example", password: str = "") -> None:
        """Hand a mail in from outside; with a password as the member who has that address. Raises
        `smtplib.SMTPException`.
        """
        await asyncio.to_thread(self._send, to, subject, sender, password)

    def _send(self, to: str, subject: str, sender: str, password: str) -> None:
        port = self.server.ports["submissions" if password else "smtp"]
        mail = make.mail(subject=subject, sender=sender, to=to)
        if not password:
            with smtplib.SMTP("127.0.0.1", port, local_hostname="out.example") as smtp:
                smtp.sendmail(sender, [to], mail)
            return
        with smtplib.SMTP_SSL("127.0.0.1", port, local_hostname="pc.corp.example") as smtp:
            smtp.login(sender, password)
            smtp.sendmail(sender, [to], mail)

    async def subjects(self, user: str, password: str, folder: str = "INBOX") -> list[str]:
        """What a member's mail program shows. Raises `imaplib.IMAP4.error`."""
        return await asyncio.to_thread(self._subjects, user, password, folder)

    def _subjects(self, user: str, password: str, folder: str) -> list[str]:
        with imaplib.IMAP4_SSL("127.0.0.1", self.server.ports["imaps"]) as imap:
            imap.login(user, password)
            status, said = imap.select(f'"{folder}"', readonly=True)
            if status != "OK":
                raise imaplib.IMAP4.error(said)
            if said == [b"0"]:
                return []
            _, fetched = imap.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
            lines = [part[1].decode().strip() for part in fetched if isinstance(part, tuple)]
            return sorted(line.partition(": ")[2] for line in lines)

    async def folders(self, user: str, password: str) -> list[str]:
        """The names of the folders that he sees."""
        return await asyncio.to_thread(self._folders, user, password)

    def _folders(self, user: str, password: str) -> list[str]:
        with imaplib.IMAP4_SSL("127.0.0.1", self.server.ports["imaps"]) as imap:
            imap.login(user, password)
            return [
                line.decode().partition(' "/" ')[2].strip('"') for line in imap.list()[1] if isinstance(line, bytes)
            ]


def _found(tx: Tx) -> None:
    organisation_id = members.found_organisation(tx, "Corp")
    members.add(tx, organisation_id, "boss", name="Boss", password_hash="", role=Role.ADMINISTRATOR)


@pytest_asyncio.fixture(params=["command", "rest"])
async def world(request: pytest.FixtureRequest, store_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """The server, administered by one hand or the other."""
    async with dns.serving() as names:
        settings = replace(settings_for(store_url, tmp_path), resolver=names.address, mx_hosts=(HOST,))
        async with running(settings) as server:
            store = server.app.store
            await store.write(_found)
            if request.param == "command":
                call = caller(store_url, tmp_path)
                variables = {
                    "MAILROOM_RESOLVER": names.address,
                    "MAILROOM_MX_HOSTS": HOST,
                    "MAILROOM_HOSTNAME": HOST,
                }
                yield World(server, names, Command(lambda *words, **more: call(*words, **more, env=variables)))
                return
            key = api_keys.new()
            await store.write(lambda tx: api_keys.add(tx, SYSTEM, members.organisation(tx), "walk", key=key))
            base = f"http://127.0.0.1:{server.ports['http']}"
            headers = {"authorization": f"Bearer {key.reveal()}"}
            async with httpx2.AsyncClient(base_url=base, headers=headers, timeout=30, trust_env=False) as client:
                yield World(server, names, Rest(client, store.hints))


async def test_rows_e1_to_e3_a_domain_is_set_up_and_verified(world: World) -> None:
    assert await world.hands.add_domain(DOMAIN) == "pending"
    await world.hands.add_member("amy", f"amy@{DOMAIN}", "amy-password-1")
    with pytest.raises(smtplib.SMTPRecipientsRefused, match=r"550.*not verified"):
        await world.send(f"amy@{DOMAIN}", "too early")
    world.names.put(DOMAIN, "MX", "10 mx.elsewhere.example.", f"20 {HOST}.")
    found = await world.hands.check_domain(DOMAIN)
    assert (found["state"], found["finding"]) == ("verifying", "foreign_mx")
    assert "mx.elsewhere.example" in found["reason"]
    world.names.put(DOMAIN, "MX", f"20 {HOST}.")
    found = await world.hands.check_domain(DOMAIN)
    assert (found["state"], found["finding"]) == ("active", "proven")
    await world.send(f"amy@{DOMAIN}", "in time")
    assert await world.subjects("amy", "amy-password-1") == ["in time"]
    with pytest.raises(Refused, match="name_taken"):
        await world.hands.add_domain(DOMAIN.upper())


async def _ready(world: World) -> None:
    """The domain is active, and ahing, calvin and dora have their mailboxes."""
    world.names.put(DOMAIN, "MX", f"10 {HOST}.")
    await world.hands.add_domain(DOMAIN)
    await world.hands.check_domain(DOMAIN)
    for userid in ("ahing", "calvin", "dora"):
        assert await world.hands.add_member(userid, f"{userid}@{DOMAIN}", f"{userid}-password") == f"{userid}@{DOMAIN}"


async def test_rows_e4_to_e6_personal_and_public_mailboxes(world: World) -> None:
    await _ready(world)
    await world.send(f"calvin@{DOMAIN}", "from a colleague", sender=f"ahing@{DOMAIN}", password="ahing-password")
    assert await world.subjects("calvin", "calvin-password") == ["from a colleague"]

    await world.hands.make_public(f"sales@{DOMAIN}", "Sales", ["ahing", "calvin"])
    await world.send(f"sales@{DOMAIN}", "an order")
    for userid in ("ahing", "calvin"):
        shared = f"Shared/sales@{DOMAIN}/INBOX"
        assert await world.subjects(userid, f"{userid}-password", shared) == ["an order"]
    assert not any("sales" in name for name in await world.folders("dora", "dora-password"))
    with pytest.raises((imaplib.IMAP4.error, smtplib.SMTPAuthenticationError)):
        await world.subjects(f"sales@{DOMAIN}", "ahing-password")  # never by a member's password

    await world.hands.change_users(f"sales@{DOMAIN}", remove="calvin", add="dora")
    assert not any("sales" in name for name in await world.folders("calvin", "calvin-password"))
    assert await world.subjects("dora", "dora-password", f"Shared/sales@{DOMAIN}/INBOX") == ["an order"]

    await world.hands.make_public(f"info@{DOMAIN}", "Info", ["dora"])
    await world.hands.make_public(f"jobs@{DOMAIN}", "Jobs", ["dora"])
    with pytest.raises(Refused, match="public_mailbox_limit"):
        await world.hands.make_public(f"press@{DOMAIN}", "Press", ["dora"])


async def test_row_e7_a_mailbox_goes_by_another_address_and_keeps_everything(world: World) -> None:
    await _ready(world)
    await world.send(f"ahing@{DOMAIN}", "before")
    with pytest.raises(Refused, match="address_taken"):
        await world.hands.rename(f"ahing@{DOMAIN}", f"calvin@{DOMAIN}")
    await world.hands.rename(f"ahing@{DOMAIN}", f"ah.ing@{DOMAIN}")
    await world.send(f"ah.ing@{DOMAIN}", "to the new address")
    await world.send(f"ahing@{DOMAIN}", "to the old address")
    expected = ["before", "to the new address", "to the old address"]
    for user in ("ahing", f"ahing@{DOMAIN}", f"ah.ing@{DOMAIN}"):
        assert await world.subjects(user, "ahing-password") == expected
    with pytest.raises(Refused, match="address_taken"):
        await world.hands.rename(f"calvin@{DOMAIN}", f"ahing@{DOMAIN}")
    await world.hands.rename(f"ah.ing@{DOMAIN}", f"ahing@{DOMAIN}")
    assert "mailbox.rename" in await world.hands.audit()


async def test_rows_e8_and_e9_a_mailbox_is_backed_up_into_others(world: World) -> None:
    await _ready(world)
    await world.send(f"ahing@{DOMAIN}", "history")
    await world.hands.make_public(f"archive@{DOMAIN}", "Archive", ["dora"])
    for target, user in ((f"calvin@{DOMAIN}", "calvin"), (f"archive@{DOMAIN}", "dora")):
        for _ in range(2):  # again: what is new
            await world.hands.back_up(f"ahing@{DOMAIN}", target)
        [inbox] = [
            name
            for name in await world.folders(user, f"{user}-password")
            if f"ahing@{DOMAIN} " in name and name.endswith("/INBOX")
        ]
        assert (await world.subjects(user, f"{user}-password", inbox)).count("history") == 1
        with pytest.raises(Refused, match="target_is_source"):
            await world.hands.back_up(target, target)
    assert (await world.subjects("ahing", "ahing-password")).count("history") == 1


async def test_rows_e10_and_e11_a_mailbox_is_reassigned_and_the_other_waits_in_the_bin(world: World) -> None:
    await _ready(world)
    await world.send(f"ahing@{DOMAIN}", "ahing's history")
    await world.send(f"calvin@{DOMAIN}", "calvin's own")
    assert await world.hands.reassign(f"ahing@{DOMAIN}", "calvin") == f"calvin@{DOMAIN}"
    assert await world.subjects("calvin", "calvin-password") == ["ahing's history"]
    with pytest.raises(imaplib.IMAP4.error):
        await world.subjects("ahing", "ahing-password")
    await world.send(f"ahing@{DOMAIN}", "after")
    assert await world.subjects("calvin", "calvin-password") == ["after", "ahing's history"]
    with pytest.raises(smtplib.SMTPRecipientsRefused, match=r"550.*5\.2\.1"):
        await world.send(f"calvin@{DOMAIN}", "to the bin")
    [entry] = await world.hands.bin()
    assert (entry["address"], entry["source"]) == (f"calvin@{DOMAIN}", "unbound")
    [kept] = await world.server.app.store.read(
        lambda tx: recycle.entries(tx, before=1 << 60, limit=9, source=None, states=(EntryState.WAITING,))
    )
    assert kept.purge_at - kept.entered_at == 30 * DAY
    with pytest.raises(Refused, match="address_taken"):
        await world.hands.rename(f"dora@{DOMAIN}", f"calvin@{DOMAIN}")

    await world.hands.restore(f"calvin@{DOMAIN}", "ahing")
    assert await world.subjects("ahing", "ahing-password") == ["calvin's own"]
    assert await world.hands.bin() == []

    await world.hands.remove_member("ahing")
    [entry] = await world.hands.bin()
    assert (entry["address"], entry["source"]) == (f"calvin@{DOMAIN}", "deleted_member")
    await world.hands.purge(f"calvin@{DOMAIN}")
    assert await world.hands.bin() == []
    await world.hands.rename(f"dora@{DOMAIN}", f"calvin@{DOMAIN}")
    assert await world.subjects("dora", "dora-password") == []  # a freed address shows nothing old
    assert await world.hands.audit()

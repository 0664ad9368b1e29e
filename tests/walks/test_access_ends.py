# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Who may no longer use a mailbox is out of it at once, with all that he has open: IMAP, POP3, submission and the web,
over real connections to the running server, on every store.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from mailroom.core import ids
from mailroom.core.secrets import Secret
from mailroom.directory import clients, credentials, departments, members, tags, users
from mailroom.directory.model import SYSTEM, DomainState, MemberStatus, Service, Users
from mailroom.mailboxes import leave, quota, reassign, recycle
from mailroom.mailboxes.model import MailboxStatus, topic
from mailroom.runtime.serve import Running, running
from mailroom.storage.ports import Tx
from tests import make, talk
from tests.make import Organisation
from tests.talk import PATIENCE, Client
from tests.walks.town import settings_for

PASSWORD = "correct horse"


@dataclass(frozen=True, slots=True)
class Town:
    """The server; bob uses sales@ through himself, info@ through department Sales/East, jobs@ through tag On call."""

    server: Running
    made: Organisation

    async def do(self, work: Callable[[Tx, Organisation], object]) -> None:
        await self.server.app.store.write(lambda tx: work(tx, self.made))

    @contextlib.asynccontextmanager
    async def imap(self, folder: str, user: str = "bob", password: str = PASSWORD) -> AsyncIterator[Client]:
        """A mail program that idles in a folder."""
        async with talk.call(self.server.ports["imap"]) as c:
            await c.expect("[*] OK")
            await c("a STARTTLS")
            await c.expect("a OK")
            await c.start_tls()
            await c(f'b LOGIN {user} "{password}"', f"c SELECT {folder}", "d IDLE")
            while not (await c.reply()).startswith("+"):
                pass
            yield c

    @contextlib.asynccontextmanager
    async def pop3(self, user: str = "bob", password: str = PASSWORD) -> AsyncIterator[Client]:
        async with talk.call(self.server.ports["pop3"]) as c:
            await c.expect("+OK")
            await c("STLS")
            await c.expect("+OK")
            await c.start_tls()
            await c(f"USER {user}", f"PASS {password}")
            await c.expect("+OK", "+OK")
            yield c

    @contextlib.asynccontextmanager
    async def smtp(self) -> AsyncIterator[Client]:
        async with talk.call(self.server.ports["submission"]) as c:
            await c.expect("220")
            await c("EHLO pc.corp.example", "STARTTLS")
            await c.expect("250", "220")
            await c.start_tls()
            proof = base64.b64encode(f"\0bob\0{PASSWORD}".encode()).decode()
            await c("EHLO pc.corp.example", f"AUTH PLAIN {proof}")
            await c.expect("250", "235")
            yield c

    @contextlib.asynccontextmanager
    async def browser(self) -> AsyncIterator[httpx2.AsyncClient]:
        """Bob's, with a session."""
        token = Secret(ids.new())
        bob = self.made.members["bob"].id
        await self.server.app.store.write(lambda tx: credentials.open_session(tx, bob, token))
        base = f"http://127.0.0.1:{self.server.ports['http']}"
        cookies = {"mailroom": token.reveal()}
        async with httpx2.AsyncClient(base_url=base, cookies=cookies, timeout=PATIENCE, trust_env=False) as client:
            yield client

    async def page(self, browser: httpx2.AsyncClient, local: str) -> int:
        """The status of the page that shows the mailbox's inbox."""
        inbox = await self.server.app.store.read(lambda tx: make.folder(tx, self.made.mailboxes[local]))
        return (await browser.get(f"/mail/{inbox.id}", headers={"Accept": "text/html"})).status_code

    @contextlib.asynccontextmanager
    async def stream(self, browser: httpx2.AsyncClient, local: str) -> AsyncIterator[AsyncIterator[str]]:
        """What an open page hears of the mailbox."""
        path = f"/mail/events?mailbox={self.made.mailboxes[local]}&since=older"
        async with browser.stream("GET", path) as answer:
            lines = answer.aiter_lines()
            while await anext(lines) != "event: change":
                pass
            yield lines


def _people(tx: Tx) -> Organisation:
    made = make.organise(
        tx, public={"sales": ["amy", "bob"], "info": ["amy"], "jobs": ["amy"]}, state=DomainState.ACTIVE
    )
    bob = made.members["bob"]
    top = departments.add(tx, SYSTEM, made.id, "Sales")
    east = departments.add(tx, SYSTEM, made.id, "East", parent=top)
    departments.add(tx, SYSTEM, made.id, "Works")
    oncall = tags.add(tx, SYSTEM, made.id, "On call")
    departments.put(tx, SYSTEM, east, [bob])
    tags.put(tx, SYSTEM, oncall, [bob])
    users.change(tx, SYSTEM, made.mailboxes["info"], add=Users((), (top,)))
    users.change(tx, SYSTEM, made.mailboxes["jobs"], add=Users((), (), (oncall,)))
    for local in ("bob", "sales"):
        make.appended(tx, make.folder(tx, made.mailboxes[local]).id)
    return made


@pytest_asyncio.fixture
async def town(store_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with running(settings_for(store_url, tmp_path)) as server:
        made = await server.app.store.write(_people)
        await make.set_password(server.app.logins, "bob", PASSWORD)
        yield Town(server, made)


async def parted(c: Client) -> None:
    """An IMAP session that idles is told, and is over."""
    async with asyncio.timeout(PATIENCE):
        while not (line := await c.reply()).startswith("* BYE"):
            assert line, "the server hung up without a word"
    await c.expect_end()


async def ended(lines: AsyncIterator[str]) -> None:
    """A stream says that it is at an end."""
    async with asyncio.timeout(PATIENCE):
        assert "event: end" in [line async for line in lines]


Loss = Callable[[Tx, Organisation], object]


def _taken_off(tx: Tx, made: Organisation) -> None:
    users.change(tx, SYSTEM, made.mailboxes["sales"], remove=Users((made.members["bob"],)))


# How bob loses sales, info and jobs; each of it in a transaction of its own.
LOSSES: dict[str, dict[str, Loss]] = {
    "he leaves": {
        "sales": _taken_off,
        "info": lambda tx, made: departments.take(tx, SYSTEM, departments.at(tx, "Sales/East"), [made.members["bob"]]),
        "jobs": lambda tx, made: tags.take(tx, SYSTEM, tags.by_name(tx, "On call"), [made.members["bob"]]),
    },
    "they are given to others": {
        "sales": lambda tx, made: users.assign(tx, SYSTEM, made.mailboxes["sales"], members=[made.members["amy"]]),
        "info": lambda tx, made: users.assign(tx, SYSTEM, made.mailboxes["info"], departments=[]),
        "jobs": lambda tx, made: users.assign(tx, SYSTEM, made.mailboxes["jobs"], tags=[]),
    },
    "they close, or his department is moved": {
        "sales": lambda tx, made: quota.change_status(tx, SYSTEM, made.mailboxes["sales"], MailboxStatus.DISABLED),
        "info": lambda tx, _: departments.move(
            tx, SYSTEM, departments.at(tx, "Sales/East"), departments.at(tx, "Works")
        ),
        "jobs": lambda tx, made: recycle.remove(tx, SYSTEM, made.mailboxes["jobs"]),
    },
}


@pytest.mark.parametrize("losses", LOSSES)
async def test_public_mailboxes_that_are_taken_away(town: Town, losses: str) -> None:
    async with town.smtp() as smtp, town.browser() as browser, town.imap("INBOX") as own:
        for local, loss in LOSSES[losses].items():
            await _lose(town, local, loss, smtp=smtp, browser=browser)
        # What is his own goes on.
        await smtp("MAIL FROM:<bob@corp.example>")
        await smtp.expect("250")
        assert await town.page(browser, "bob") == 200
        await own("DONE", 'e LIST "" Shared/*')
        while not (line := await own.reply()).startswith("e OK"):
            assert "@" not in line


async def _lose(town: Town, local: str, loss: Loss, *, smtp: Client, browser: httpx2.AsyncClient) -> None:
    async with town.imap(f"Shared/{local}@corp.example/INBOX") as shared, town.stream(browser, local) as lines:
        await smtp(f"MAIL FROM:<{local}@corp.example>", "RSET")
        await smtp.expect("250", "250")
        assert await town.page(browser, local) == 200
        await town.do(loss)
        await asyncio.gather(parted(shared), ended(lines))
        await smtp(f"MAIL FROM:<{local}@corp.example>")
        await smtp.expect("5")
        assert await town.page(browser, local) == 404


# How all ends that he has.
ENDS: dict[str, Callable[[Tx, Organisation], object]] = {
    "he is removed": lambda tx, _: leave.member(tx, SYSTEM, "bob"),
    "he is disabled": lambda tx, _: members.change_status(tx, SYSTEM, "bob", MemberStatus.DISABLED),
}


@pytest.mark.parametrize("end", ENDS)
async def test_a_member_who_is_shut_out(town: Town, end: str) -> None:
    async with (
        town.imap("Shared/sales@corp.example/INBOX") as shared,
        town.imap("INBOX") as own,
        town.pop3() as pop3,
        town.smtp() as smtp,
        town.browser() as browser,
        town.stream(browser, "sales") as of_sales,
        town.stream(browser, "bob") as of_his_own,
    ):
        assert await town.page(browser, "bob") == 200
        await town.do(ENDS[end])
        await asyncio.gather(parted(shared), parted(own), ended(of_sales), ended(of_his_own))
        await pop3("RETR 1")
        await pop3.expect("-ERR")
        await pop3.expect_end()
        await smtp("MAIL FROM:<bob@corp.example>")
        assert not (await smtp.reply()).startswith("2")
        assert await town.page(browser, "bob") == 303  # to the page where one signs in
        assert (await browser.get("/api/v1/me")).status_code == 401


# How his own mailbox closes, and nothing else.
CLOSINGS: dict[str, Callable[[Tx, Organisation], object]] = {
    "it is disabled": lambda tx, made: quota.change_status(tx, SYSTEM, made.mailboxes["bob"], MailboxStatus.DISABLED),
    "his department is disabled": lambda tx, _: departments.disable(tx, SYSTEM, departments.at(tx, "Sales")),
}


@pytest.mark.parametrize("closing", CLOSINGS)
async def test_an_own_mailbox_that_is_disabled(town: Town, closing: str) -> None:
    async with (
        town.imap("INBOX") as own,
        town.pop3() as pop3,
        town.smtp() as smtp,
        town.browser() as browser,
        town.stream(browser, "bob") as lines,
    ):
        await town.do(CLOSINGS[closing])
        await asyncio.gather(parted(own), ended(lines))
        await pop3("RETR 1")
        await pop3.expect("-ERR")
        await pop3.expect_end()
        await smtp("MAIL FROM:<bob@corp.example>")
        await smtp.expect("5")
        assert await town.page(browser, "bob") == 404
        async with talk.call(town.server.ports["smtp"]) as mx:
            await mx("EHLO mx.out.example", "MAIL FROM:<zoe@out.example>", "RCPT TO:<bob@corp.example>")
            await mx.expect("220", "250", "250", "550")


async def test_a_program_that_was_let_in_just_now(town: Town) -> None:
    """That he might a moment ago opens nothing any more, also to a program that does not idle."""
    hints, bob = town.server.app.store.hints, town.made.mailboxes["bob"]
    async with town.imap("INBOX") as own:
        await own("DONE", "e FETCH 1 UID")
        while not (await own.reply()).startswith("e OK"):
            pass
        with hints.listen(topic(bob)) as ear:
            await town.do(lambda tx, made: reassign.reassign(tx, SYSTEM, bob, made.members["amy"]))
            await ear.wait(PATIENCE)
        await own("f FETCH 1 BODY.PEEK[]")
        assert (await own.reply()).startswith("* BYE")


async def test_a_client_password_of_a_public_mailbox_outlives_its_users(town: Town) -> None:
    """It is nobody's: whoever takes a user off is told, and revokes it."""
    app, sales = town.server.app, town.made.mailboxes["sales"]
    made, shown = await app.client_passwords.create(
        SYSTEM, sales, remark="Office PC", services=(Service.IMAP, Service.POP3)
    )
    address = "sales@corp.example"
    async with (
        town.imap("INBOX", address, shown.reveal()) as direct,
        town.pop3(address, shown.reveal()) as pop3,
    ):
        await town.do(_taken_off)
        await direct("DONE", "e NOOP", "f IDLE")
        while not (await direct.reply()).startswith("+"):
            pass
        await pop3("NOOP")
        await pop3.expect("+OK")
        await app.store.write(lambda tx: clients.revoke(tx, SYSTEM, sales, made.id))
        await parted(direct)
        await pop3("RETR 1")
        await pop3.expect("-ERR")
        await pop3.expect_end()

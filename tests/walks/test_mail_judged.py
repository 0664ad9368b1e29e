# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mail from outside comes in by SMTP, is judged by what the DNS says, and lies where it belongs."""

from __future__ import annotations

import base64
import gzip
import smtplib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from mailroom.core.ids import ContentId
from mailroom.delivery import reports
from mailroom.directory import access, dkim_keys, policies
from mailroom.directory.dkim_keys import KeyState
from mailroom.directory.model import SYSTEM
from mailroom.mailboxes import read
from mailroom.mailboxes.model import FolderRole
from mailroom.messaging import log
from mailroom.storage.ports import Tx
from tests import dns, make
from tests.mime import keys
from tests.mime.test_reports import DMARC
from tests.walks.town import Town, open_town, settings_for


@dataclass(frozen=True, slots=True)
class Place:
    """A town that trusts nobody, and its DNS."""

    town: Town
    dns: dns.Names

    async def decide(self, name: str, value: str) -> None:
        await self.town.app.store.write(partial(policies.change, by=SYSTEM, name=name, value=value))

    async def mails(self, role: FolderRole) -> list[bytes]:
        """Amy's mails in a folder, the oldest first."""
        app = self.town.app

        def listed(tx: Tx) -> list[ContentId]:
            folder = make.folder(tx, access.administrators(tx)[0], role)
            return [one.mail.content_id for one in reversed(read.headlines(tx, folder.id, limit=100))]

        return [await make.octets_of(app.bodies, one) for one in await app.store.read(listed)]


@pytest_asyncio.fixture
async def place(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Place]:
    async with dns.serving() as names:
        names.put("out.example", "TXT", '"v=spf1 ip4:127.0.0.1 -all"')
        names.put("evil.example", "TXT", '"v=spf1 -all"')
        names.put("_dmarc.out.example", "TXT", '"v=DMARC1; p=quarantine"')
        settings = replace(settings_for(sqlite_url, tmp_path), trusted=(), resolver=names.address)
        async with open_town(settings) as town:
            yield Place(town, names)


async def test_a_good_mail_says_what_was_found(place: Place) -> None:
    forged = "Authentication-Results: mx.corp.example; dmarc=pass header.from=bank.example"
    size = 200_000
    for octets in (make.mail(more=[forged]), make.mail(more=[forged], size=size, message_id="")):
        await place.town.send(octets, ["amy@corp.example"], sender="bob@out.example")
    small, large = await place.mails(FolderRole.INBOX)
    assert b"bank.example" not in small + large
    for one in (small, large):
        head, _, _ = one.partition(b"\r\n\r\n")
        assert b"Authentication-Results: mx.corp.example;\r\n\tspf=pass" in head
        assert b"dmarc=pass" in head
    assert large.startswith(b"Message-ID: <")
    body = make.mail(more=[forged], size=size, message_id="").partition(b"\r\n\r\n")[2]
    assert large.endswith(b"\r\n\r\n" + body.removesuffix(b"\r\n") + b"\r\n")


async def test_a_mail_that_from_does_not_stand_behind_is_junk_or_refused(place: Place) -> None:
    await place.town.send(make.mail(), ["amy@corp.example"], sender="x@evil.example")
    assert await place.mails(FolderRole.INBOX) == []
    [junk] = await place.mails(FolderRole.JUNK)
    assert b"dmarc=fail" in junk
    await place.decide("check.dmarc_fail", "refuse")
    with pytest.raises(smtplib.SMTPDataError) as refused:
        await place.town.send(make.mail(), ["amy@corp.example"], sender="x@evil.example")
    assert refused.value.smtp_code == 550
    assert refused.value.smtp_error == b"5.7.1 not accepted: out.example does not stand behind it (DMARC)"


async def test_a_forged_sender_is_not_told_that_it_was_delivered(place: Place) -> None:
    for sender in ("x@unknown.example", "bob@out.example"):
        mail = make.mail(sender=sender)
        await place.town.send(mail, ["amy@corp.example"], sender=sender, notify="SUCCESS")
    assert len(await place.mails(FolderRole.INBOX)) == 2
    leaving = await place.town.app.store.read(lambda tx: log.entries(tx, limit=9))
    assert [one.address for one in leaving] == ["bob@out.example"]


async def test_who_is_unknown_comes_again_and_who_is_listed_does_not(place: Place) -> None:
    await place.decide("check.greylist", "yes")
    with pytest.raises(smtplib.SMTPRecipientsRefused) as later:
        await place.town.send(make.mail(), ["amy@corp.example"])
    assert later.value.recipients["amy@corp.example"][0] == 451
    await place.decide("check.dnsbl", "bl.example")
    place.dns.put("1.0.0.127.bl.example", "A", "127.0.0.2")
    with pytest.raises(smtplib.SMTPRecipientsRefused) as listed:
        await place.town.send(make.mail(), ["amy@corp.example"])
    assert listed.value.recipients["amy@corp.example"] == (
        550,
        b"5.7.1 not accepted: 127.0.0.1 is listed by bl.example",
    )
    with pytest.raises(smtplib.SMTPRecipientsRefused) as nobody:  # before the judge is asked
        await place.town.send(make.mail(), ["nobody@corp.example"])
    assert nobody.value.recipients["nobody@corp.example"][0] == 550


async def test_a_report_is_written_down_once_and_its_mail_kept(place: Place) -> None:
    packed = base64.encodebytes(gzip.compress(DMARC)).replace(b"\n", b"\r\n")
    name = "out!corp.example!1750000000!1750086400.xml.gz"
    attached = ([f"Content-Type: application/gzip; name={name}", "Content-Transfer-Encoding: base64"], packed)
    for _ in range(2):
        octets = make.multipart((["Content-Type: text/plain"], "A report."), attached)
        await place.town.send(octets, ["amy@corp.example"], sender="bob@out.example")
    [kept] = await place.town.app.store.read(lambda tx: reports.kept(tx, "corp.example", limit=9))
    assert (kept.kind, kept.reporter, kept.passed, kept.failed) == ("dmarc", "Out & Co", 7, 2)
    assert len(await place.mails(FolderRole.INBOX)) == 2


async def test_a_key_signs_once_the_dns_shows_it_and_retires(place: Place) -> None:
    app = place.town.app
    resolver = place.dns.resolver

    async def states() -> list[KeyState]:
        return [key.state for key in await app.store.read(lambda tx: dkim_keys.keys(tx, "corp.example"))]

    def publish(*made: dkim_keys.DkimKey) -> None:
        for key in made:
            place.dns.put(key.name, "TXT", keys.txt(key.record))

    first = await app.dkim_keys.ensure("corp.example")
    assert [key.algorithm for key in first] == ["rsa-sha256", "ed25519-sha256"]
    assert await app.dkim_keys.ensure("corp.example") == first
    await app.dkim_keys.advance(resolver)
    assert await states() == [KeyState.NEW, KeyState.NEW]
    mail = make.mail(sender="amy@corp.example")
    header, _ = keys.apart(mail)
    assert await app.signer.sign(header, lambda start, end: mail[start:end], len(header), len(mail)) == b""
    publish(*first)
    await app.dkim_keys.advance(resolver)
    assert await states() == [KeyState.ACTIVE, KeyState.ACTIVE]
    added = await app.signer.sign(header, lambda start, end: mail[start:end], len(header), len(mail))
    assert added.count(b"DKIM-Signature") == 2
    rotated = await app.dkim_keys.rotate("corp.example")
    assert len({key.selector for key in rotated}) == 4
    publish(rotated[2])
    await app.dkim_keys.advance(resolver)
    assert await states() == [KeyState.RETIRED, KeyState.ACTIVE, KeyState.ACTIVE, KeyState.NEW]

    # And what we sign, we believe when it comes back from somewhere else.
    place.dns.put("_dmarc.corp.example", "TXT", '"v=DMARC1; p=reject"')
    await place.town.send(added + mail, ["amy@corp.example"], sender="x@evil.example")
    [inbox] = await place.mails(FolderRole.INBOX)
    assert inbox.count(b"dkim=pass") == 2
    assert b"dmarc=pass" in inbox

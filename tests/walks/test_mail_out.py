# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""From one server of ours to another: found by DNS, in TLS, held back by MTA-STS, tried again, and told of when it
cannot be delivered.
"""

from __future__ import annotations

import asyncio
import os
import smtplib
import ssl
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from mailroom.core import clock
from mailroom.core.clock import MINUTE
from mailroom.delivery import outgoing
from mailroom.messaging.model import Entry
from mailroom.mime import headers
from mailroom.runtime.app import open_app
from mailroom.senders.email.manifest import MANIFEST
from mailroom.storage.engines import open_store
from tests import make
from tests.mime import keys
from tests.senders.peers import peer, says
from tests.senders.smtp_double import HANG, Double, serving
from tests.walks.offices import Office, World, are, there

PASSWORD = "correct horse"
POLICY = "version: STSv1\nmode: enforce\nmx: mx.out.example\nmax_age: 86400\n"


def was_tried(found: Sequence[Entry]) -> bool:
    """The first attempt has failed."""
    return [(one.state.value, bool(one.reason)) for one in found] == [("queued", True)]


async def test_from_one_server_to_the_other_in_tls(world: World, here: Office) -> None:
    async with there(world) as other:
        await here.send("amy", "bob@out.example")
        mail = await other.received("bob")
        assert b"with ESMTPS" in mail
        assert b"from mx.corp.example" in mail
        await here.stand(are("sent"))
        await other.send("bob", "amy@corp.example")
        assert b"with ESMTPS" in await here.received("amy")


def hand_in(port: int) -> None:
    """Amy's mail program signs in and sends."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP("127.0.0.1", port, local_hostname="pc") as program:
        program.starttls(context=trusting)
        program.login("amy@corp.example", PASSWORD)
        octets = make.mail(sender="amy@corp.example", to="bob@out.example")
        program.sendmail("amy@corp.example", ["bob@out.example"], octets)


async def test_signed_mail_goes_only_where_the_policy_says_and_is_believed_there(world: World, here: Office) -> None:
    await make.set_password(here.app.logins, "amy", PASSWORD)
    world.names.put("corp.example", "TXT", '"v=spf1 ip4:127.0.0.1 -all"')
    world.names.put("_dmarc.corp.example", "TXT", '"v=DMARC1; p=reject; adkim=s; aspf=s"')
    for key in await here.app.dkim_keys.ensure("corp.example"):
        world.names.put(key.name, "TXT", keys.txt(key.record))
    await here.app.dkim_keys.advance(world.names.resolver)  # they sign now, since the DNS shows them
    world.names.put("_mta-sts.out.example", "TXT", '"v=STSv1; id=1"')
    world.names.put("mta-sts.out.example", "A", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    world.authority.issue_cert("mta-sts.out.example").configure_cert(context)
    page = f"HTTP/1.1 200 OK\r\nContent-Length: {len(POLICY)}\r\nConnection: close\r\n\r\n{POLICY}".encode()
    async with (
        peer(says(page), tls=context, port=world.sts_port),
        there(world, certified="mx.wrong.example") as other,
    ):
        await asyncio.to_thread(hand_in, here.ports["submission"])
        [entry] = await here.stand(was_tried)
        assert entry.reason.startswith("451 4.7.5")
        assert await other.inbox("bob") == []
        # The policy is known now: not even its host has to be there.
    async with there(world, folder="renewed") as other:
        await here.app.store.write(lambda tx: outgoing.retry(tx, entry.id))
        mail = await other.received("bob")
        await here.stand(are("sent"))
    assert b"with ESMTPS" in mail
    assert mail.count(b"DKIM-Signature: ") == 2
    [folded] = headers.read(mail).all("authentication-results")
    said = b" ".join(folded.split())
    assert said.startswith(b"mx.out.example;")
    assert said.count(b"dkim=pass header.d=corp.example") == 2
    assert b"spf=pass smtp.mailfrom=amy@corp.example" in said
    assert b"dmarc=pass header.from=corp.example" in said


async def test_not_now_is_tried_again(world: World, here: Office) -> None:
    world.names.put("out.example", "MX", "10 mx.out.example.")
    world.names.put("mx.out.example", "A", "127.0.0.2")
    double = Double({"RCPT": ["450 4.2.0 greylisted"]})
    async with serving(double, host="127.0.0.2", port=world.port):
        await here.send("amy", "bob@out.example")
        [entry] = await here.stand(was_tried)
        assert entry.reason.startswith("450 4.2.0 greylisted (mx.out.example [127.0.0.2]")
        assert entry.next_at is not None
        await here.app.store.write(lambda tx: outgoing.retry(tx, entry.id))
        await here.stand(are("sent"))
    assert len(double.mails) == 1


async def test_no_comes_back_to_the_sender(world: World, here: Office) -> None:
    async with there(world) as other:
        await here.send("amy", "nobody@out.example", "bob@out.example")
        report = await here.received("amy")
        assert b"Final-Recipient: rfc822;nobody@out.example" in report
        assert b"Status: 5.1.1" in report
        assert b"Subject: Hello" in report
        assert len(await other.until(partial(other.inbox, "bob"), bool)) == 1
        await here.stand(are("sent", "failed"))
        assert len(await here.inbox("amy")) == 1


async def test_what_comes_back_later_is_a_receipt(world: World, here: Office) -> None:
    async with serving(Double(extensions=()), host="127.0.0.2", port=world.port) as double:
        world.names.put("out.example", "A", "127.0.0.2")
        await here.send("amy", "bob@out.example")
        await here.stand(are("sent"))
    [mail] = double.mails
    about = ("Final-Recipient: rfc822;bob@out.example", "Action: failed", "Status: 5.2.2", "")
    report = make.multipart(
        ([], "It bounced."),
        (
            ["Content-Type: message/delivery-status"],
            "Reporting-MTA: dns; x\r\n\r\n" + "\r\n".join(about),
        ),
        (["Content-Type: text/rfc822-headers"], mail.octets.partition(b"\r\n\r\n")[0] + b"\r\n"),
        kind="report",
    )

    def hand_in() -> None:
        with smtplib.SMTP("127.0.0.1", world.port, local_hostname="out.example") as smtp:
            smtp.sendmail("", ["amy@corp.example"], report)

    await asyncio.to_thread(hand_in)
    [entry] = await here.stand(are("undelivered"))
    assert entry.reason.startswith("5.2.2 mailbox_full")
    assert len(await here.inbox("amy")) == 1


async def test_a_process_that_is_killed_while_it_sends_loses_nothing(world: World, store_url: str) -> None:
    world.names.put("out.example", "A", "127.0.0.2")
    settings = world.settings(store_url, "corp.example", "127.0.0.1")
    double = Double({".": [HANG]})
    async with serving(double, host="127.0.0.2", port=world.port), open_app(settings) as app:
        office = Office(app, await make.organisation(app.store, people=("amy", "bob")), "corp.example")
        await office.send("amy", "bob@out.example", "eve@out.example")
        environment = {
            "MAILROOM_DATA": str(settings.data),
            "MAILROOM_DATABASE": store_url,
            "MAILROOM_HOSTNAME": settings.hostname,
            "MAILROOM_RESOLVER": settings.resolver,
            "MAILROOM_MX_PORT": str(settings.mx_port),
            "MAILROOM_EGRESS__ALLOW": "127.0.0.0/8",
        }
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("mailroom")), "serve", "--only", "worker", env=os.environ | environment
        )
        try:
            await office.stand(lambda found: [one.state.value for one in found].count("sent") == 1)
        finally:
            process.kill()
            await process.wait()
        # A little after the dead one's lease has run out.
        later = MANIFEST.timeout + 2 * MINUTE
        store = open_store(store_url, lambda: clock.now() + later)
        sending = asyncio.create_task(replace(app.dispatch, store=store).run())
        try:
            await office.stand(are("sent", "sent"))
        finally:
            sending.cancel()
            await asyncio.wait([sending])
            await store.close()
    assert len(double.mails) == 2

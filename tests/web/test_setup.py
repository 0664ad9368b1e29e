# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What mail programs and other machines ask for: each set-up file names every way in, and none tells who is here."""

from __future__ import annotations

import plistlib
import re
from dataclasses import replace
from functools import partial
from typing import Any
from xml.etree import ElementTree as ET

import httpx2
import pytest

from mailroom.core.settings import Announce, Listen, Settings
from mailroom.directory import certificates, policies, setup
from mailroom.directory.model import SYSTEM
from mailroom.senders.email import sts
from tests.web.conftest import Office

SETTINGS = Settings(
    hostname="mail.corp.example",
    mx_hosts=("mx1.corp.example", "mx2.corp.example"),
    listen=Listen(imap=":2143", pop3s="[::]:2995", submission="0.0.0.0:2587"),
    announce=Announce(imaps=993, submissions=465),
)
OUTLOOK = "{http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a}"
ASKED = """<?xml version="1.0"?><Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/\
requestschema/2006"><Request><EMailAddress>{}</EMailAddress></Request></Autodiscover>"""


def browser(office: Office, **more: Any) -> httpx2.AsyncClient:
    return replace(office, web=replace(office.web, settings=replace(SETTINGS, **more))).browser()


def test_the_best_way_comes_first_under_the_ports_that_are_announced() -> None:
    found = setup.servers(SETTINGS)
    assert [(one.protocol, one.port, one.tls) for one in found] == [
        ("imap", 993, True),
        ("imap", 2143, False),
        ("pop3", 2995, True),
        ("smtp", 465, True),
        ("smtp", 2587, False),
    ]
    assert {one.host for one in found} == {"mail.corp.example"}


def test_srv_records_say_what_is_offered_and_what_is_not() -> None:
    without = replace(SETTINGS, listen=replace(SETTINGS.listen, pop3s=""))
    assert setup.srv_records("corp.example", without) == [
        ("_imaps._tcp.corp.example", "0 1 993 mail.corp.example."),
        ("_imap._tcp.corp.example", "10 1 2143 mail.corp.example."),
        ("_submissions._tcp.corp.example", "0 1 465 mail.corp.example."),
        ("_submission._tcp.corp.example", "10 1 2587 mail.corp.example."),
        ("_pop3._tcp.corp.example", "0 0 0 ."),
        ("_sieve._tcp.corp.example", "0 0 0 ."),
    ]
    filters = replace(SETTINGS, listen=replace(SETTINGS.listen, managesieve="0.0.0.0:2190"))
    assert setup.srv_records("corp.example", filters)[-1] == (
        "_sieve._tcp.corp.example",
        "10 1 2190 mail.corp.example.",
    )
    assert setup.servers(filters) == setup.servers(SETTINGS)  # no way to a mailbox


@pytest.mark.parametrize(
    ("public_url", "host"),
    [
        ("https://Web.Corp.example:8443/mail", "web.corp.example"),
        ("http://127.0.0.1:8025", "mail.corp.example"),
        ("http://[fe80::1]/", "mail.corp.example"),
        ("http://localhost:8025", "mail.corp.example"),
        ("", "mail.corp.example"),
    ],
)
def test_programs_ask_where_the_web_page_is(public_url: str, host: str) -> None:
    assert setup.web_host(replace(SETTINGS, public_url=public_url)) == host


def test_another_policy_has_another_id() -> None:
    settings = [SETTINGS, replace(SETTINGS, mx_hosts=()), replace(SETTINGS, mx_hosts=("mx1.corp.example",))]
    records = [setup.sts_record(one, mode) for one in settings for mode in ("none", "testing", "enforce")]
    assert len(set(records)) == len(records)
    assert all(re.fullmatch(r"v=STSv1; id=[a-z0-9]{1,32}", one) for one in records)
    assert sts.read_record([records[0]]) == records[0].rpartition("=")[2]
    # RFC 8461 §3.1: the same id stands for the same policy.
    assert setup.sts_record(replace(SETTINGS, public_url="http://x.example"), "none") == records[0]


def test_what_only_this_machine_reaches_is_told_of_only_where_there_is_nothing_else() -> None:
    local = Listen(imap="127.0.0.1:2143", imaps="[::1]:2993", pop3s="localhost:2995")
    trial = setup.servers(replace(SETTINGS, listen=local, announce=Announce()))
    assert [one.port for one in trial] == [2993, 2143, 2995, 2465, 2587]
    behind_a_firewall = setup.servers(replace(SETTINGS, listen=local))
    assert [one.port for one in behind_a_firewall] == [993, 465]


@pytest.mark.parametrize(
    "path",
    [
        "/mail/config-v1.1.xml?emailaddress=amy@corp.example",
        "/.well-known/autoconfig/mail/config-v1.1.xml?emailaddress=Nobody%40CORP.example",
        "http://autoconfig.corp.example/mail/config-v1.1.xml",
    ],
)
async def test_mozilla(office: Office, path: str) -> None:
    answer = await browser(office).get(path)
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    provider = ET.fromstring(answer.content).find("emailProvider")
    assert provider is not None
    assert provider.get("id") == provider.findtext("domain") == "corp.example"
    servers = [
        (one.get("type"), one.findtext("hostname"), one.findtext("port"), one.findtext("socketType"))
        for one in provider
        if one.tag.endswith("Server")
    ]
    assert servers[0] == ("imap", "mail.corp.example", "993", "SSL")
    assert servers[-1] == ("smtp", "mail.corp.example", "2587", "STARTTLS")
    assert {one.text for one in provider.iter("username")} == {"%EMAILADDRESS%"}


@pytest.mark.parametrize("path", ["/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml"])
async def test_microsoft(office: Office, path: str) -> None:
    answer = await browser(office).post(path, content=ASKED.format("amy@corp.example"))
    root = ET.fromstring(answer.content)
    protocols = [
        (one.findtext(f"{OUTLOOK}Type"), one.findtext(f"{OUTLOOK}Port"), one.findtext(f"{OUTLOOK}SSL"))
        for one in root.iter(f"{OUTLOOK}Protocol")
    ]
    assert ("IMAP", "993", "on") in protocols
    assert ("SMTP", "2587", "off") in protocols
    assert {one.text for one in root.iter(f"{OUTLOOK}LoginName")} == {"amy@corp.example"}


async def test_apple(office: Office) -> None:
    answer = await browser(office).get("/setup/apple.mobileconfig?address=amy@corp.example")
    assert answer.headers["content-type"] == "application/x-apple-aspen-config"
    (account,) = plistlib.loads(answer.content)["PayloadContent"]
    assert account["EmailAddress"] == "amy@corp.example"
    assert (account["IncomingMailServerPortNumber"], account["OutgoingMailServerPortNumber"]) == (993, 465)
    assert not any("Password" in name for name in account if name != "OutgoingPasswordSameAsIncomingPassword")
    again = await browser(office).get("/setup/apple.mobileconfig?address=AMY@corp.example")
    assert again.content == answer.content  # the same profile, not a second one


async def test_a_device_without_a_way_in_gets_no_profile(office: Office) -> None:
    off = Listen(imap="", imaps="", pop3s="")
    answer = await browser(office, listen=off).get("/setup/apple.mobileconfig?address=amy@corp.example")
    assert answer.status_code == 404


@pytest.mark.parametrize("address", ["", "amy", "amy@other.example", "a" * 400 + "@corp.example"])
async def test_of_others_and_of_rubbish_nothing_is_said(office: Office, address: str) -> None:
    client = browser(office)
    asked = {"emailaddress": address}
    assert (await client.get("/mail/config-v1.1.xml", params=asked)).status_code == 404
    assert (await client.post("/autodiscover/autodiscover.xml", content=ASKED.format(address))).status_code == 404
    assert (await client.get("/setup/apple.mobileconfig", params={"address": address})).status_code == 404


async def test_whether_there_is_such_a_mailbox_is_not_told(office: Office) -> None:
    client = browser(office)
    answers = [
        await client.get("/mail/config-v1.1.xml", params={"emailaddress": f"{name}@corp.example"})
        for name in ("amy", "nobody")
    ]
    assert answers[0].content == answers[1].content


async def test_a_request_is_small_and_no_xml_is_obeyed(office: Office) -> None:
    client = browser(office)
    path = "/autodiscover/autodiscover.xml"
    assert (await client.post(path, content=b" " * 20_000)).status_code == 413
    entity = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><EMailAddress>&e;@corp.example</EMailAddress>'
    assert (await client.post(path, content=entity)).status_code == 404


async def test_mta_sts_is_published_as_the_administrator_says(office: Office) -> None:
    client = browser(office)
    path = "http://mta-sts.corp.example/.well-known/mta-sts.txt"
    # RFC 8461 §8.3: who remembers another policy learns only from this that it is over.
    assert "\r\nmode: none\r\n" in (await client.get(path)).text
    await office.store.write(partial(policies.change, by=SYSTEM, name="mta_sts", value="enforce"))
    answer = await client.get(path)
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.split("\r\n")
    assert lines[:4] == ["version: STSv1", "mode: enforce", "mx: mx1.corp.example", "mx: mx2.corp.example"]
    assert (await client.get("http://mta-sts.other.example/.well-known/mta-sts.txt")).status_code == 404


async def test_a_challenge_has_its_answer_and_no_other_has(office: Office) -> None:
    await office.store.write(partial(certificates.answers, said={"token-1": "token-1.print"}))
    client = browser(office)
    answer = await client.get("/.well-known/acme-challenge/token-1")
    assert answer.text == "token-1.print"
    assert (await client.get("/.well-known/acme-challenge/token-2")).status_code == 404
    assert (await client.get("/.well-known/acme-challenge/" + "x" * 1000)).status_code == 404

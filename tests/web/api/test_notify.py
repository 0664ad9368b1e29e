# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The notices over REST: settings, log and figures for administrators, and a member's own."""

from __future__ import annotations

import csv
import io

import httpx2
import pytest
import pytest_asyncio
from sqlalchemy import select

from mailroom.core.ids import MailboxId, MemberId, RecipientId
from mailroom.directory import domains, members
from mailroom.directory.model import SYSTEM, DomainState, Role
from mailroom.messaging import send
from mailroom.messaging.model import Draft, Origin
from mailroom.messaging.send import Target
from mailroom.notify import compose, settings
from mailroom.notify.model import Way
from mailroom.sandbox.server import Sandbox
from mailroom.storage import schema
from mailroom.storage.ports import Tx
from tests.senders.examples import sms_gateway
from tests.web.api.conftest import Site
from tests.web.api.test_edge import problem

NUMBER = "+8613900000001"
GATEWAY = {
    "enabled": "yes",
    "mobile_transport": "sms_gateway",
    "sms_gateway.url": "http://127.0.0.1:9/",  # nobody is there
    "sms_gateway.params": "to={mobile}\ntext={content}",
    "sms_gateway.password": "s3cret-of-the-gateway",
    "sms_gateway.success": "regex: ok",
}


@pytest_asyncio.fixture
async def program(site: Site) -> httpx2.AsyncClient:
    """A program of an administrator's, after it has set up an SMS gateway."""
    made = await site.program()
    answer = await made.patch("/api/v1/notify/settings", json={"values": GATEWAY})
    assert answer.status_code == 200, answer.text
    return made


async def notices(site: Site, *of: str, **told: str) -> list[RecipientId]:
    """Notices that have not left, of these mailboxes, each to its owner; they are never due."""

    def work(tx: Tx) -> list[RecipientId]:
        sender = settings.sender(tx, "sms_gateway")
        assert sender is not None
        made: list[RecipientId] = []
        for name in of:
            member = site.made.members.get(name)
            draft = Draft(
                Origin.NOTICE,
                {"use": "notice"},
                trace=f"<{name}@out.example>",
                mailbox_id=MailboxId(site.made.mailboxes[name]),
                member_id=MemberId(member.id) if member else None,
            )
            target = Target(sender.id, NUMBER, suppressed=told.get("reason", "daily_limit"))
            made += send.enqueue(tx, draft, [target]).recipient_ids
        return made

    return await site.app.store.write(work)


async def test_settings_are_shown_without_secrets_and_changed_together(program: httpx2.AsyncClient) -> None:
    said = (await program.get("/api/v1/notify/settings")).json()
    assert said["values"]["sms_gateway.password"] == "***"
    assert said["values"]["max_per_day"] == "10"
    assert said["senders"] == {"notice-sms_gateway": {"state": "working", "reason": ""}}
    assert "s3cret" not in str(said)
    refused = await program.patch("/api/v1/notify/settings", json={"values": {"max_per_day": "3", "wechat_mode": "x"}})
    assert problem(refused) == (400, "invalid_value")
    unknown = await program.patch("/api/v1/notify/settings", json={"values": {"content_sms": "{betreff}"}})
    assert problem(unknown)[1] == "unknown_variable"
    broken = await program.patch("/api/v1/notify/settings", json={"values": {"sms_gateway.url": ""}})
    assert broken.json()["title"].startswith("sms_gateway.url: ")
    said = (await program.patch("/api/v1/notify/settings", json={"values": {"user_scope": "listed"}})).json()
    assert (said["values"]["max_per_day"], len(said["warnings"])) == ("10", 1)


async def test_settings_are_texts_numbers_and_truths_and_go_back_as_they_came(
    site: Site, program: httpx2.AsyncClient
) -> None:
    path = "/api/v1/notify/settings"
    before = (await program.get(path)).json()
    change = {"max_per_day": 3, "enabled": True, "feishu.enabled": False}
    said = (await program.patch(path, json={"values": before["values"] | change})).json()
    assert (said["values"]["max_per_day"], said["values"]["enabled"], said["senders"]) == (
        "3",
        "yes",
        before["senders"],
    )
    sender = await site.app.store.read(lambda tx: settings.sender(tx, "sms_gateway"))
    assert sender is not None
    assert site.app.senders.secrets(sender)["password"].reveal() == GATEWAY["sms_gateway.password"]
    for wrong in (1.5, -1, 1 << 70, None, ["x"]):
        answer = await program.patch(path, json={"values": {"max_per_day": wrong}})
        assert problem(answer) == (400, "invalid_value"), wrong


async def test_a_sample_says_what_the_other_end_said(program: httpx2.AsyncClient) -> None:
    said = (await program.post("/api/v1/notify/test", json={"kind": "sms_gateway", "address": "13900000001"})).json()
    assert (said["sent"], said["outcome"]) == (False, "TryLater")
    for kind, address, code in (
        ("sms_gateway", "12", "invalid_phone"),
        ("webhook", "", "invalid_value"),
        ("email", "amy@corp.example", "invalid_value"),
        ("pigeon", "x", "invalid_value"),
        ("wecom", "amy", "invalid_value"),  # not set up
    ):
        answer = await program.post("/api/v1/notify/test", json={"kind": kind, "address": address})
        assert problem(answer)[1] == code, kind
    nobody = await program.post("/api/v1/notify/test", json={"kind": "sms_gateway"})
    assert nobody.json()["title"] == "address: give a mobile number"
    unset = await program.post("/api/v1/notify/test", json={"kind": "sms_aliyun"})
    assert unset.json()["title"].startswith("sms_gateway.")


async def test_a_sample_says_what_is_behind_a_failure_and_what_to_do(program: httpx2.AsyncClient) -> None:
    sandbox = Sandbox()
    await sandbox.start()
    try:
        account = {"url": f"{sandbox.doubles['sms_gateway'].where}/json", "account": "demo", **sms_gateway.JSON}
        values = {f"sms_gateway.{name}": value for name, value in account.items()}
        assert (await program.patch("/api/v1/notify/settings", json={"values": values})).status_code == 200
        trial = {"kind": "sms_gateway", "address": NUMBER}
        said = (await program.post("/api/v1/notify/test", json=trial)).json()
        assert (said["outcome"], said["why"]) == ("TryLater", "account")
        assert said["advice"].startswith("The account of notice-sms_gateway does not work: see `mailroom notify ")
        password = {"sms_gateway.password": "demo-secret"}
        await program.patch("/api/v1/notify/settings", json={"values": password})
        said = (await program.post("/api/v1/notify/test", json=trial)).json()
        assert (said["outcome"], said["why"], said["advice"]) == ("Sent", "", "")
    finally:
        await sandbox.stop()


async def test_the_log_is_filtered_counted_and_handed_out(site: Site, program: httpx2.AsyncClient) -> None:
    ids = await notices(site, "amy", "bob", "support", reason="=cmd()")
    found = (await program.get("/api/v1/notify/log?limit=2")).json()
    assert [one["id"] for one in found["items"]] == [ids[2], ids[1]]
    rest = (await program.get(f"/api/v1/notify/log?limit=2&cursor={found['next']}")).json()
    assert [(one["id"], one["state"], one["mail"]) for one in rest["items"]] == [
        (ids[0], "suppressed", "<amy@out.example>")
    ]
    for query, count in (
        ("state=suppressed", 3), ("state=sent", 0), ("kind=sms_gateway", 3), ("kind=wecom", 0), ("text=BOB", 1),
        ("since=9000000000000000", 0), ("until=1", 0),
    ):  # fmt: skip  # a table
        assert len((await program.get(f"/api/v1/notify/log?{query}")).json()["items"]) == count, query
    one = (await program.get(f"/api/v1/notify/log/{ids[0]}")).json()
    assert (one["reason"], one["tries"]) == ("=cmd()", [])
    assert problem(await program.get("/api/v1/notify/log/999999"))[1] == "not_found"
    assert problem(await program.post(f"/api/v1/notify/log/{ids[0]}/resend"))[1] == "not_resendable"
    sheet = await program.get("/api/v1/notify/log.csv?text=bob")
    assert sheet.headers["content-type"].startswith("text/csv")
    assert sheet.headers["content-disposition"] == "attachment; filename=notices.csv"
    [row] = csv.DictReader(io.StringIO(sheet.text))
    assert (row["id"], row["address"], row["reason"]) == (str(ids[1]), NUMBER, "'=cmd()")
    [figure] = (await program.get("/api/v1/notify/figures?days=1")).json()["items"]
    assert (figure["kind"], figure["states"]) == ("sms_gateway", {"suppressed": 3})


async def test_only_administrators_read_what_a_provider_said(site: Site, program: httpx2.AsyncClient) -> None:
    bob, words = await site.page("bob"), {"30003 10.0.0.1:80 <html>": "30003", "CMS 500 no": "CMS 500", "<html>": ""}
    for reason, shown in words.items():
        [number] = await notices(site, "bob", reason=reason)
        assert (await program.get(f"/api/v1/notify/log/{number}")).json()["reason"] == reason
        assert (await bob.get("/api/v1/me/notices")).json()["items"][0]["reason"] == shown


@pytest.mark.usefixtures("program")
async def test_who_administers_a_domain_sees_its_mailboxes_and_no_settings(site: Site) -> None:
    ids = list(reversed(await notices(site, "amy", "bob", "support")))

    def work(tx: Tx) -> None:
        here = domains.get(tx, "corp.example")
        other = domains.add(tx, SYSTEM, site.made.id, "other.example", state=DomainState.ACTIVE)
        members.change_role(tx, SYSTEM, "bob", Role.MEMBER, domains=[here])
        members.change_role(tx, SYSTEM, "carol", Role.MEMBER, domains=[other])

    await site.app.store.write(work)
    bob, carol = await site.page("bob"), await site.page("carol")
    assert [one["id"] for one in (await bob.get("/api/v1/notify/log")).json()["items"]] == ids
    assert (await bob.get(f"/api/v1/notify/log/{ids[0]}")).status_code == 200
    assert (await carol.get("/api/v1/notify/log")).json()["items"] == []
    assert (await carol.get("/api/v1/notify/figures")).json()["items"] == []
    for answer in (
        await carol.get(f"/api/v1/notify/log/{ids[0]}"),
        await carol.post(f"/api/v1/notify/log/{ids[0]}/resend"),
    ):
        assert problem(answer)[1] == "not_found"
    nothing = await carol.get("/api/v1/notify/log/999999")
    assert nothing.text == (await carol.get(f"/api/v1/notify/log/{ids[0]}")).text.replace(f" {ids[0]}.", " 999999.")
    assert problem(await bob.get("/api/v1/notify/settings"))[1] == "no_permission"
    assert problem(await bob.patch("/api/v1/notify/settings", json={"values": {}}))[1] == "no_permission"
    assert problem(await bob.post("/api/v1/notify/test", json={"kind": "webhook"}))[1] == "no_permission"
    await site.app.store.write(lambda tx: members.change_role(tx, SYSTEM, "carol", Role.MEMBER))
    for path in ("log", "log.csv", f"log/{ids[0]}", "figures"):
        assert problem(await carol.get(f"/api/v1/notify/{path}"))[1] == "no_permission", path


async def test_a_member_links_a_number_chooses_and_sees_what_is_his(site: Site, program: httpx2.AsyncClient) -> None:
    bob = await site.page("bob")
    assert problem(await program.get("/api/v1/me/notify"))[1] == "not_found"  # a program has no phone
    mine = (await bob.get("/api/v1/me/notify")).json()
    assert (mine["permitted"], mine["links"], mine["sms_most"]) == (True, [], 10)
    assert mine["offered"] == {way.value: way is Way.SMS for way in Way}
    assert problem(await bob.post("/api/v1/me/notify/code", json={"number": "12"}))[1] == "invalid_phone"
    assert (await bob.post("/api/v1/me/notify/code", json={"number": "13900000001"})).status_code == 204
    again = await bob.post("/api/v1/me/notify/code", json={"number": "13900000001"})
    assert problem(again) == (429, "too_many_codes")
    assert 0 < int(again.headers["retry-after"]) <= 60
    assert problem(await bob.post("/api/v1/me/notify/prove", json={"code": "x"}))[1] == "wrong_code"
    [[scene]] = await site.app.store.read(lambda tx: tx.all(select(schema.link_tickets.c.scene)))
    code = compose.code(site.app.seal.derive(compose.CODES), scene, NUMBER)
    proven = (await bob.post("/api/v1/me/notify/prove", json={"code": code})).json()
    assert (proven["way"], proven["address"], proven["state"]) == ("sms", NUMBER, "valid")

    [own] = (await bob.get("/api/v1/me/notify")).json()["preferences"]
    path = f"/api/v1/me/notify/{own['mailbox']}"
    chosen = {"on": {"sms": True}, "only_from": ["*@Boss.example"], "quiet": "22:00-7:30"}
    now = (await bob.patch(path, json=chosen)).json()
    assert (now["on"]["sms"], now["only_from"], now["quiet"]) == (True, ["*@boss.example"], "22:00-07:30")
    now = (await bob.patch(path, json={"on": {"sms": False}})).json()
    assert (now["on"]["sms"], now["only_from"], now["quiet"]) == (False, ["*@boss.example"], "22:00-07:30")
    assert problem(await bob.patch(path, json={"on": {"wecom": True}}))[1] == "not_linked"
    assert problem(await bob.patch(path, json={"quiet": "soon"}))[1] == "invalid_value"
    amys = site.made.mailboxes["amy"]
    assert problem(await bob.patch(f"/api/v1/me/notify/{amys}", json={}))[1] == "not_found"

    tried = (await bob.post("/api/v1/me/notify/test/sms")).json()
    [test, sent_code] = (await bob.get("/api/v1/me/notices")).json()["items"]
    assert (test["id"], test["origin"], sent_code["origin"]) == (tried["id"], "test", "code")
    carol = await site.page("carol")
    assert (await carol.get("/api/v1/me/notices")).json()["items"] == []
    assert problem(await carol.post("/api/v1/me/notify/test/pigeon"))[1] == "invalid_value"

    assert (await bob.delete("/api/v1/me/notify/links/sms")).status_code == 204
    assert problem(await bob.delete("/api/v1/me/notify/links/sms"))[1] == "not_found"

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Each resource, from making a thing to its end, as a program sees it."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import httpx2

from mailroom.core.secrets import Secret
from mailroom.directory.model import Service
from mailroom.mailboxes import read
from mailroom.mailboxes.model import FolderRole
from tests import make
from tests.web.api.conftest import Site
from tests.web.api.test_edge import problem

API = "/api/v1"


async def made(answer: httpx2.Response, status: int = 201) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_a_domain_is_added_proven_switched_off_and_removed(site: Site) -> None:
    program = await site.program()
    answer = await program.post(f"{API}/domains", json={"name": "New.Example"})
    domain = await made(answer)
    assert (domain["name"], domain["state"], domain["checked"]) == ("new.example", "pending", None)
    place = answer.headers["location"]
    assert place == f"{API}/domains/new.example"
    wanted = (await program.get(f"{place}/records")).json()["items"]
    assert wanted[0] | {"verdict": None, "found": []} == {
        "purpose": "mx",
        "type": "MX",
        "name": "new.example",
        "value": "10 mx.corp.example.",
        "verdict": None,
        "found": [],
    }
    site.names.put("new.example", "MX", "10 mx.elsewhere.example.")
    looked = await made(await program.post(f"{place}/check"), 200)
    assert (looked["state"], looked["finding"], looked["mx"]) == ("verifying", "foreign_mx", ["mx.elsewhere.example"])
    assert "mx.elsewhere.example" in looked["reason"]
    site.names.put("new.example", "MX", "10 mx.corp.example.")
    looked = await made(await program.post(f"{place}/check", headers={"idempotency-key": "k"}), 200)
    assert (looked["state"], looked["finding"]) == ("active", "proven")
    assert await made(await program.post(f"{place}/check", headers={"idempotency-key": "k"}), 200) == looked
    assert (await program.get(f"{place}/records")).json()["items"][0]["verdict"] == "good"
    assert (await made(await program.post(f"{place}/disable"), 200))["state"] == "disabled"
    assert (await made(await program.post(f"{place}/enable"), 200))["state"] == "verifying"
    assert (await program.delete(place)).status_code == 204
    assert problem(await program.get(place)) == (404, "not_found")
    assert problem(await program.delete(f"{API}/domains/corp.example")) == (409, "in_use")


async def test_a_member_comes_changes_and_goes(site: Site) -> None:
    program = await site.program()
    answer = await program.post(f"{API}/members", json={"userid": "dora", "name": "Dora", "password": "long enough"})
    member = await made(answer)
    assert member == {
        "userid": "dora",
        "name": "Dora",
        "status": "active",
        "role": "member",
        "mailbox": "dora@corp.example",
        "domains": [],
        "departments": [],
        "tags": [],
        "mailboxes": ["dora@corp.example"],
    }
    place = answer.headers["location"]
    assert (await program.get(place)).json() == member
    logins = site.app.logins
    await logins.by_password("dora", Secret("long enough"), service=Service.IMAP, peer="::1")
    assert (await program.put(f"{place}/password", json={"password": "longer still"})).status_code == 204
    await logins.by_password("dora", Secret("longer still"), service=Service.IMAP, peer="::1")
    changed = await made(await program.patch(place, json={"name": "Dora Li", "domains": ["corp.example"]}), 200)
    assert (changed["name"], changed["domains"]) == ("Dora Li", ["corp.example"])
    changed = await made(await program.patch(place, json={"role": "administrator"}), 200)
    assert (changed["role"], changed["domains"]) == ("administrator", [])
    assert (await made(await program.patch(place, json={"role": "member"}), 200))["role"] == "member"
    assert (await made(await program.post(f"{place}/disable"), 200))["status"] == "disabled"
    assert (await made(await program.post(f"{place}/enable"), 200))["status"] == "active"
    assert [one["userid"] for one in (await program.get(f"{API}/members?search=dora")).json()["items"]] == ["dora"]
    assert (await program.delete(place)).status_code == 204
    assert problem(await program.get(place)) == (404, "not_found")
    [entry] = (await program.get(f"{API}/bin")).json()["items"]
    assert (entry["address"], entry["source"], entry["userid"]) == ("dora@corp.example", "deleted_member", "dora")
    short = {"userid": "eve", "name": "Eve", "password": "short"}
    assert problem(await program.post(f"{API}/members", json=short)) == (400, "invalid_value")
    assert problem(await program.post(f"{API}/members", json={"userid": "amy", "name": "A"})) == (409, "name_taken")


async def test_somebody_leaves(site: Site) -> None:
    program = await site.program()
    inbox = site.made.mailboxes["bob"]
    await site.app.store.write(lambda tx: make.appended(tx, make.folder(tx, inbox).id))
    place = f"{API}/members/bob/offboard"
    plan = await made(await program.post(place, json={"backup_into": "support@corp.example", "dry_run": True}), 200)
    assert [one["step"] for one in plan["steps"]] == ["disable", "backup", "remove"]
    assert plan["steps"][2]["purged_after"].endswith("Z")
    assert (await program.get(f"{API}/members/bob")).json()["status"] == "active"
    answer = await program.post(place, json={"backup_into": "support@corp.example"})
    assert answer.headers["location"] == f"{API}/jobs/{answer.json()['id']}"
    assert answer.status_code == 202
    job = await site.done(program, answer.headers["location"])
    assert (job["state"], job["kind"]) == ("done", "offboard"), job
    assert problem(await program.get(f"{API}/members/bob")) == (404, "not_found")
    assert [one["address"] for one in (await program.get(f"{API}/bin")).json()["items"]] == ["bob@corp.example"]


async def test_departments_and_tags(site: Site) -> None:
    program = await site.program()
    sales = await made(await program.post(f"{API}/departments", json={"name": "Sales"}))
    east = await made(await program.post(f"{API}/departments", json={"name": "East", "parent": sales["id"]}))
    assert (east["path"], east["parent"], east["disabled"]) == ("Sales/East", sales["id"], False)
    place = f"{API}/departments/{east['id']}"
    assert (await program.put(f"{place}/members/bob")).status_code == 204
    assert (await program.get(place)).json() == east | {"members": ["bob"]}
    assert (await made(await program.patch(place, json={"name": "West", "parent": 0}), 200))["path"] == "West"
    assert [one["path"] for one in (await program.get(f"{API}/departments")).json()["items"]] == ["Sales", "West"]
    assert (await made(await program.post(f"{place}/disable"), 200))["disabled"]
    assert (await program.get(f"{API}/mailboxes/bob@corp.example")).json()["status"] == "department_disabled"
    assert not (await made(await program.post(f"{place}/enable"), 200))["disabled"]
    assert problem(await program.delete(place)) == (409, "in_use")
    assert (await program.delete(f"{place}/members/bob")).status_code == 204
    assert (await program.delete(place)).status_code == 204
    tag = await made(await program.post(f"{API}/tags", json={"name": "Press"}))
    place = f"{API}/tags/{tag['id']}"
    assert (await program.put(f"{place}/members/carol")).status_code == 204
    assert (await made(await program.patch(place, json={"name": "Media"}), 200)) == {
        "id": tag["id"],
        "name": "Media",
        "members": ["carol"],
    }
    assert (await program.delete(f"{place}/members/carol")).status_code == 204
    assert problem(await program.delete(f"{place}/members/carol")) == (404, "not_found")
    assert (await program.get(f"{API}/tags")).json()["items"] == [{"id": tag["id"], "name": "Media"}]
    assert (await program.delete(place)).status_code == 204


async def test_a_public_mailbox_and_its_users(site: Site) -> None:
    program = await site.program()
    answer = await program.post(
        f"{API}/mailboxes", json={"address": "sales@corp.example", "name": "Sales", "members": ["bob"]}
    )
    mailbox = await made(answer)
    assert (mailbox["kind"], mailbox["users"]) == ("public", {"members": ["bob"], "departments": [], "tags": []})
    place = answer.headers["location"]
    tag = await made(await program.post(f"{API}/tags", json={"name": "Press"}))
    changed = await made(await program.patch(f"{place}/users", json={"members": [], "tags": [tag["id"]]}), 200)
    assert changed["users"] == {"members": [], "departments": [], "tags": [tag["id"]]}
    assert problem(await program.patch(f"{place}/users", json={"tags": []})) == (400, "invalid_value")
    changed = await made(await program.patch(place, json={"name": "销售", "quota": 1000000}), 200)
    assert (changed["name"], changed["quota"]) == ("销售", 1000000)
    await made(await program.post(f"{place}/aliases", json={"address": "sale@corp.example"}), 200)
    renamed = await made(await program.post(f"{place}/rename", json={"address": "market@corp.example"}), 200)
    assert (renamed["address"], renamed["aliases"], renamed["former"]) == (
        "market@corp.example",
        ["sale@corp.example"],
        ["sales@corp.example"],
    )
    place = f"{API}/mailboxes/market@corp.example"
    assert (await program.delete(f"{place}/aliases/sales@corp.example")).status_code == 204
    assert problem(await program.delete(f"{place}/aliases/sales@corp.example")) == (404, "not_found")
    assert (await made(await program.post(f"{place}/disable"), 200))["status"] == "disabled"
    assert (await made(await program.post(f"{place}/enable"), 200))["status"] == "active"
    only = [one["address"] for one in (await program.get(f"{API}/mailboxes?kind=public")).json()["items"]]
    assert only == ["support@corp.example", "market@corp.example"]
    entry = await made(await program.delete(place), 200)
    assert (entry["source"], entry["state"]) == ("recycled_public", "waiting")
    taken = await program.post(f"{place}/rename", json={"address": "x@corp.example"})
    assert problem(taken)[0] == 404


async def test_its_users_see_who_sent_what_from_a_public_mailbox_and_nobody_else(site: Site) -> None:
    sent = site.made.mailboxes["support"]
    await site.app.store.write(lambda tx: make.appended(tx, make.folder(tx, sent, FolderRole.SENT).id))
    place = f"{API}/mailboxes/support@corp.example/sent"
    amy = await site.page("amy")
    part = (await amy.get(f"{place}?limit=1")).json()
    assert [(one["subject"], one["userid"]) for one in part["items"]] == [("Hello", "")]
    assert (await amy.get(f"{place}?limit=1&cursor={part['next']}")).json() == {"items": [], "next": None}
    assert problem(await (await site.page("bob")).get(place)) == (404, "not_found")
    assert problem(await (await site.program()).get(place)) == (403, "no_permission")


async def test_mailboxes_are_renamed_together_or_not_at_all(site: Site) -> None:
    program = await site.program()
    lines = [{"address": "amy@corp.example", "new": "amelia"}, {"address": "bob@corp.example", "new": "carol"}]
    told = await made(await program.post(f"{API}/mailboxes/renames", json={"lines": lines}), 200)
    assert (told["done"], [one["code"] for one in told["lines"]]) == (False, [None, "address_taken"])
    told = await made(await program.post(f"{API}/mailboxes/renames", json={"lines": lines[:1], "dry_run": True}), 200)
    assert told == {
        "done": False,
        "lines": [{"address": "amy@corp.example", "new": "amelia@corp.example", "code": None, "title": None}],
    }
    assert (await program.get(f"{API}/members/amy")).json()["mailbox"] == "amy@corp.example"
    assert (await made(await program.post(f"{API}/mailboxes/renames", json={"lines": lines[:1]}), 200))["done"]
    assert (await program.get(f"{API}/members/amy")).json()["mailbox"] == "amelia@corp.example"


async def test_a_mailbox_changes_hands_and_lies_in_the_bin_until_it_is_purged(site: Site) -> None:
    program = await site.program()
    told = await made(await program.post(f"{API}/mailboxes/bob@corp.example/reassign", json={"userid": "carol"}), 200)
    assert (told["owner"], told["displaced"]["address"]) == ("carol", "carol@corp.example")
    waiting = await made(await program.get(f"{API}/bin/carol@corp.example"), 200)
    assert (waiting["source"], waiting["userid"]) == ("unbound", "carol")
    assert problem(await program.get(f"{API}/bin/bob@corp.example")) == (409, "not_in_bin")
    restored = await program.post(f"{API}/bin/carol@corp.example/restore", json={"userid": "bob"})
    assert await made(restored, 200) == {"displaced": None}
    assert (await program.get(f"{API}/members/bob")).json()["mailbox"] == "carol@corp.example"
    public = {"members": ["amy"], "name": "Old mail"}
    told = await made(await program.post(f"{API}/mailboxes/carol@corp.example/to-public", json=public), 200)
    assert (told["kind"], told["name"], told["owner"]) == ("public", "Old mail", None)
    assert (await program.delete(f"{API}/mailboxes/carol@corp.example")).status_code == 200
    place = f"{API}/bin/carol@corp.example/purge"
    assert problem(await program.post(place, json={"confirm": "bob@corp.example"})) == (400, "invalid_value")
    answer = await program.post(place, json={"confirm": "carol@corp.example"})
    assert answer.status_code == 202
    assert (await site.done(program, answer.headers["location"]))["state"] == "done"
    listed = (await program.get(f"{API}/bin?source=recycled_public")).json()["items"]
    assert [(one["address"], one["state"]) for one in listed] == [("carol@corp.example", "expired")]


async def test_mails_are_copied_into_another_mailbox_and_to_a_file(site: Site) -> None:
    program = await site.program()
    inbox = site.made.mailboxes["bob"]
    await site.app.store.write(lambda tx: make.appended(tx, make.folder(tx, inbox).id))
    answer = await program.post(f"{API}/mailboxes/bob@corp.example/backups", json={"into": "support@corp.example"})
    assert answer.status_code == 202
    job = await site.done(program, answer.headers["location"])
    assert (job["state"], job["result"]["copied"]) == ("done", 1)
    support = await site.app.store.read(lambda tx: read.folders(tx, site.made.mailboxes["support"]))
    assert any(one.name.startswith("bob@corp.example ") and one.mails for one in support)
    assert problem(await program.post(f"{API}/jobs/{job['id']}/cancel")) == (409, "not_running")
    itself = await program.post(f"{API}/mailboxes/bob@corp.example/backups", json={"into": "bob@corp.example"})
    assert problem(itself) == (409, "target_is_source")
    answer = await program.post(f"{API}/mailboxes/bob@corp.example/exports", json={})
    place = answer.headers["location"]
    assert (await site.done(program, place))["state"] == "done"
    file = await program.get(f"{place}/file")
    assert file.headers["content-disposition"] == "attachment; filename*=utf-8''bob%40corp.example.zip"
    assert any(name.endswith("Hello.eml") for name in zipfile.ZipFile(io.BytesIO(file.content)).namelist())
    assert problem(await program.get(f"{API}/jobs/{job['id']}/file")) == (404, "not_found")
    jobs = (await program.get(f"{API}/jobs?limit=1")).json()
    assert [one["kind"] for one in jobs["items"]] == ["export"]
    rest = (await program.get(f"{API}/jobs?cursor={jobs['next']}")).json()
    assert [one["kind"] for one in rest["items"]] == ["backup"]
    bob = await site.page("bob")
    actions = [one["action"] for one in (await bob.get(f"{API}/me/accesses")).json()["items"]]
    assert actions[:2] == ["mailbox.export", "mailbox.backup"]
    assert problem(await bob.get(place)) == (403, "no_permission")
    assert problem(await bob.get(f"{place}/file")) == (403, "no_permission")


async def test_groups(site: Site) -> None:
    program = await site.program()
    group = {"address": "all@corp.example", "name": "All", "members": ["amy@corp.example", "zoe@out.example"]}
    answer = await program.post(f"{API}/groups", json=group)
    assert await made(answer) == group | {"allow": "organisation", "senders": []}
    place = answer.headers["location"]
    more = await made(await program.post(f"{place}/members", json={"members": ["bob@corp.example"]}), 200)
    assert more["members"] == ["amy@corp.example", "bob@corp.example", "zoe@out.example"]
    assert (await program.delete(f"{place}/members/zoe@out.example")).status_code == 204
    changed = await made(
        await program.patch(place, json={"name": "Us", "allow": "custom", "senders": ["amy@corp.example"]}), 200
    )
    assert (changed["name"], changed["allow"], changed["senders"]) == ("Us", "custom", ["amy@corp.example"])
    changed = await made(await program.patch(place, json={"members": ["carol@corp.example"]}), 200)
    assert (changed["members"], changed["senders"]) == (["carol@corp.example"], ["amy@corp.example"])
    assert [one["name"] for one in (await program.get(f"{API}/groups?search=us")).json()["items"]] == ["Us"]
    assert (await program.delete(place)).status_code == 204
    assert problem(await program.get(place)) == (404, "not_found")


async def test_client_passwords_of_public_mailboxes_and_of_ones_own(site: Site) -> None:
    program, bob = await site.program(), await site.page("bob")
    place = f"{API}/mailboxes/support@corp.example/passwords"
    shown = await made(await program.post(place, json={"remark": "CRM"}, headers={"idempotency-key": "p"}))
    assert await made(await program.post(place, json={"remark": "CRM"}, headers={"idempotency-key": "p"})) == shown
    password = Secret(shown["password"])
    await site.app.logins.by_password("support@corp.example", password, service=Service.IMAP, peer="::1")
    assert [one["remark"] for one in (await program.get(place)).json()["items"]] == ["CRM"]
    assert (await program.delete(f"{place}/{shown['id']}")).status_code == 204
    others = await program.post(f"{API}/mailboxes/bob@corp.example/passwords", json={"remark": "x"})
    assert problem(others) == (403, "no_permission")
    own = await made(await bob.post(f"{API}/me/passwords", json={"remark": "Phone", "services": ["imap"]}))
    assert own["services"] == ["imap"]
    assert len((await program.get(f"{API}/mailboxes/bob@corp.example/passwords")).json()["items"]) == 1
    assert (await bob.delete(f"{API}/me/passwords/{own['id']}")).status_code == 204
    assert problem(await program.get(f"{API}/me/passwords")) == (404, "not_found")


async def test_keys_and_the_audit_log(site: Site) -> None:
    amy = await site.page("amy")
    made_ = await made(await amy.post(f"{API}/keys", json={"name": "crm", "domains": ["corp.example"]}))
    program = site.client(authorization=f"Bearer {made_['key']}")
    me = (await program.get(f"{API}/me")).json()
    assert (me["kind"], me["governs_all"], me["domains"]) == ("key", False, ["corp.example"])
    assert problem(await program.post(f"{API}/keys", json={"name": "more"})) == (403, "no_permission")
    assert (await program.post(f"{API}/mailboxes/bob@corp.example/disable")).status_code == 200
    [entry] = (await amy.get(f"{API}/audit?action=mailbox.disable")).json()["items"]
    assert (entry["actor"], entry["subject"]) == ("key:crm", "bob@corp.example")
    assert (await amy.delete(f"{API}/keys/{made_['id']}")).status_code == 204
    assert problem(await program.get(f"{API}/me")) == (401, "wrong_key")
    assert (await amy.get(f"{API}/keys/{made_['id']}")).json()["revoked"]
    first = (await amy.get(f"{API}/audit?limit=1")).json()
    assert first["items"][0]["action"] == "key.revoke"
    assert (await amy.get(f"{API}/audit?limit=1&cursor={first['next']}")).json()["items"][0]["id"] < first["items"][0][
        "id"
    ]

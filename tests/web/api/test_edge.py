# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What holds for every operation: who may ask, what is no request, what is sent again, and what other sites may not."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from mailroom.directory import api_keys, audit, dkim_keys, domains
from mailroom.directory.model import SYSTEM
from mailroom.storage.ports import Tx
from mailroom.web.api.catalogue import OPERATIONS
from tests.web.api.conftest import Site

TAG = {"name": "Press"}


def problem(answer: Any) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert said["status"] == answer.status_code
    assert said["title"]
    return answer.status_code, said["code"]


async def test_nobody_asks_without_a_key_or_a_session(site: Site) -> None:
    stranger = site.client()
    for operation in OPERATIONS:
        path = operation.path.replace("{", "").replace("}", "")
        answer = await stranger.request(operation.method, f"/api/v1{path}")
        assert problem(answer) == (401, "not_signed_in"), operation.name
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_plain_member_manages_nothing_but_learns_who_he_is(site: Site) -> None:
    bob = await site.page("bob")
    for path in ("domains/corp.example", "members", "members/amy", "mailboxes", "mailboxes/amy@corp.example", "bin"):
        assert problem(await bob.get(f"/api/v1/{path}"))[1] == "no_permission", path
    for path in ("departments", "tags", "keys", "jobs", "audit"):
        assert problem(await bob.get(f"/api/v1/{path}"))[1] == "no_permission", path
    assert problem(await bob.get("/api/v1/domains/corp.example/records"))[1] == "no_permission"
    assert not await site.app.store.read(lambda tx: dkim_keys.keys(tx, "corp.example"))  # nor are any made
    assert problem(await bob.post("/api/v1/tags", json=TAG)) == (403, "no_permission")
    assert (await bob.get("/api/v1/domains")).json() == {"items": [], "next": None}
    assert (await bob.get("/api/v1/groups")).json() == {"items": [], "next": None}
    me = (await bob.get("/api/v1/me")).json()
    assert me == {
        "kind": "member",
        "name": "bob",
        "governs_all": False,
        "domains": [],
        "mailboxes": ["bob@corp.example"],
    }


async def test_a_wrong_key_is_refused_and_made_to_wait_and_a_right_one_is_not(site: Site) -> None:
    right = await site.program()
    wrong = site.client(authorization="Bearer mr_wrong")
    codes = [problem(await wrong.get("/api/v1/me")) for _ in range(8)]
    assert codes[0] == (401, "wrong_key")
    assert codes[-1] == (429, "too_many_attempts")
    assert int((await wrong.get("/api/v1/me")).headers["retry-after"]) > 0
    assert (await right.get("/api/v1/me")).json()["name"] == "crm"


async def test_a_key_that_is_revoked_does_nothing_any_more(site: Site) -> None:
    program = await site.program()
    assert (await program.get("/api/v1/me")).status_code == 200

    def work(tx: Tx) -> None:
        [key] = api_keys.every(tx)
        assert key.last_used_at is not None
        api_keys.revoke(tx, SYSTEM, key.id)

    await site.app.store.write(work)
    assert problem(await program.get("/api/v1/me")) == (401, "wrong_key")


async def test_a_key_is_not_told_what_another_of_its_name_was(site: Site) -> None:
    same, place = {"idempotency-key": "4711"}, "/api/v1/mailboxes/support@corp.example/passwords"
    shown = await (await site.program()).post(place, json={"remark": "CRM"}, headers=same)
    assert shown.status_code == 201

    def work(tx: Tx) -> Any:
        api_keys.revoke(tx, SYSTEM, api_keys.every(tx)[0].id)
        return domains.add(tx, SYSTEM, site.made.id, "other.example")

    other = await site.app.store.write(work)
    answer = await (await site.program("crm", other)).post(place, json={"remark": "CRM"}, headers=same)
    assert problem(answer) == (403, "no_permission")


async def test_a_key_of_one_domain_reaches_no_other(site: Site) -> None:
    def work(tx: Tx) -> Any:
        return domains.add(tx, SYSTEM, site.made.id, "other.example")

    other = await site.app.store.write(work)
    program = await site.program("other", other)
    assert [one["name"] for one in (await program.get("/api/v1/domains")).json()["items"]] == ["other.example"]
    assert problem(await program.get("/api/v1/domains/corp.example"))[1] == "no_permission"
    assert (await program.get("/api/v1/members")).json()["items"] == []
    assert (await program.get("/api/v1/mailboxes")).json()["items"] == []
    assert problem(await program.post("/api/v1/mailboxes/amy@corp.example/disable"))[1] == "no_permission"
    assert problem(await program.post("/api/v1/tags", json=TAG))[1] == "no_permission"


JSON = "application/json"
WRONG: tuple[tuple[str, bytes, str, tuple[int, str]], ...] = (
    ("tags", b"{", JSON, (400, "invalid_value")),
    ("tags", b"[]", JSON, (400, "invalid_value")),
    ("tags", b"{}", JSON, (400, "invalid_value")),
    ("tags", b"", JSON, (400, "invalid_value")),
    ("tags", b'{"name": 1}', JSON, (400, "invalid_value")),
    ("tags", b'{"name": "A", "other": 1}', JSON, (400, "invalid_value")),
    ("tags", b'{"name": "A\\u0000"}', JSON, (400, "invalid_value")),
    ("tags", b'{"name": "\xff"}', JSON, (400, "invalid_value")),
    ("tags", b'{"name": "\\ud800"}', JSON, (400, "invalid_value")),
    ("tags", b"[" * 100_000, JSON, (400, "invalid_value")),
    ("tags", b"name=A", "application/x-www-form-urlencoded", (415, "wrong_media_type")),
    ("tags", b'{"name": "A"}', "", (415, "wrong_media_type")),
    ("tags", b'{"name": "A"}', "text/plain", (415, "wrong_media_type")),
    ("tags", b" " * (1024 * 1024 + 1), JSON, (413, "too_large")),
    ("departments", b'{"name": "A", "parent": 1180591620717411303424}', JSON, (400, "invalid_value")),
    ("departments", b'{"name": "A", "parent": 4711}', JSON, (404, "not_found")),
    ("domains/corp.example/disable", b'{"name": "A"}', JSON, (400, "invalid_value")),
    ("domains/a%00b/disable", b"", JSON, (404, "not_found")),
    ("departments/99999999999999999999/disable", b"", JSON, (404, "not_found")),
    ("nothing", b"", JSON, (404, "not_found")),
    ("me", b"", JSON, (405, "wrong_method")),
)


async def test_what_is_no_request_is_refused(site: Site) -> None:
    program = await site.program()
    for path, octets, kind, said in WRONG:
        answer = await program.post(f"/api/v1/{path}", content=octets, headers={"content-type": kind} if kind else {})
        assert problem(answer) == said, (path, octets[:50])


async def test_a_query_is_looked_at_as_well(site: Site) -> None:
    program = await site.program()
    for query in ("limit=0", "limit=201", "limit=x", "cursor=%00", "cursor=*", "cursor=_w", "cursor=%C3%A9", "other=1"):
        for path in ("groups", "jobs"):
            code = problem(await program.get(f"/api/v1/{path}?{query}"))
            assert code in {(400, "invalid_value"), (404, "not_found")}, (path, query)


async def test_what_is_sent_again_is_done_once(site: Site) -> None:
    program = await site.program()
    same = {"idempotency-key": "4711"}
    first = await program.post("/api/v1/tags", json=TAG, headers=same)
    again = await program.post("/api/v1/tags", json=TAG, headers=same)
    assert (first.status_code, first.text) == (again.status_code, again.text) == (201, first.text)
    assert again.headers["location"] == first.headers["location"] == f"/api/v1/tags/{first.json()['id']}"
    assert problem(await program.post("/api/v1/tags", json=TAG)) == (409, "name_taken")
    other = await program.post("/api/v1/tags", json={"name": "Other"}, headers=same)
    assert problem(other) == (422, "idempotency_key_reused")
    other = await program.post("/api/v1/departments", json=TAG, headers=same)
    assert problem(other) == (422, "idempotency_key_reused")
    assert (await (await site.program("another")).post("/api/v1/tags", json=TAG, headers=same)).status_code == 409
    assert problem(await program.post("/api/v1/tags", json=TAG, headers={"idempotency-key": "x" * 256}))[0] == 400


async def test_of_many_at_once_one_is_done_and_all_are_told_the_same(site: Site) -> None:
    program = await site.program()
    sent = [
        program.post(
            "/api/v1/members", json={"userid": "dora", "name": "Dora", "password": "long enough"}, headers=same
        )
        for same in [{"idempotency-key": "once"}] * 6
    ]
    answers = await asyncio.gather(*sent)
    assert {(one.status_code, one.text) for one in answers} == {(201, answers[0].text)}
    found = await site.app.store.read(lambda tx: audit.entries(tx, before=1 << 60, limit=100, action="member.add"))
    assert [one.subject for one in found] == ["dora"]


async def test_what_was_refused_may_be_sent_again(site: Site) -> None:
    program = await site.program()
    same = {"idempotency-key": "later"}
    group = {"address": "all@new.example", "name": "All", "members": ["amy@corp.example"]}
    assert problem(await program.post("/api/v1/groups", json=group, headers=same))[0] == 404
    assert (await program.post("/api/v1/domains", json={"name": "new.example"})).status_code == 201
    assert (await program.post("/api/v1/groups", json=group, headers=same)).status_code == 201


async def test_an_answer_that_shows_a_secret_is_kept_sealed(site: Site) -> None:
    page = await site.page("amy")
    same = {"idempotency-key": "secret"}
    first = (await page.post("/api/v1/keys", json={"name": "crm"}, headers=same)).json()
    assert (await page.post("/api/v1/keys", json={"name": "crm"}, headers=same)).json() == first
    assert (await site.client(authorization=f"Bearer {first['key']}").get("/api/v1/me")).json()["name"] == "crm"
    listed = (await page.get("/api/v1/keys")).json()["items"]
    assert [one["name"] for one in listed] == ["crm"]
    assert "key" not in listed[0]
    assert (await page.get(f"/api/v1/keys/{first['id']}")).json() == listed[0]


@pytest.mark.parametrize(
    "said", [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "https://evil.example"}]
)
async def test_another_site_changes_nothing_in_a_session(site: Site, said: dict[str, str]) -> None:
    page = await site.page("amy")
    del page.headers["sec-fetch-site"]
    assert problem(await page.post("/api/v1/tags", json=TAG, headers=said)) == (403, "cross_site")
    assert (await page.post("/api/v1/tags", json=TAG)).status_code == 201
    key = await site.key()
    answer = await page.post("/api/v1/tags", json={"name": "B"}, headers={**said, "authorization": f"Bearer {key}"})
    assert answer.status_code == 201


async def test_a_wrong_key_is_not_helped_by_a_session(site: Site) -> None:
    page = await site.page("amy")
    answer = await page.get("/api/v1/me", headers={"authorization": "Bearer mr_wrong"})
    assert problem(answer) == (401, "wrong_key")
    answer = await page.post("/sign-out", headers={"authorization": "Bearer x", "sec-fetch-site": "cross-site"})
    assert answer.status_code == 403


async def test_a_list_comes_in_parts(site: Site) -> None:
    program = await site.program()
    for number in range(7):
        assert (await program.post("/api/v1/tags", json={"name": f"t{number}"})).status_code == 201
    for path, name, whole in (
        ("tags", "name", [f"t{number}" for number in range(7)]),
        ("members", "userid", ["amy", "bob", "carol"]),
        ("mailboxes", "address", ["amy", "bob", "carol", "support"]),
    ):
        got: list[str] = []
        query = "limit=2"
        while query:
            part = (await program.get(f"/api/v1/{path}?{query}")).json()
            assert len(part["items"]) <= 2
            got += [one[name].partition("@")[0] for one in part["items"]]
            query = f"limit=2&cursor={part['next']}" if part["next"] else ""
        assert got == whole


async def test_the_description_names_every_operation_and_every_shape(site: Site) -> None:
    described = (await site.client().get("/api/openapi.json")).json()
    assert described["openapi"].startswith("3.1")
    for operation in OPERATIONS:
        one = described["paths"][f"/api/v1{operation.path}"][operation.method.lower()]
        assert one["summary"].endswith(".")
        assert one["operationId"] == operation.name
    references = set(json.dumps(described).split('"#/components/schemas/')[1:])
    assert {text.partition('"')[0] for text in references} <= set(described["components"]["schemas"])
    names = [operation.name for operation in OPERATIONS]
    assert len(names) == len(set(names))

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The interface of WeCom Exmail: its tokens, its field names, its numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mailroom.core.errors import Kind
from mailroom.core.secrets import Secret
from mailroom.directory import api_keys, departments, domains, members, policies, tags
from mailroom.directory.model import SYSTEM, Service
from mailroom.storage.ports import Tx
from mailroom.web.exmail import edge
from mailroom.web.exmail.calls import CALLS
from tests import make
from tests.web.exmail.conftest import Program


def code(said: Any) -> int:
    number = said["errcode"]
    assert isinstance(number, int)
    return number


async def sales(program: Program, **fields: Any) -> int:
    """A public mailbox more."""
    named = {"email": "sales@corp.example", "name": "Sales", "userid_list": {"list": ["amy", "bob"]}, **fields}
    made: int = (await program.done("publicmail/create", **named))["id"]
    return made


async def unit(program: Program) -> tuple[int, int]:
    """A department with bob in it, and a tag that carol bears."""

    def work(tx: Tx) -> tuple[int, int]:
        east = departments.add(tx, SYSTEM, program.site.made.id, "East")
        press = tags.add(tx, SYSTEM, program.site.made.id, "Press")
        departments.put(tx, SYSTEM, east, [members.get(tx, "bob")])
        tags.put(tx, SYSTEM, press, [members.get(tx, "carol")])
        return east.id, press.id

    return await program.site.app.store.write(work)


def test_every_kind_of_refusal_has_a_number() -> None:
    assert set(edge.BY_KIND) == set(Kind)


async def test_a_token_is_needed_and_ends_with_its_key(program: Program) -> None:
    for one in CALLS:
        assert code(await replace(program, token="").call(one.path)) == 41001, one.path
    assert code(await replace(program, token="mr_wrong").call("publicmail/search")) == 40014
    assert (await program.get("publicmail/search", fuzzy=0))["errcode"] == 0

    def revoke(tx: Tx) -> None:
        api_keys.revoke(tx, SYSTEM, api_keys.every(tx)[0].id)

    await program.site.app.store.write(revoke)
    assert code(await program.get("publicmail/search", fuzzy=0)) == 40014


async def test_what_gettoken_refuses(program: Program) -> None:
    async def ask(**fields: str) -> int:
        answer = await program.client.post("/cgi-bin/gettoken", params=fields)
        assert answer.status_code == 200
        return code(answer.json())

    assert await ask(corpsecret="x") == 41002
    assert await ask(corpid="x") == 41004
    assert await ask(corpid="x", corpsecret="mr_wrong") == 40001
    lone = await program.client.post("/cgi-bin/gettoken", content=b'{"corpid": "x", "corpsecret": "\\ud800"}')
    assert lone.json()["errcode"] == 40001
    codes = [await ask(corpid="x", corpsecret="mr_wrong") for _ in range(8)]
    assert codes[-1] == 45009


async def test_what_is_no_call(program: Program) -> None:
    assert code(await program.call("app/compose_send")) == 48002
    for sent in (b"{", b"[]", b"\xff", b"[" * 100_000):
        answer = await program.client.post(f"/cgi-bin/exmail/group/get?access_token={program.token}", content=sent)
        assert (answer.status_code, code(answer.json())) == (200, 47001)
    answer = await program.client.post("/cgi-bin/exmail/group/get", content=b" " * (1 << 21))
    assert (answer.status_code, code(answer.json())) == (200, 45002)


async def test_a_public_mailbox_from_its_making_to_the_bin(program: Program) -> None:
    east, press = await unit(program)
    which = await sales(program, department_list={"list": [east]}, tag_list={"list": [press]})
    shown = {
        "id": which,
        "email": "sales@corp.example",
        "name": "Sales",
        "userid_list": {"list": ["amy", "bob"]},
        "department_list": {"list": [east]},
        "tag_list": {"list": [press]},
        "alias_list": {"list": []},
    }
    assert (await program.done("publicmail/get", id_list=[which]))["list"] == [shown]
    await program.done("publicmail/update", id=which, name="销售", userid_list={"list": []})
    await program.done(
        "publicmail/update", id=which, alias_list={"list": ["a.sale@corp.example", "b.sale@corp.example"]}
    )
    await program.done(
        "publicmail/update", id=which, alias_list={"list": ["b.sale@corp.example", "c.sale@corp.example"]}
    )
    await program.done("publicmail/update", id=which, email="market@corp.example")
    [got] = (await program.done("publicmail/get", id_list=[which]))["list"]
    assert got["name"] == "销售"
    assert got["email"] == "market@corp.example"
    assert got["userid_list"] == {"list": []}
    assert got["department_list"] == {"list": [east]}
    assert got["alias_list"] == {"list": ["b.sale@corp.example", "c.sale@corp.example", "sales@corp.example"]}
    found = await program.get("publicmail/search", fuzzy=1, email="MARKET")
    assert found["list"] == [{"id": which, "email": "market@corp.example", "name": "销售"}]
    assert [one["name"] for one in (await program.get("publicmail/search", fuzzy="1", email="销"))["list"]] == ["销售"]
    assert len((await program.get("publicmail/search", fuzzy=0, email="none"))["list"]) == 2
    await program.done("publicmail/update", id=which, alias_list={"list": []})
    assert (await program.done("publicmail/get", id_list=[which]))["list"][0]["alias_list"] == {"list": []}
    await program.done("publicmail/delete", id=which)
    assert code(await program.call("publicmail/get", id_list=[which])) == 40058
    said = await program.call("publicmail/create", email="market@corp.example", name="X", userid_list={"list": ["amy"]})
    assert (said["errcode"], said["by"]) == (60101, "recycled")


async def test_a_client_password_is_shown_once_and_opens_the_mailbox(program: Program) -> None:
    made = await program.done(
        "publicmail/create",
        email="sales@corp.example",
        name="Sales",
        userid_list={"list": ["amy"]},
        create_auth_code=1,
        auth_code_info={"remark": "CRM"},
    )
    again = await program.done("publicmail/update", id=made["id"], create_auth_code=1)
    logins = program.site.app.logins
    for one in (made, again):
        signed_in = await logins.by_password(
            "sales@corp.example", Secret(one["auth_code"]), service=Service.IMAP, peer="::1"
        )
        assert signed_in.address == "sales@corp.example"
    listed = (await program.done("publicmail/get_auth_code_list", id=made["id"]))["auth_code_list"]
    assert [(one["auth_code_id"], one["remark"]) for one in listed] == [
        (made["auth_code_id"], "CRM"),
        (again["auth_code_id"], "办公PC"),
    ]
    assert all(set(one) == {"auth_code_id", "create_time", "last_use_time", "remark"} for one in listed)
    assert listed[0]["last_use_time"] >= listed[0]["create_time"] > 1_700_000_000
    await program.done("publicmail/delete_auth_code", id=made["id"], auth_code_id=made["auth_code_id"])
    assert len((await program.done("publicmail/get_auth_code_list", id=made["id"]))["auth_code_list"]) == 1
    said = await program.call("publicmail/delete_auth_code", id=made["id"], auth_code_id=made["auth_code_id"])
    assert code(said) == 40058


_REFUSED: tuple[tuple[dict[str, Any], int], ...] = (
    ({"email": "amy@corp.example"}, 60101),
    ({"email": "sales@nowhere.example"}, 40058),
    ({"email": "nobody"}, 40058),
    ({"email": None}, 40058),
    ({"name": "Support"}, 40058),
    ({"name": ""}, 40058),
    ({"name": "x" * 65}, 40058),
    ({"name": "大" * 33}, 40058),
    ({"userid_list": {"list": []}}, 40058),
    ({"userid_list": {"list": ["zoe"]}}, 60111),
    ({"userid_list": ["amy"]}, 40058),
    ({"userid_list": {"list": ["\0"]}}, 40058),
    ({"department_list": {"list": [4711]}}, 60003),
    ({"tag_list": {"list": [4711]}}, 40068),
    ({"tag_list": {"list": [1 << 70]}}, 40058),
    ({"create_auth_code": 2}, 40058),
    ({"create_auth_code": 1, "auth_code_info": {"remark": "大" * 43}}, 40058),
)


async def test_what_create_refuses(program: Program) -> None:
    for fields, number in _REFUSED:
        named = {"email": "sales@corp.example", "name": "Sales", "userid_list": {"list": ["amy"]}, **fields}
        assert code(await program.call("publicmail/create", **named)) == number, fields
    assert len((await program.get("publicmail/search", fuzzy=0))["list"]) == 1
    await sales(program, name="大" * 32)


async def test_the_fourth_public_mailbox_is_refused(program: Program) -> None:
    for number in range(2):
        await sales(program, email=f"p{number}@corp.example", name=f"P{number}")
    said = await program.call("publicmail/create", email="p@corp.example", name="P", userid_list={"list": ["amy"]})
    assert (said["errcode"], said["errmsg"]) == (60103, "The limit of public mailboxes (3) is reached.")


async def test_what_update_refuses_changes_nothing(program: Program) -> None:
    which = await sales(program)
    await program.done("publicmail/update", id=which, alias_list={"list": [f"alias{n}@corp.example" for n in range(5)]})
    before = (await program.done("publicmail/get", id_list=[which]))["list"]
    wrong: tuple[dict[str, Any], ...] = (
        {"alias_list": {"list": [f"alias{n}@corp.example" for n in range(6)]}},
        {"alias_list": {"list": ["a@b.c"]}},
        {"alias_list": {"list": ["x" * 53 + "@corp.example"]}},
        {"userid_list": {"list": []}},
        {"name": "Other", "email": "x@nowhere.example"},
        {"name": "Support"},
    )
    for fields in wrong:
        assert code(await program.call("publicmail/update", id=which, **fields)) == 40058, fields
    assert code(await program.call("publicmail/update", id=which, name="N", email="amy@corp.example")) == 60101
    assert (await program.done("publicmail/get", id_list=[which]))["list"] == before
    for number in (4711, program.site.made.mailboxes["amy"]):
        assert code(await program.call("publicmail/update", id=number, name="X")) == 40058
    for _ in range(10):
        await program.done("publicmail/update", id=which, create_auth_code=1)
    assert code(await program.call("publicmail/update", id=which, create_auth_code=1)) == 40058


async def test_a_group_from_its_making_to_its_end(program: Program) -> None:
    east, press = await unit(program)
    await program.done(
        "group/create", groupid="team@corp.example", groupname="Team", email_list={"list": ["a@out.example"]}
    )
    await program.done(
        "group/create",
        groupid="all@corp.example",
        groupname="All",
        email_list={"list": ["amy@corp.example", "zoe@out.example"]},
        group_list={"list": ["team@corp.example"]},
        department_list={"list": [east]},
        tag_list={"list": [press]},
        allow_type=3,
        allow_emaillist={"list": ["amy@corp.example"]},
        allow_departmentlist={"list": [east]},
        allow_taglist={"list": [press]},
    )
    shown = {
        "errcode": 0,
        "errmsg": "ok",
        "groupid": "all@corp.example",
        "groupname": "All",
        "email_list": {"list": ["amy@corp.example", "zoe@out.example"]},
        "group_list": {"list": ["team@corp.example"]},
        "department_list": {"list": [east]},
        "tag_list": {"list": [press]},
        "allow_type": 3,
        "allow_emaillist": {"list": ["amy@corp.example"]},
        "allow_departmentlist": {"list": [east]},
        "allow_taglist": {"list": [press]},
    }
    assert await program.get("group/get", groupid="all@corp.example") == shown
    await program.done(
        "group/update", groupid="all@corp.example", groupname="大家", email_list={"list": ["bob@corp.example"]}
    )
    got = await program.get("group/get", groupid="all@corp.example")
    assert got == {**shown, "groupname": "大家", "email_list": {"list": ["bob@corp.example"]}}
    await program.done("group/update", groupid="all@corp.example", allow_taglist={"list": []}, tag_list={"list": []})
    await program.done("group/update", groupid="all@corp.example", allow_type=1)
    got = await program.get("group/get", groupid="all@corp.example")
    assert (got["allow_type"], got["allow_emaillist"], got["tag_list"]) == (1, {"list": []}, {"list": []})
    found = await program.get("group/search", fuzzy=1, groupid="ALL")
    assert (found["count"], found["groups"]) == (1, [{"groupid": "all@corp.example", "groupname": "大家"}])
    assert (await program.get("group/search", fuzzy=0))["count"] == 2
    await program.done("group/delete", groupid="all@corp.example")
    assert code(await program.get("group/get", groupid="all@corp.example")) == 40058


_NO_GROUPS: tuple[tuple[dict[str, Any], int], ...] = (
    ({"groupid": "amy@corp.example"}, 60101),
    ({"groupid": "x"}, 40058),
    ({"groupname": "大" * 67}, 40058),
    ({"email_list": {"list": []}}, 40058),
    ({"email_list": None}, 40058),
    ({"department_list": {"list": [4711]}}, 60003),
    ({"allow_type": 4}, 40058),
    ({"allow_type": 3}, 40058),
    ({"allow_type": 1, "allow_emaillist": {"list": ["amy@corp.example"]}}, 40058),
)


async def test_what_group_create_refuses(program: Program) -> None:
    for fields, number in _NO_GROUPS:
        named = {"groupid": "all@corp.example", "groupname": "All", "email_list": {"list": ["a@out.example"]}, **fields}
        assert code(await program.call("group/create", **named)) == number, fields
    assert (await program.get("group/search", fuzzy=0))["count"] == 0


async def test_mailboxes_are_switched_off_and_on(program: Program) -> None:
    which = await sales(program)

    async def status(name: str) -> str:
        answer = await (await program.site.program(name)).get(f"/api/v1/mailboxes/{name}@corp.example")
        return str(answer.json()["status"])

    await program.done("account/act_email", userid="bob", type=2)
    await program.done("account/act_email", publicemail_id=which, type=2)
    assert (await status("bob"), await status("sales")) == ("disabled", "disabled")
    await program.done("account/act_email", userid="bob", type=1)
    await program.done("account/act_email", publicemail_id=which, type=1)
    assert code(await program.call("account/act_email", userid="amy", type=2)) == 60108
    assert code(await program.call("account/act_email", userid="zoe", type=2)) == 60111
    assert code(await program.call("account/act_email", type=2)) == 40058
    assert code(await program.call("account/act_email", userid="bob", type=3)) == 40058


async def test_options_and_what_is_unread(program: Program) -> None:
    options = (await program.done("useroption/get", userid="bob", type=[1, 2]))["option"]["list"]
    assert options == [{"type": 1, "value": "0"}, {"type": 2, "value": "1"}]
    await program.done("useroption/update", userid="bob", option={"list": [{"type": 2, "value": "1"}]})
    said = await program.call("useroption/update", userid="bob", option={"list": [{"type": 2, "value": "0"}]})
    assert code(said) == 48002
    await program.site.app.store.write(lambda tx: policies.change(tx, SYSTEM, "own_password", "no"))
    assert (await program.done("useroption/get", userid="bob", type=[4]))["option"]["list"][0]["value"] == "1"
    assert (await program.done("mail/get_newcount", userid="bob"))["count"] == 0
    inbox = program.site.made.mailboxes["bob"]
    await program.site.app.store.write(lambda tx: make.appended(tx, make.folder(tx, inbox).id))
    assert (await program.done("mail/get_newcount", userid="bob"))["count"] == 1


async def test_a_key_of_another_domain_reaches_nothing(program: Program) -> None:
    which = await sales(program)
    other = await program.site.app.store.write(
        lambda tx: domains.add(tx, SYSTEM, program.site.made.id, "other.example")
    )
    key = await program.site.key("other", other)
    answer = await program.client.get("/cgi-bin/gettoken", params={"corpid": "x", "corpsecret": key})
    stranger = replace(program, token=answer.json()["access_token"])
    assert (await stranger.get("publicmail/search", fuzzy=0))["list"] == []
    assert code(await stranger.call("publicmail/delete", id=which)) == 60109
    assert code(await stranger.call("account/act_email", userid="bob", type=2)) == 60109
    assert code(await stranger.call("mail/get_newcount", userid="bob")) == 60109
    group = {"groupid": "all@corp.example", "groupname": "All", "email_list": {"list": ["a@out.example"]}}
    assert code(await stranger.call("group/create", **group)) == 60109

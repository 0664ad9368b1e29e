# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Members, departments, tags, public mailboxes and keys, from the command line."""

from __future__ import annotations

from typing import Any

from tests.cli.conftest import Mailroom


def begin(mailroom: Mailroom) -> None:
    """corp.example with amy, who founded it, and bob."""
    done(mailroom, "init", "--domain", "corp.example", "--admin", "amy", "--password-stdin", stdin="long enough\n")
    done(mailroom, "member", "add", "bob", "--name", "Bob")


def done(mailroom: Mailroom, *words: str, stdin: str = "") -> str:
    said = mailroom(*words, stdin=stdin)
    assert said.status == 0, said.err
    return said.out


def shown(mailroom: Mailroom, *words: str) -> Any:
    said = mailroom(*words, "--json")
    assert said.status == 0, said.err
    return said.json


def refused(mailroom: Mailroom, *words: str) -> str:
    """The code of the refusal."""
    said = mailroom(*words)
    assert said.status == 1, said
    return said.err.partition(":")[0]


def test_a_member_from_his_coming_to_his_going(mailroom: Mailroom) -> None:
    begin(mailroom)
    done(mailroom, "mailbox", "alias", "add", "amy@corp.example", "carol@corp.example")
    carol = shown(mailroom, "member", "add", "carol", "--name", "Carol")
    assert carol == {
        "userid": "carol",
        "name": "Carol",
        "status": "active",
        "role": "member",
        "mailbox": "carol1@corp.example",
        "mailbox_status": "active",
    }
    done(mailroom, "member", "rename", "carol", "王小明")
    done(mailroom, "member", "role", "carol", "member", "--domain", "corp.example")
    found = shown(mailroom, "member", "show", "carol")
    assert (found["name"], found["domains"], found["uses"]) == ("王小明", ["corp.example"], ["carol1@corp.example"])
    assert refused(mailroom, "member", "role", "carol", "administrator", "--domain", "corp.example") == "invalid_value"
    for words in (("disable", "amy"), ("remove", "amy"), ("role", "amy", "member")):
        assert refused(mailroom, "member", *words) == "cannot_disable"
    gone = shown(mailroom, "member", "remove", "carol")
    assert gone["mailbox"] == "carol1@corp.example"
    assert gone["purge"].endswith("Z")
    assert [one["userid"] for one in shown(mailroom, "member", "list")] == ["amy", "bob"]
    assert refused(mailroom, "member", "show", "carol") == "not_found"
    log = shown(mailroom, "audit", "list")
    assert {"member.add", "member.rename", "member.role", "member.remove"} <= {one["action"] for one in log}
    assert all(one["actor"].startswith("operator:") for one in log)


def test_departments_and_tags(mailroom: Mailroom) -> None:
    begin(mailroom)
    for path in ("Sales", "Sales/East", "Works"):
        done(mailroom, "department", "add", path)
    assert refused(mailroom, "department", "add", "None/East") == "not_found"
    done(mailroom, "department", "members", "add", "Sales/East", "bob")
    done(mailroom, "department", "rename", "Sales/East", "Ost")
    done(mailroom, "department", "move", "Sales/Ost", "--into", "Works")
    assert [(one["path"], one["members"], one["disabled"]) for one in shown(mailroom, "department", "list")] == [
        ("Sales", [], False),
        ("Works", [], False),
        ("Works/Ost", ["bob"], False),
    ]
    done(mailroom, "department", "disable", "Works")
    assert [one["address"] for one in shown(mailroom, "mailbox", "list", "--disabled")] == ["bob@corp.example"]
    assert shown(mailroom, "member", "show", "bob")["mailbox_status"] == "department_disabled"
    done(mailroom, "department", "enable", "Works")
    assert shown(mailroom, "mailbox", "list", "--disabled") == []
    done(mailroom, "department", "members", "add", "Works", "amy")
    assert refused(mailroom, "department", "disable", "Works") == "cannot_disable"
    assert refused(mailroom, "department", "remove", "Works") == "in_use"
    done(mailroom, "department", "members", "remove", "Works/Ost", "bob")
    done(mailroom, "department", "move", "Works/Ost")
    done(mailroom, "department", "remove", "Ost")

    done(mailroom, "tag", "add", "On call")
    done(mailroom, "tag", "members", "add", "On call", "bob", "amy")
    done(mailroom, "tag", "rename", "On call", "Duty")
    done(mailroom, "tag", "members", "remove", "Duty", "amy")
    [tag] = shown(mailroom, "tag", "list")
    assert (tag["name"], tag["members"]) == ("Duty", ["bob"])
    assert shown(mailroom, "member", "show", "bob")["tags"] == ["Duty"]
    done(mailroom, "tag", "remove", "Duty")


def test_a_public_mailbox_and_whom_it_is_given_to(mailroom: Mailroom) -> None:
    begin(mailroom)
    done(mailroom, "department", "add", "Sales")
    done(mailroom, "department", "members", "add", "Sales", "bob")
    done(mailroom, "tag", "add", "Duty")
    create = ("mailbox", "create-public", "sales@corp.example", "--name", "Sales")
    assert refused(mailroom, *create) == "invalid_value"
    done(mailroom, *create, "--department", "Sales", "--tag", "Duty")
    found = shown(mailroom, "mailbox", "show", "sales@corp.example")
    assert (found["members"], found["departments"], found["tags"], found["users"]) == ([], ["Sales"], ["Duty"], ["bob"])
    change = ("mailbox", "users", "sales@corp.example")
    given = shown(mailroom, *change, "--add-user", "amy", "--remove-tag", "Duty")
    assert given == {"members": ["amy"], "departments": ["Sales"], "tags": []}
    assert refused(mailroom, *change, "--remove-user", "bob") == "not_found"
    assert refused(mailroom, *change, "--remove-user", "amy", "--remove-department", "Sales") == "invalid_value"
    done(mailroom, "mailbox", "password", "add", "sales@corp.example", "--remark", "Office PC")
    warned = mailroom(*change, "--remove-user", "amy")
    assert "1 client passwords" in warned.err
    done(mailroom, "mailbox", "name", "sales@corp.example", "销售")
    assert shown(mailroom, "mailbox", "list")[-1]["name"] == "销售"
    assert shown(mailroom, "mailbox", "sent", "sales@corp.example") == []
    for number in (1, 2):
        more = ("mailbox", "create-public", f"more{number}@corp.example", "--name", f"More {number}", "--user", "amy")
        done(mailroom, *more)
    fourth = ("mailbox", "create-public", "fourth@corp.example", "--name", "Fourth", "--user", "amy")
    assert refused(mailroom, *fourth) == "public_mailbox_limit"
    done(mailroom, "policy", "set", "mailbox.public_most", "4")
    done(mailroom, *fourth)
    assert refused(mailroom, "mailbox", "create", "b2@corp.example", "--owner", "bob") == "member_has_mailbox"


def test_keys(mailroom: Mailroom) -> None:
    begin(mailroom)
    made = shown(mailroom, "key", "add", "Payroll")
    limited = shown(mailroom, "key", "add", "Shop", "--domain", "corp.example")
    assert (made["domains"], limited["domains"]) == (None, ["corp.example"])
    assert made["key"].startswith("mr_")
    listed = done(mailroom, "key", "list")
    assert "Payroll" in listed
    assert made["key"] not in listed
    done(mailroom, "key", "revoke", str(made["id"]))
    assert refused(mailroom, "key", "revoke", str(made["id"])) == "not_found"
    assert [one["revoked"] is None for one in shown(mailroom, "key", "list")] == [False, True]

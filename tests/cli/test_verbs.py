# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What each verb does, prints and refuses."""

from __future__ import annotations

import pytest

from mailroom.cli import verb
from tests.cli.conftest import Mailroom


def test_from_nothing_to_a_public_mailbox(mailroom_on_each: Mailroom) -> None:
    mailroom = mailroom_on_each
    said = mailroom("member", "add", "amy", "--name", "Amy")
    assert (said.status, said.err.split(":")[0]) == (1, "not_found")

    records = mailroom(
        "init", "--domain", "Corp.Example.", "--admin", "boss", "--password-stdin", "--json", stdin="a long password\n"
    )
    assert records.status == 0
    assert {record["type"] for record in records.json} >= {"MX", "TXT", "SRV"}
    assert all(record["name"].endswith("corp.example") for record in records.json)

    assert mailroom("member", "add", "amy", "--name", "Amy 李", "--json").json["mailbox"] == "amy@corp.example"
    taken = mailroom("member", "add", "amy", "--name", "Another")
    assert (taken.status, taken.out) == (1, "")
    assert taken.err == "name_taken: The member amy is there already.\n"

    made = mailroom("mailbox", "create-public", "sales@corp.example", "--name", "Sales", "--user", "amy", "--json")
    assert made.json["kind"] == "public"
    assert mailroom("mailbox", "alias", "add", "sales@corp.example", "info@corp.example").status == 0
    assert mailroom("mailbox", "alias", "add", "sales@corp.example", "AMY@corp.example").err.startswith(
        "address_taken:"
    )
    shown = mailroom("mailbox", "show", "info@corp.example", "--json").json
    assert (shown["address"], shown["aliases"], shown["users"]) == (
        "sales@corp.example",
        ["info@corp.example"],
        ["amy"],
    )
    assert [folder["name"] for folder in shown["folders"]] == ["INBOX", "Drafts", "Sent", "Junk", "Trash"]
    assert mailroom("member", "show", "amy", "--json").json["uses"] == ["amy@corp.example", "sales@corp.example"]


def test_settings_of_notices_are_shown_changed_and_refused(mailroom: Mailroom) -> None:
    assert mailroom("notify", "settings", "set", "push_secret", "a-secret").status == 0
    assert mailroom("notify", "settings", "set", "push_format", "yaml").status == 1
    refused = mailroom("notify", "settings", "set", "push_url", "http://10.0.0.7/hook")
    assert (refused.status, refused.err.split(":")[0]) == (1, "egress_refused")
    allowed = mailroom(
        "notify", "settings", "set", "push_url", "http://10.0.0.7/hook", env={"MAILROOM_EGRESS__ALLOW": "10.0.0.0/8"}
    )
    assert allowed.status == 0
    assert mailroom("notify", "settings", "show", "--json").json == {
        "push_url": "http://10.0.0.7/hook",
        "push_format": "json",
        "push_verify_tls": "yes",
        "push_secret": "***",
    }
    assert mailroom("notify", "log", "--json").json == []


def test_a_test_push_says_what_the_other_end_said(mailroom: Mailroom) -> None:
    said = mailroom(
        "notify", "test", "webhook", "http://127.0.0.1:9/", "--json", env={"MAILROOM_EGRESS__ALLOW": "127.0.0.0/8"}
    )
    assert said.status == 1
    assert said.json["outcome"] == "TryLater"


def test_refusals_come_in_the_readers_language(mailroom: Mailroom) -> None:
    said = mailroom("domain", "remove", "corp.example", env={"LANG": "zh_CN.UTF-8"})
    assert said.status == 1
    assert said.err == "not_found: 域名 corp.example 不存在。\n"


def test_a_table_is_whole_and_its_lines_end_where_they_end(capsys: pytest.CaptureFixture[str]) -> None:
    key = "p=" + "A" * 400
    verb.rows(("name", "value"), [{"name": "王", "value": key}, {"name": "four", "value": ""}], as_json=False)
    assert capsys.readouterr().out == f"name  value\n王    {key}\nfour\n"


def test_what_strangers_wrote_stays_on_its_line_and_commands_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    verb.rows(("reason",), [{"reason": "550 no\r\nyes\x1b[2J [bold]"}], as_json=False)
    assert capsys.readouterr().out == "reason\n550 no  yes [2J [bold]\n"


def test_wrong_usage_and_wrong_settings(mailroom: Mailroom) -> None:
    assert mailroom("domain", "frobnicate").status == 2
    said = mailroom("domain", "list", env={"MAILROOM_LISTEN__SMPT": "127.0.0.1:25"})
    assert (said.status, said.err) == (1, "invalid_value: listen.smpt: there is no such setting\n")
    said = mailroom("domain", "list", env={"MAILROOM_DATABASE": "mysql://x"})
    assert (said.status, said.err.split(":")[0]) == (1, "invalid_value")


def test_the_demo_listens_on_loopback_only(mailroom: Mailroom) -> None:
    said = mailroom("serve", "--demo", env={"MAILROOM_LISTEN__SMTP": "0.0.0.0:2525"})
    assert (said.status, said.err.split(":")[:2]) == (1, ["invalid_value", " listen.smtp"])

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What each verb does, prints and refuses."""

from __future__ import annotations

import asyncio
import socket
from asyncio import StreamReader, StreamWriter

import pytest

from mailroom.cli import verb
from tests.cli.conftest import Mailroom
from tests.senders.peers import peer

GATEWAY = ("sms_gateway.params", "to={mobile}", "sms_gateway.success", "regex: ok")


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
    shown = mailroom("notify", "settings", "show", "--json").json
    assert {key: value for key, value in shown.items() if key.startswith(("push_", "health."))} == {
        "push_url": "http://10.0.0.7/hook",
        "push_format": "json",
        "push_verify_tls": "yes",
        "push_secret": "***",
        "push_domains": "",
        "health.push": "working",
    }
    assert mailroom("notify", "log", "--json").json == []
    assert mailroom("notify", "figures", "--json").json == []
    assert mailroom("notify", "log", "--csv").out.startswith("id,created,origin,")


def test_several_settings_of_notices_are_set_at_once_or_none(mailroom: Mailroom) -> None:
    keys = ("app_id", "feishu-1", "app_secret", "-")
    pairs = [f"feishu.{word}" if number % 2 == 0 else word for number, word in enumerate(keys)]
    said = mailroom("notify", "settings", "set", "enabled", "yes", "feishu.enabled", "yes", "max_per_day", "3")
    assert said.err.startswith("invalid_value: feishu.")
    said = mailroom(
        "notify", "settings", "set", "enabled", "yes", "feishu.enabled", "yes", *pairs, "user_scope", "listed",
        stdin="s3cret\n", env={"LANG": "zh_CN.UTF-8"},
    )  # fmt: skip  # pairs
    assert (said.status, said.err) == (0, "user_scope 为 `listed` 而 user_list 为空：没有人可以接收通知。\n")
    shown = mailroom("notify", "settings", "show", "--json").json
    assert (shown["feishu.app_secret"], shown["max_per_day"]) == ("***", "10")
    assert mailroom("notify", "settings", "set", "enabled").err.startswith("invalid_value: enabled: ")


def test_a_test_push_says_what_the_other_end_said(mailroom: Mailroom) -> None:
    said = mailroom(
        "notify", "test", "webhook", "http://127.0.0.1:9/", "--json", env={"MAILROOM_EGRESS__ALLOW": "127.0.0.0/8"}
    )
    assert said.status == 1
    assert (said.json["outcome"], said.json["why"], said.err) == ("TryLater", "", "")


def test_a_test_that_cannot_be_sent_says_what_it_lacks(mailroom: Mailroom) -> None:
    assert mailroom("notify", "test", "sms_gateway").err.startswith("invalid_value: sms_gateway.url: ")
    assert mailroom("notify", "settings", "set", "sms_gateway.url", "https://sms.example/", *GATEWAY).status == 0
    assert mailroom("notify", "test", "sms_gateway").err == "invalid_value: address: give a mobile number\n"


async def test_a_test_that_an_account_fails_says_what_to_do(mailroom: Mailroom) -> None:
    async def refuse(_reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()

    env = {"MAILROOM_EGRESS__ALLOW": "127.0.0.0/8", "LANG": "zh_CN.UTF-8"}
    async with peer(refuse) as port:
        pairs = ("sms_gateway.url", f"http://127.0.0.1:{port}/", *GATEWAY)
        assert mailroom("notify", "settings", "set", *pairs, env=env).status == 0
        said = await asyncio.to_thread(mailroom, "notify", "test", "sms_gateway", "13900000001", "--json", env=env)
    assert (said.status, said.json["code"], said.json["why"]) == (1, "401", "account")
    assert said.err.startswith("notice-sms_gateway 的账号异常")


def test_a_sandbox_whose_port_is_taken_is_refused(mailroom: Mailroom) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        said = mailroom("sandbox", "--listen", where)
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith(f"invalid_value: listen: {where}: ")
    assert said.err.count("\n") == 1


def test_the_log_of_notices_refuses_what_it_does_not_know(mailroom: Mailroom) -> None:
    assert mailroom("notify", "log").out == "id  created  kind  address  state  attempts  next  reason  mail\n"
    assert mailroom("notify", "log", "--kind", "pigeon").err.startswith("invalid_value: kind: must be one of ")
    assert mailroom("notify", "resend", "9999").err == "not_found: There is no notice 9999.\n"


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

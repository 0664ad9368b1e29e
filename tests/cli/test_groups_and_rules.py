# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mailing groups and the rules of mailboxes, from the command line."""

from __future__ import annotations

from tests.cli.conftest import Mailroom


def begin(mailroom: Mailroom) -> None:
    assert (
        mailroom("init", "--domain", "corp.example", "--admin", "amy", "--password-stdin", stdin="long enough\n").status
        == 0
    )
    assert mailroom("member", "add", "bob", "--name", "Bob").status == 0


def test_a_group_from_its_making_to_its_end(mailroom: Mailroom) -> None:
    begin(mailroom)
    made = mailroom(
        *("group", "add", "all@corp.example", "--name", "All", "--json"),
        *("--member", "amy@corp.example", "--member", "Zoe@out.example"),
    )
    assert made.json == {"address": "all@corp.example", "name": "All", "allow": "organisation"}
    assert mailroom("group", "members", "add", "all@corp.example", "bob@corp.example", "c@out.example").status == 0
    gone = "not_found: There is no address nobody@corp.example.\n"
    assert mailroom("group", "members", "add", "all@corp.example", "nobody@corp.example").err == gone
    assert mailroom("mailbox", "forward", "amy@corp.example", "--to", "nobody@corp.example").err == gone
    assert mailroom("group", "members", "remove", "all@corp.example", "amy@corp.example").status == 0
    assert mailroom("group", "allow", "all@corp.example", "custom").err.startswith("invalid_value:")
    assert mailroom("group", "allow", "all@corp.example", "custom", "--sender", "amy@corp.example").status == 0
    assert mailroom("group", "rename", "all@corp.example", "大家").status == 0
    assert mailroom("group", "show", "all@corp.example", "--json").json == {
        "address": "all@corp.example",
        "name": "大家",
        "allow": "custom",
        "members": ["bob@corp.example", "c@out.example", "zoe@out.example"],
        "senders": ["amy@corp.example"],
    }
    assert "大家" in mailroom("group", "list", "--search", "大").out
    taken = mailroom("group", "add", "amy@corp.example", "--name", "X", "--member", "amy@corp.example")
    assert taken.err.startswith("address_taken:")
    assert mailroom("group", "remove", "all@corp.example").status == 0
    assert mailroom("group", "list", "--json").json == []


def test_forwarding_and_automatic_replies(mailroom: Mailroom) -> None:
    begin(mailroom)
    forwarded = mailroom("mailbox", "forward", "amy@corp.example", "--to", "Zoe@out.example", "--no-copy", "--json")
    assert forwarded.json == {"to": ["zoe@out.example"], "copy": False}
    assert mailroom("mailbox", "forward", "amy@corp.example", "--json").json == forwarded.json
    assert mailroom("mailbox", "forward", "amy@corp.example", "--off", "--json").json == {"to": [], "copy": True}
    reply = mailroom(
        *("mailbox", "auto-reply", "amy@corp.example", "--text", "Away.", "--subject", "Holidays", "--json"),
        *("--from", "2026-12-24", "--until", "2027-01-02T08:00:00"),
    )
    assert reply.json == {
        "text": "Away.",
        "subject": "Holidays",
        "from": "2026-12-24T00:00:00Z",
        "until": "2027-01-02T08:00:00Z",
    }
    assert mailroom("mailbox", "auto-reply", "amy@corp.example", "--json").json == reply.json
    assert mailroom("mailbox", "auto-reply", "amy@corp.example", "--off", "--json").json["text"] is None


def test_an_option_that_would_change_nothing_is_refused(mailroom: Mailroom) -> None:
    begin(mailroom)
    said = mailroom("mailbox", "forward", "amy@corp.example", "--no-copy")
    assert (said.status, said.err) == (1, "invalid_value: to: --no-copy goes with --to\n")
    said = mailroom("mailbox", "auto-reply", "amy@corp.example", "--until", "2027-01-02")
    assert (said.status, said.err) == (1, "invalid_value: text: --subject, --from and --until go with --text\n")

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Passwords for mail programs, and who is kept out, on the command line."""

from __future__ import annotations

from pathlib import Path

from mailroom.core import clock
from mailroom.core.secrets import Secret
from mailroom.directory import scram
from mailroom.directory.model import Service
from mailroom.storage.engines import open_store
from tests import make
from tests.cli.conftest import Mailroom
from tests.directory.scram_client import ScramClient


def test_a_password_for_a_program_is_made_listed_and_revoked(mailroom_on_each: Mailroom) -> None:
    mailroom = mailroom_on_each
    mailroom("init", "--domain", "corp.example", "--admin", "boss", "--password-stdin", stdin="a long password\n")
    box = "boss@corp.example"
    made = mailroom(
        "mailbox", "password", "add", box, "--remark", "Office PC", "--service", "imap", "--service", "smtp", "--json"
    ).json
    assert len(made.pop("password").replace("-", "")) == 16
    assert (made["remark"], made["services"], made["last_used"]) == ("Office PC", ["imap", "smtp"], None)
    every = mailroom("mailbox", "password", "add", box, "--remark", "Phone", "--json").json
    assert every["services"] == ["imap", "pop3", "sieve", "smtp"]

    listed = mailroom("mailbox", "password", "list", box, "--json").json
    assert [one["remark"] for one in listed] == ["Office PC", "Phone"]
    assert "password" not in listed[0]
    assert mailroom("mailbox", "password", "revoke", box, str(made["id"])).status == 0
    assert len(mailroom("mailbox", "password", "list", box, "--json").json) == 1
    again = mailroom("mailbox", "password", "revoke", box, str(made["id"]))
    assert (again.status, again.err.split(":")[0]) == (1, "not_found")
    assert mailroom("mailbox", "password", "add", "x@corp.example", "--remark", "x").err.startswith("not_found:")
    assert mailroom("mailbox", "password", "add", box, "--remark", "x", "--service", "http").status == 2


def test_nobody_is_kept_out_at_first(mailroom: Mailroom) -> None:
    mailroom("init", "--domain", "corp.example", "--admin", "boss", "--password-stdin", stdin="a long password\n")
    assert mailroom("member", "blocked", "--json").json == []
    unknown = mailroom("member", "blocked", "--unblock", "name:boss")
    assert (unknown.status, unknown.err.split(":")[0]) == (1, "not_found")


async def test_what_is_set_here_lets_in_by_plain_and_by_scram(
    mailroom: Mailroom, sqlite_url: str, tmp_path: Path
) -> None:
    mailroom("init", "--domain", "corp.example", "--admin", "boss", "--password-stdin", stdin="a long password\n")
    mailroom("member", "add", "amy", "--name", "Amy", "--password-stdin", stdin="another password\n")
    mailroom("member", "add", "bob", "--name", "Bob", "--password-stdin", stdin="to be changed\n")
    mailroom("member", "password", "bob", "--password-stdin", stdin="a third password\n")
    made = mailroom("mailbox", "password", "add", "bob@corp.example", "--remark", "x", "--json").json
    store = open_store(sqlite_url, clock.now)
    logins = make.logins(store, tmp_path)
    known = [("boss", "a long password"), ("amy", "another password"), ("bob", "a third password")]
    for name, password in [*known, ("bob", made["password"])]:
        found = await logins.by_password(name, Secret(password), service=Service.IMAP, peer="")
        client = ScramClient(name, password)
        offer = await logins.offer(scram.read_first(client.first()), nonce=b"ours", peer="")
        proof = offer.read_final(client.final(offer.message))
        assert (await logins.by_proof(name, proof, service=Service.IMAP, peer=""))[0] == found
    await store.close()

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mailboxes renamed, given away, thrown away and brought back, from the command line."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mailroom.storage.engines import open_store
from tests import make
from tests.cli.conftest import Mailroom

AMY, BOB, CAROL, SALES = (f"{each}@corp.example" for each in ("amy", "bob", "carol", "sales"))


@pytest.fixture
def office(sqlite_url: str, mailroom: Mailroom) -> Mailroom:
    """The command, on a store where Amy, Bob and Carol work, and all use a public mailbox."""

    async def furnish() -> None:
        store = open_store(sqlite_url)
        await make.organisation(store, public={"sales": ["amy", "bob", "carol"]})
        await store.close()

    asyncio.run(furnish())
    return mailroom


def shown(mailroom: Mailroom, address: str) -> tuple[str, str, list[str]]:
    """A mailbox's own address, its status, its former addresses."""
    found = mailroom("mailbox", "show", address, "--json").json
    return found["address"], found["status"], found["former"]


def test_rename_by_hand_and_by_sheet(office: Mailroom, tmp_path: Path) -> None:
    assert office("mailbox", "rename", AMY, "amy.li@corp.example").status == 0
    assert shown(office, AMY) == ("amy.li@corp.example", "active", [AMY])
    taken = office("mailbox", "rename", BOB, AMY)
    assert (taken.status, taken.err.partition(":")[0]) == (1, "address_taken")
    file = tmp_path / "new.csv"
    assert office("mailbox", "rename-sheet", str(file)).err.startswith("invalid_value:")
    assert office("mailbox", "rename-sheet", str(file), "--template").status == 0
    blank = file.read_text("utf-8-sig")
    assert BOB in blank
    file.write_text(blank.replace(f"{BOB},", f"{BOB},robert").replace(f"{CAROL},", f"{CAROL},sales"), "utf-8")
    refused = office("mailbox", "rename-sheet", str(file), "--json")
    assert (refused.status, refused.err) == (1, "invalid_value: sheet: lines refused: 1 of 2; nothing was renamed\n")
    assert [(one["address"], one["new"], (one["refused"] or "").partition(":")[0]) for one in refused.json] == [
        (BOB, "robert@corp.example", ""),
        (CAROL, SALES, "address_taken"),
    ]
    file.write_text(f"address,new\n{BOB},robert\n", "utf-8")
    assert "robert@corp.example" in office("mailbox", "rename-sheet", str(file), "--dry-run").out
    assert shown(office, BOB)[0] == BOB
    assert office("mailbox", "rename-sheet", str(file)).status == 0
    assert shown(office, BOB)[0] == "robert@corp.example"


def test_reassign_and_restore(office: Mailroom) -> None:
    given = office("mailbox", "reassign", AMY, "--to", "bob", "--json").json
    assert given["to_bin"] == BOB
    [entry] = office("bin", "list", "--json").json
    assert (entry["address"], entry["source"], entry["userid"], entry["state"]) == (BOB, "unbound", "bob", "waiting")
    assert entry["purged_after"] == given["purged_after"]
    assert office("bin", "list", "--source", "recycled_public", "--json").json == []
    assert office("bin", "list", "--since", "2090-01-01", "--json").json == []
    assert office("bin", "restore", BOB, "--to", "amy", "--json").json["to_bin"] is None
    assert office("bin", "list", "--json").json == []
    assert [one["state"] for one in office("bin", "list", "--state", "restored", "--json").json] == ["restored"]
    assert office("bin", "restore", BOB, "--to", "carol").err.startswith("not_in_bin:")


def test_to_public_and_purged_by_hand(office: Mailroom) -> None:
    assert office("mailbox", "remove", SALES, "--json").json["to_bin"] == SALES
    assert office("bin", "to-public", SALES).err.startswith("invalid_value:")
    assert office("bin", "to-public", SALES, "--user", "carol", "--name", "Sale").status == 0
    assert office("mailbox", "to-public", CAROL, "--user", "amy").status == 0
    assert office("mailbox", "remove", SALES).status == 0
    wrong = office("bin", "purge", SALES, stdin="yes\n")
    assert (wrong.status, wrong.out, wrong.err) == (1, "", f"invalid_value: confirm: is not {SALES}\n")
    assert [one["state"] for one in office("bin", "list", "--json").json] == ["waiting"]
    assert office("bin", "purge", SALES, "--json", stdin=f"{SALES}\n").json["mails"] == 0
    assert [one["state"] for one in office("bin", "list", "--json").json] == ["purging"]
    assert office("bin", "restore", SALES, "--to", "carol").err.startswith("not_in_bin:")


def test_offboarding_is_rehearsed_and_asked_for(office: Mailroom) -> None:
    dry = office("member", "offboard", "bob", "--backup-into", SALES, "--dry-run")
    assert dry.status == 0, dry.err
    assert [line.split()[0] for line in dry.out.splitlines()] == ["step", "disable", "backup", "remove"]
    steps = office("member", "offboard", "bob", "--reassign-to", "carol", "--dry-run", "--json").json
    assert [step["step"] for step in steps] == ["disable", "reassign", "remove"]
    assert steps[1]["to_bin"] == CAROL
    assert shown(office, BOB)[1] == "active"
    both = office("member", "offboard", "bob", "--reassign-to", "carol", "--backup-into", AMY)
    assert both.err.startswith("invalid_value:")
    assert office("member", "offboard", "bob", "--reassign-to", "bob").err.startswith("target_is_source:")
    begun = office("member", "offboard", "bob", "--json").json
    assert begun["steps"] == ["disable", "remove"]
    assert office("member", "offboard", "bob").err.startswith("in_use:")

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Rules as they are kept, and filters at work: where mail lies afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailroom.core.errors import (
    InUse,
    InvalidAddress,
    InvalidValue,
    NameTaken,
    NotFound,
    Refusal,
    TooMany,
)
from mailroom.core.ids import Uid
from mailroom.delivery import rules
from mailroom.delivery.rules import AutoReply, Forwarding, Rules
from mailroom.mailboxes import append, folders, read
from mailroom.mailboxes.model import Flag
from mailroom.storage.ports import Store, Tx
from tests import make
from tests.delivery import town as town_
from tests.delivery.town import Town


@pytest.fixture
async def town(store: Store, tmp_path: Path) -> Town:
    return await town_.found(store, tmp_path)


async def test_forwarding_and_reply_are_two_switches(town: Town) -> None:
    amy = town.made.mailboxes["amy"]
    auto = AutoReply("Away.", "S", begins_at=1, ends_at=2)
    await town.forward("amy", "Zoe@Out.example", "zoe@out.example", keeps=False)
    await town.store.write(lambda tx: rules.reply(tx, amy, auto))
    expected = Rules(Forwarding(("zoe@out.example",), keeps=False), auto, "")
    assert await town.store.read(lambda tx: rules.get(tx, amy)) == expected
    await town.forward("amy")
    assert await town.store.read(lambda tx: rules.get(tx, amy)) == Rules(reply=auto)
    await town.store.write(lambda tx: rules.reply(tx, amy, None))
    assert await town.store.read(lambda tx: rules.get(tx, amy)) == rules.NONE


@pytest.mark.parametrize(
    ("wanted", "refusal"),
    [
        (Forwarding(("nobody",)), InvalidAddress),
        (Forwarding(("zoe@out.example", "nobody@corp.example")), NotFound),
        (Forwarding(tuple(f"z{number}@out.example" for number in range(6))), TooMany),
        (AutoReply(" "), InvalidValue),
        (AutoReply("x" * 10_001), InvalidValue),
        (AutoReply("x", "a\r\nBcc: b"), InvalidValue),
        (AutoReply("x", begins_at=2, ends_at=2), InvalidValue),
    ],
)
async def test_what_is_no_rule_is_refused(town: Town, wanted: Forwarding | AutoReply, refusal: type[Refusal]) -> None:
    amy = town.made.mailboxes["amy"]

    def work(tx: Tx) -> None:
        if isinstance(wanted, Forwarding):
            rules.forward(tx, amy, wanted)
        else:
            rules.reply(tx, amy, wanted)

    with pytest.raises(refusal):
        await town.store.write(work)


async def test_scripts_are_put_activated_renamed_and_deleted(town: Town) -> None:
    amy, store = town.made.mailboxes["amy"], town.store

    def scripts(tx: Tx) -> dict[str, bool]:
        return dict(rules.scripts(tx, amy))

    await store.write(lambda tx: rules.put(tx, amy, "one", "keep;"))
    await store.write(lambda tx: rules.put(tx, amy, "二", "discard;"))
    assert await store.read(scripts) == {"one": False, "二": False}
    await store.write(lambda tx: rules.activate(tx, amy, "one"))
    await store.write(lambda tx: rules.activate(tx, amy, "二"))
    await store.write(lambda tx: rules.put(tx, amy, "二", "stop;"))
    assert await store.read(scripts) == {"one": False, "二": True}
    assert await store.read(lambda tx: (rules.script(tx, amy, "二"), rules.get(tx, amy).script)) == ("stop;",) * 2
    await store.write(lambda tx: rules.rename(tx, amy, "二", "two"))
    assert await store.read(scripts) == {"one": False, "two": True}
    for refusal, name in ((InUse, "two"), (NotFound, "no")):
        with pytest.raises(refusal):
            await store.write(lambda tx, name=name: rules.delete(tx, amy, name))  # type: ignore[misc]  # a lambda's default
    for old, new, refused in (("two", "one", NameTaken), ("no", "x", NotFound), ("two", "", InvalidValue)):
        with pytest.raises(refused):
            await store.write(lambda tx, old=old, new=new: rules.rename(tx, amy, old, new))  # type: ignore[misc]  # likewise
    with pytest.raises(NotFound):
        await store.write(lambda tx: rules.activate(tx, amy, "no"))
    await store.write(lambda tx: rules.activate(tx, amy, ""))
    await store.write(lambda tx: rules.delete(tx, amy, "two"))
    assert await store.read(scripts) == {"one": False}
    assert await store.read(lambda tx: dict(rules.scripts(tx, town.made.mailboxes["bob"]))) == {}
    with pytest.raises(NotFound):
        await store.read(lambda tx: rules.script(tx, amy, "two"))


async def test_scripts_are_checked_and_bounded(town: Town) -> None:
    amy, store = town.made.mailboxes["amy"], town.store
    for name, text in (("x", "explode;"), ("", "keep;"), ("a\nb", "keep;"), ("x" * 200, "keep;")):
        with pytest.raises(InvalidValue):
            await store.write(lambda tx, name=name, text=text: rules.put(tx, amy, name, text))  # type: ignore[misc]  # a lambda's default
    for number in range(rules.SCRIPTS_MOST):
        await store.write(lambda tx, number=number: rules.put(tx, amy, f"s{number}", "keep;"))  # type: ignore[misc]  # likewise
    await store.write(lambda tx: rules.put(tx, amy, "s1", "stop;"))
    with pytest.raises(TooMany):
        await store.write(lambda tx: rules.put(tx, amy, "one more", "keep;"))


async def test_a_filter_files_marks_and_makes_folders(town: Town) -> None:
    await town.filter(
        "amy",
        'require ["fileinto", "imap4flags", "mailbox", "copy"];'
        'if header :contains "subject" "hello" {'
        ' addflag ["\\\\Seen", "$Work", "b(d"];'
        ' fileinto :create "Projects/New"; fileinto "Nowhere"; fileinto :copy :flags "" "Junk"; }',
    )
    await town.send("amy@corp.example")
    amy = town.made.mailboxes["amy"]

    def look(tx: Tx) -> dict[str, tuple[int, int]]:
        return {folder.name: (folder.mails, folder.unseen) for folder in read.folders(tx, amy) if folder.mails}

    # What cannot be filed where the script says lies in the inbox; nothing is lost.
    assert await town.store.read(look) == {"Projects/New": (1, 0), "INBOX": (1, 0), "Junk": (1, 1)}

    def marks(tx: Tx) -> tuple[Flag, frozenset[str]]:
        folder = folders.by_name(tx, amy, "Projects/New")
        assert folder is not None
        mail, _ = read.mail(tx, folder.id, Uid(1))
        return mail.flags, mail.keywords

    assert await town.store.read(marks) == (Flag.SEEN, frozenset({"$work"}))
    assert await town.told() == [amy]
    assert await town.is_counted()


async def test_more_keywords_than_a_folder_has_room_for_are_left_out(town: Town) -> None:
    amy = town.made.mailboxes["amy"]

    def fill(tx: Tx) -> None:
        folder = make.folder(tx, amy)
        append.note(tx, folder.id, [f"k{number}" for number in range(append.KEYWORDS_MOST)])

    await town.store.write(fill)
    await town.filter("amy", 'require "imap4flags"; addflag ["another", "\\\\Flagged"];')
    await town.send("amy@corp.example")
    mail, _ = await town.store.read(lambda tx: read.mail(tx, make.folder(tx, amy).id, Uid(1)))
    assert (mail.flags, mail.keywords) == (Flag.FLAGGED, frozenset())


@pytest.mark.parametrize("folder", ["Junk", "Trash"])
async def test_nobody_is_told_of_junk(town: Town, folder: str) -> None:
    await town.filter("amy", f'require "fileinto"; fileinto "{folder}";')
    await town.send("amy@corp.example")
    assert (len(await town.mails("amy", folder)), await town.told()) == (1, [])


async def test_what_is_thrown_away_is_gone_and_nothing_follows(town: Town) -> None:
    await town.filter("amy", "discard;")
    await town.forward("amy", "zoe@out.example")
    await town.reply("amy")
    await town.send("amy@corp.example", mail=make.mail(size=100_000))
    assert (await town.kept(), await town.left(), await town.told()) == ({}, [], [])
    assert await town.is_counted()


async def test_a_script_and_forwarding_go_together(town: Town) -> None:
    await town.filter("amy", 'require ["fileinto", "copy"]; fileinto :copy "Trash"; redirect :copy "yan@out.example";')
    await town.forward("amy", "zoe@out.example", "yan@out.example", keeps=False)
    await town.send("amy@corp.example")
    assert (await town.kept(), len(await town.mails("amy", "Trash"))) == ({}, 1)
    assert [address for address, _ in await town.left()] == ["yan@out.example", "zoe@out.example"]
    assert await town.is_counted()


async def test_a_vacation_takes_the_place_of_the_automatic_reply(town: Town) -> None:
    await town.filter("amy", 'require "vacation"; vacation :subject "From the script" "Away.";')
    await town.reply("amy", subject="From the rule")
    await town.send("amy@corp.example")
    [(_, content)] = await town.left()
    assert "Subject: From the script" in await town.text(content["mail"])


async def test_a_script_that_no_release_knows_keeps_the_mail(town: Town) -> None:
    await town.filter("amy", "discard;")
    await town.break_script("amy")
    await town.send("amy@corp.example")
    assert await town.kept() == {"amy": 1}


async def test_scripts_see_whom_the_mail_was_for(town: Town) -> None:
    await town.filter(
        "amy",
        'require ["envelope", "subaddress", "fileinto", "mailbox"];'
        'if envelope :detail "to" "shop" { fileinto :create "Shop"; }',
    )
    await town.send("amy+Shop@corp.example")
    await town.send("amy@corp.example")
    assert (len(await town.mails("amy", "Shop")), await town.kept()) == (1, {"amy": 1})


async def test_a_large_mail_can_be_searched_at_its_beginning(town: Town) -> None:
    await town.filter("amy", 'require ["body", "fileinto"]; if body :contains "see you" { fileinto "Trash"; }')
    await town.send("amy@corp.example", mail=make.mail(size=500_000))
    assert len(await town.mails("amy", "Trash")) == 1
    assert len(await town.text((await town.mails("amy", "Trash"))[0])) == 500_000

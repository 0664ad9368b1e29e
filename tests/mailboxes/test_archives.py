# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Archives are read back by the programs of others, whatever the mails are and in whatever pieces they come."""

from __future__ import annotations

import io
import itertools
import mailbox
import re
import subprocess
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from mailroom.mailboxes import archives
from mailroom.mailboxes.archives import Archive, Entry, Mbox, Zip

MOMENT = 1_750_000_001_000
# What line ends and lines that begin with From are made of.
LETTERS = some.lists(some.sampled_from([b"\r", b"\n", b"\r\n", b">", b"F", b"r", b"o", b"m", b" ", b"From ", b"x"]))
OCTETS = LETTERS.map(b"".join)


def pack(make: Callable[[io.BytesIO], Archive], mails: Sequence[tuple[Entry, Sequence[bytes]]]) -> bytes:
    file = io.BytesIO()
    archive = make(file)
    for entry, pieces in mails:
        archive.begin(entry)
        for piece in pieces:
            archive.write(piece)
        archive.end()
    archive.finish()
    archive.close()
    return file.getvalue()


def mbox(*pieces: bytes, sender: str = "bob@out.example") -> bytes:
    return pack(Mbox, [(Entry("", MOMENT, sender), pieces)])


def unquoted(octets: bytes) -> bytes:
    """As a reader of mboxrd takes the quoting away."""
    return re.sub(rb"(?m)^>(>*From )", rb"\1", octets)


def cut(octets: bytes, places: Sequence[int]) -> list[bytes]:
    at = sorted({0, len(octets), *(place % (len(octets) + 1) for place in places)})
    return [octets[first:last] for first, last in itertools.pairwise(at)]


@given(OCTETS, some.lists(some.integers(0, 99)))
@example(b"From a\r\n>From b\r\n>>From c", [1, 2, 3, 4, 5, 6, 9, 10, 11])
@example(b"x\r\n" + b">" * 9 + b"From ", list(range(30)))
def test_an_mbox_gives_back_what_was_put_in_whatever_the_pieces(octets: bytes, places: list[int]) -> None:
    file = mbox(*cut(octets, places))
    head, _, rest = file.partition(b"\n")
    assert head == b"From bob@out.example Sun Jun 15 15:06:41 2025"
    assert not re.search(rb"(?m)^From ", rest)
    text = octets.replace(b"\r\n", b"\n")
    assert unquoted(rest) == text + (b"\n" if text[-1:] in {b"\n", b""} else b"\n\n")
    assert file == mbox(octets)


def test_an_mbox_is_read_by_the_standard_library(tmp_path: Path) -> None:
    mails = [b"Subject: %d\r\n\r\nFrom me\r\n>From you\r\n" % number for number in range(5)]
    file = tmp_path / "all.mbox"
    file.write_bytes(pack(Mbox, [(Entry("", MOMENT, ""), [mail]) for mail in mails]))
    read = mailbox.mbox(file)
    assert [message["Subject"] for message in read] == ["0", "1", "2", "3", "4"]
    assert unquoted(read.get_bytes(read.keys()[3])) == mails[3].replace(b"\r\n", b"\n")
    assert next(iter(read)).get_from() == "MAILER-DAEMON Sun Jun 15 15:06:41 2025"
    read.close()


def test_no_sender_breaks_the_line_that_divides_mails() -> None:
    assert mbox(b"x", sender="a b\r\nFrom c\u2028@d").splitlines()[0].startswith(b"From abFromc@d Sun Jun 15")
    assert mbox(b"x", sender="\ud800").startswith(b"From ? Sun")


@given(
    some.lists(
        some.tuples(
            some.text(min_size=1, max_size=20),
            some.lists(some.binary(), max_size=4),
            some.integers(-(1 << 45), 1 << 45),
        ),
        max_size=6,
    )
)
def test_a_zip_gives_back_what_was_put_in(mails: list[tuple[str, list[bytes], int]]) -> None:
    entries = [
        (Entry(f"{number}/{archives.part(name)}.eml", moment, ""), pieces)
        for number, (name, pieces, moment) in enumerate(mails)
    ]
    with zipfile.ZipFile(io.BytesIO(pack(Zip, entries))) as read:
        assert read.testzip() is None
        assert read.namelist() == [entry.path for entry, _ in entries]
        for entry, pieces in entries:
            assert read.read(entry.path) == b"".join(pieces)


def test_a_zip_with_many_entries_is_read_by_all(tmp_path: Path, tool: Callable[[str], str]) -> None:
    many = 70_000  # more than a ZIP without Zip64 can count
    file = tmp_path / "all.zip"
    with file.open("wb") as out:
        archive = Zip(out)
        for number in range(many):
            archive.begin(Entry(f"{number % 7}/邮件 {number}.eml", MOMENT, ""))
            archive.write(b"%d" % number)
            archive.end()
        archive.finish()
        archive.close()
    with zipfile.ZipFile(file) as read:
        assert len(read.namelist()) == many
        assert read.read("6/邮件 69999.eml") == b"69999"
        assert read.infolist()[0].date_time == (2025, 6, 15, 15, 6, 40)
    done = subprocess.run([tool("unzip"), "-tqq", file], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_zip_beyond_four_gigabytes_is_read(tmp_path: Path) -> None:
    """Its first entry is a hole in the file, which costs no disk."""
    file = tmp_path / "large.zip"
    with file.open("w+b") as out:
        archive = Zip(out)
        archive.begin(Entry("first.eml", MOMENT, ""))
        archive.write(b"first")
        archive.end()
        out.seek((1 << 32) + 5)
        archive.begin(Entry("far.eml", MOMENT, ""))
        archive.write(b"far")
        archive.end()
        archive.finish()
        archive.close()
    with zipfile.ZipFile(file) as read:
        assert (read.read("first.eml"), read.read("far.eml")) == (b"first", b"far")
        assert read.getinfo("far.eml").header_offset == (1 << 32) + 5


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plan", "plan"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("..", ""),
        ("a:b*c?", "a_b_c_"),
        ("CON", "_CON"),
        ("lpt1.txt", "_lpt1.txt"),
        ("ends. ", "ends"),
        ("计划" * 60, "计划" * 16 + "计"),
        ("\u202efdp.exe", "_fdp.exe"),
        ("\ud800", "?"),
        ("x" * 99 + ". y", "x" * 99),
    ],
)
def test_names_are_safe_on_any_system(text: str, safe: str) -> None:
    assert archives.part(text) == safe
    assert len(archives.part(text).encode()) <= 101


@given(some.text())
def test_no_folder_leads_out_of_the_archive(name: str) -> None:
    parts = archives.folder(name or "x").split("/")
    assert not {"", ".", ".."} & set(parts)

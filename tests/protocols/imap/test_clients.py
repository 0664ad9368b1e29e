# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mail programs by other authors against a whole server: each moves mails and flags, and both sides agree
afterwards.
"""

from __future__ import annotations

import contextlib
import imaplib
import os
import pty
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import imapclient  # type: ignore[import-untyped]  # it has no types
import pytest

from tests import make
from tests.protocols.imap.talk import Talk, fetched
from tests.protocols.imap.town import PASSWORD, Town, open_town

PATIENCE = 60  # seconds for a program to come to its end

Find = Callable[[str], str]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with open_town(tmp_path_factory.mktemp("town")) as opened:
        yield opened


def mail(subject: str, body: str = "Hello.\r\n") -> bytes:
    return make.mail(subject=subject, body=body, message_id=f"<{len(body)}.{subject.encode().hex()}@out.example>")


def append(talk: Talk, folder: str, octets: bytes, flags: str = "") -> None:
    talk.ok(f'APPEND "{folder}" ({flags}) {{{len(octets)}+}}\r\n'.encode() + octets)


def mails(talk: Talk, folder: str = "INBOX") -> dict[str, set[str]]:
    """The subjects in a folder, each with its flags."""
    talk.ok(f'SELECT "{folder}"'.encode())
    found = fetched(talk.ok(b"UID FETCH 1:* (FLAGS ENVELOPE)").lines)
    return {_subject(items[b"ENVELOPE"]): _flags(items[b"FLAGS"]) for items in found.values()}


def _subject(envelope: object) -> str:
    assert isinstance(envelope, list)
    return str(envelope[1].decode())


def _flags(flags: object) -> set[str]:
    assert isinstance(flags, list)
    return {flag.decode() for flag in flags} - {"\\Recent"}


def folders(talk: Talk) -> set[str]:
    return {line.rpartition(b" ")[2].strip(b'"').decode() for line in talk.ok(b'LIST "" "*"').lines}


def run(*command: str | Path, home: Path, **variables: str) -> str:
    """Run a program to its good end; what it said."""
    done = subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8", **variables},
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
        check=False,
    )
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}: {said}"
    return said


def maildir(folder: Path) -> dict[str, tuple[Path, str]]:
    """The subjects in a Maildir, each with its file and its flags."""
    found = {}
    for path in [*folder.glob("cur/*"), *folder.glob("new/*")]:
        subject = re.search(rb"^Subject: (.*?)\r?$", path.read_bytes(), re.MULTILINE)
        assert subject is not None
        found[subject[1].decode()] = path, path.name.partition(":2,")[2]
    return found


def mark(path: Path, flags: str) -> None:
    """Give a mail in a Maildir these flags."""
    target = path.parent.parent / "cur" / f"{path.name.partition(':2,')[0]}:2,{flags}"
    path.rename(target)


def test_mbsync_carries_both_ways(town: Town, tool: Find, tmp_path: Path) -> None:
    name = town.member()
    (tmp_path / "mbsyncrc").write_text(
        f"""
IMAPAccount here
Host 127.0.0.1
Port {town.port}
User {name}
Pass "{PASSWORD}"
SSLType None
AuthMechs LOGIN

IMAPStore far
Account here

MaildirStore near
Path {tmp_path}/mail/
Inbox {tmp_path}/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
CopyArrivalDate yes
SyncState *
"""
    )
    (tmp_path / "mail").mkdir()
    sync = (tool("mbsync"), "-c", tmp_path / "mbsyncrc", "-a")
    with town.talk(name) as talk:
        append(talk, "INBOX", mail("one"), "\\Seen")
        append(talk, "INBOX", mail("two", "x\r\n" * 50_000))
        append(talk, "INBOX", mail("three"))
        talk.ok(b"CREATE Projects/2026")
        append(talk, "Projects/2026", mail("four"), "\\Flagged \\Answered")
        run(*sync, home=tmp_path)

        inbox = maildir(tmp_path / "mail/INBOX")
        assert {subject: flags for subject, (_, flags) in inbox.items()} == {"one": "S", "two": "", "three": ""}
        assert inbox["two"][0].read_bytes().count(b"x\n") == 50_000
        assert maildir(tmp_path / "mail/Projects/2026")["four"][1] == "FR"

        mark(inbox["one"][0], "FST")
        mark(inbox["three"][0], "RS")
        (tmp_path / "mail/INBOX/new/9.local.host").write_bytes(mail("local").replace(b"\r\n", b"\n"))
        for each in ("cur", "new", "tmp"):
            (tmp_path / "mail/Made here" / each).mkdir(parents=True)
        (tmp_path / "mail/Made here/cur/8.local.host:2,S").write_bytes(mail("five").replace(b"\r\n", b"\n"))
        append(talk, "INBOX", mail("late"))
        talk.ok(b"UID STORE 2 +FLAGS (\\Flagged)")
        run(*sync, home=tmp_path)

        assert mails(talk) == {"two": {"\\Flagged"}, "three": {"\\Answered", "\\Seen"}, "local": set(), "late": set()}
        assert mails(talk, "Made here") == {"five": {"\\Seen"}}
        inbox = maildir(tmp_path / "mail/INBOX")
        assert {subject: flags for subject, (_, flags) in inbox.items()} == {
            "two": "F",
            "three": "RS",
            "local": "",
            "late": "",
        }


def test_interimap_keeps_two_mailboxes_equal(town: Town, tool: Find, tmp_path: Path) -> None:
    # It insists on QRESYNC, and checks what servers say by it.
    local, remote = town.member(), town.member()
    login = f"type = imap\nhost = 127.0.0.1\nport = {town.port}\nSTARTTLS = NO\npassword = {PASSWORD}\n"
    (tmp_path / "config").write_text(
        f"database = {tmp_path}/interimap.db\n"
        f"[local]\n{login}username = {local}\n[remote]\n{login}username = {remote}\ncompress = YES\n"
    )
    sync = (tool("interimap"), "--config", tmp_path / "config")
    with town.talk(local) as here, town.talk(remote) as there:
        append(here, "INBOX", mail("one"), "\\Seen")
        append(there, "INBOX", mail("two", "y\r\n" * 50_000), "\\Flagged $Work")
        append(there, "Sent", mail("three"))
        there.ok(b"CREATE &bUuL1Q-/deep")
        append(there, "&bUuL1Q-/deep", mail("four"))
        run(*sync, home=tmp_path)

        both = {"one": {"\\Seen"}, "two": {"\\Flagged", "$Work"}}
        assert mails(here) == mails(there) == both
        assert mails(here, "&bUuL1Q-/deep") == {"four": set()}
        assert mails(here, "Sent") == {"three": set()}

        here.ok(b"SELECT INBOX")
        there.ok(b"SELECT INBOX")
        here.ok(b"STORE 1 FLAGS (\\Answered)")  # "one"
        there.ok(b"UID STORE 1 +FLAGS (\\Deleted)")  # "two"
        there.ok(b"EXPUNGE")
        append(here, "INBOX", mail("five"), "\\Draft")
        run(*sync, home=tmp_path)

        assert mails(here) == mails(there) == {"one": {"\\Answered"}, "five": {"\\Draft"}}
        assert not re.search("WARNING|Added|Removed|Updated", run(*sync, home=tmp_path))


def test_offlineimap_carries_both_ways(town: Town, tool: Find, tmp_path: Path) -> None:
    name = town.member()
    (tmp_path / "rc").write_text(
        f"""
[general]
accounts = here
metadata = {tmp_path}/state
ui = basic
[Account here]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {tmp_path}/mail
sep = /
[Repository far]
type = IMAP
remotehost = 127.0.0.1
remoteport = {town.port}
ssl = no
starttls = no
remoteuser = {name}
remotepass = {PASSWORD}
"""
    )
    sync = (tool("offlineimap"), "-o", "-c", tmp_path / "rc")
    with town.talk(name) as talk:
        append(talk, "INBOX", mail("one"), "\\Seen")
        append(talk, "INBOX", mail("two"))
        append(talk, "Drafts", mail("three"), "\\Draft")
        run(*sync, home=tmp_path)

        inbox = maildir(tmp_path / "mail/INBOX")
        assert {subject: flags for subject, (_, flags) in inbox.items()} == {"one": "S", "two": ""}
        assert maildir(tmp_path / "mail/Drafts")["three"][1] == "D"

        mark(inbox["two"][0], "FRS")
        inbox["one"][0].unlink()
        (tmp_path / "mail/INBOX/new/9.local.host").write_bytes(mail("local").replace(b"\r\n", b"\n"))
        run(*sync, home=tmp_path)

        assert mails(talk) == {"two": {"\\Answered", "\\Flagged", "\\Seen"}, "local": set()}


def test_neomutt_files_and_flags(town: Town, tool: Find, tmp_path: Path) -> None:
    name = town.member()
    keys = (
        "<tag-pattern>~s one<enter><tag-prefix-cond><set-flag>!"
        "<untag-pattern>~A<enter>"
        "<limit>~s two<enter><save-message>=Projects<enter>"
        "<limit>~s three<enter><delete-message><limit>~A<enter>"
        "<quit>"
    )
    (tmp_path / "rc").write_text(
        f"""
set imap_user={name}
set imap_pass="{PASSWORD}"
set ssl_force_tls=no
set ssl_starttls=no
set folder=imap://127.0.0.1:{town.port}/
set spoolfile=+INBOX
set mbox_type=Maildir
set confirmcreate=no
set confirmappend=no
set delete=yes
set move=no
set sleep_time=0
set timeout=1
set imap_condstore=yes
set imap_qresync=yes
set header_cache={tmp_path}/cache
set record=
set tmpdir={tmp_path}
set quit=yes
push "{keys}"
"""
    )
    with town.talk(name) as talk:
        for subject in ("one", "two", "three", "four"):
            append(talk, "INBOX", mail(subject))
        talk.ok(b"CREATE Projects")
        with _terminal() as terminal:
            done = subprocess.run(
                [tool("neomutt"), "-n", "-F", tmp_path / "rc"],
                env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "xterm", "LC_ALL": "C.UTF-8"},
                stdin=terminal,
                stdout=terminal,
                stderr=subprocess.PIPE,
                timeout=PATIENCE,
                check=False,
            )
        assert (done.returncode, done.stderr) == (0, b"")
        assert mails(talk, "Projects").keys() == {"two"}
        inbox = mails(talk)
        assert inbox.keys() == {"one", "four"}
        assert "\\Flagged" in inbox["one"]


@contextlib.contextmanager
def _terminal() -> Iterator[int]:
    """A terminal that nobody looks at; what is shown is read and thrown away."""
    ours, theirs = pty.openpty()
    reading = subprocess.Popen(["cat"], stdin=ours, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(ours)
    try:
        yield theirs
    finally:
        os.close(theirs)
        reading.wait(PATIENCE)


def test_curl_uploads_fetches_and_marks(town: Town, tool: Find, tmp_path: Path) -> None:
    name = town.member()
    (tmp_path / "mail").write_bytes(mail("报价 by curl"))
    server = f"imap://127.0.0.1:{town.port}"
    curl = (tool("curl"), "--silent", "--show-error", "--user", f"{name}:{PASSWORD}")
    run(*curl, "--upload-file", "mail", f"{server}/INBOX", home=tmp_path)
    run(*curl, "--output", "back", f"{server}/INBOX;UID=1", home=tmp_path)
    assert (tmp_path / "back").read_bytes() == (tmp_path / "mail").read_bytes()
    assert "Subject: 报价" in run(*curl, f"{server}/INBOX;UID=1;SECTION=HEADER.FIELDS%20(SUBJECT)", home=tmp_path)
    assert "* SEARCH 1" in run(*curl, f"{server}/INBOX?SUBJECT%20curl", home=tmp_path)
    run(*curl, "--request", "STORE 1 +Flags \\Flagged", f"{server}/INBOX", home=tmp_path)
    assert "\\Drafts" in run(*curl, "--request", 'LIST "" "*"', server, home=tmp_path)
    with town.talk(name) as talk:
        assert mails(talk) == {"报价 by curl": {"\\Flagged", "\\Seen"}}


def test_fetchmail_takes_all_away(town: Town, tool: Find, tmp_path: Path) -> None:
    name = town.member()
    rc = tmp_path / "rc"
    rc.write_text(
        f'poll 127.0.0.1 port {town.port} protocol imap auth password username "{name}" password "{PASSWORD}"'
        f" sslproto '' fetchall mda \"cat >> {tmp_path}/taken\"\n"
    )
    rc.chmod(0o600)
    with town.talk(name) as talk:
        for subject in ("one", "two", "three"):
            append(talk, "INBOX", mail(subject), "\\Seen" if subject == "two" else "")
        run(tool("fetchmail"), "-f", rc, "--idfile", tmp_path / "ids", "--pidfile", tmp_path / "pid", home=tmp_path)
        assert mails(talk) == {}
    taken = (tmp_path / "taken").read_text()
    assert re.findall(r"^Subject: (.*?)\r?$", taken, re.MULTILINE) == ["one", "two", "three"]


def test_imapfilter_files_by_rules(town: Town, tool: Find, tmp_path: Path) -> None:
    name = town.member()
    (tmp_path / "rules.lua").write_text(
        f"""
options.starttls = false
here = IMAP {{ server = "127.0.0.1", port = {town.port}, username = "{name}", password = "{PASSWORD}" }}
invoices = here.INBOX:contain_subject("invoice") * here.INBOX:is_unseen()
invoices:mark_flagged()
here:create_mailbox("Bills")
invoices:move_messages(here["Bills"])
here.INBOX:contain_body("secret words"):delete_messages()
"""
    )
    with town.talk(name) as talk:
        append(talk, "INBOX", mail("your invoice"))
        append(talk, "INBOX", mail("old invoice"), "\\Seen")
        append(talk, "INBOX", mail("other", "the secret words\r\n"))
        run(tool("imapfilter"), "-c", tmp_path / "rules.lua", home=tmp_path)
        assert mails(talk, "Bills") == {"your invoice": {"\\Flagged"}}
        assert mails(talk) == {"old invoice": {"\\Seen"}}


def test_imapclient_works_a_mailbox(town: Town) -> None:
    name = town.member()
    with imapclient.IMAPClient("127.0.0.1", town.port, ssl=False, timeout=PATIENCE) as client:
        client.login(name, PASSWORD)
        assert client.namespace().personal == (("", "/"),)
        assert b"\\Sent" in next(flags for flags, _, folder in client.list_folders() if folder == "Sent")
        client.create_folder("测试 & mehr")
        client.subscribe_folder("测试 & mehr")
        assert "测试 & mehr" in [folder for _, _, folder in client.list_sub_folders()]
        client.append("INBOX", mail("one"), flags=(imapclient.SEEN,))
        client.append("INBOX", mail("two"))
        assert client.select_folder("INBOX")[b"EXISTS"] == 2
        assert client.search(["UNSEEN"]) == [2]
        assert client.search(["SUBJECT", "two"], "UTF-8") == [2]
        assert client.sort(["REVERSE SUBJECT"]) == [2, 1]
        assert client.thread("REFERENCES") == ((1,), (2,))
        assert {imapclient.FLAGGED, b"$Work"} <= set(client.add_flags(2, [b"$Work", imapclient.FLAGGED])[2])
        fetched = client.fetch([1, 2], ["ENVELOPE", "BODYSTRUCTURE", "RFC822.SIZE", "BODY.PEEK[TEXT]", "INTERNALDATE"])
        assert [fetched[uid][b"ENVELOPE"].subject for uid in (1, 2)] == [b"one", b"two"]
        assert fetched[1][b"BODY[TEXT]"] == b"Hello.\r\n"
        assert fetched[1][b"RFC822.SIZE"] == len(mail("one"))
        client.copy([1], "测试 & mehr")
        client.move([2], "测试 & mehr")
        assert client.search() == [1]
        assert client.folder_status("测试 & mehr", ["MESSAGES", "UNSEEN"]) == {b"MESSAGES": 2, b"UNSEEN": 1}
        client.idle()
        with town.talk(name) as talk:
            append(talk, "INBOX", mail("three"))
        assert (2, b"EXISTS") in client.idle_check(timeout=PATIENCE)
        client.idle_done()
        client.delete_messages([1])
        client.uid_expunge([1])
        assert client.search() == [3]
        client.rename_folder("测试 & mehr", "Archiv")
        client.delete_folder("Archiv")
        assert "Archiv" not in [folder for _, _, folder in client.list_folders()]
        assert client.get_quota_root("INBOX")[0].quota_roots


def test_imaplib_works_a_mailbox(town: Town) -> None:
    name = town.member()
    with imaplib.IMAP4("127.0.0.1", town.port, timeout=PATIENCE) as client:
        assert client.login(name, PASSWORD)[0] == "OK"
        assert client.append("INBOX", "(\\Seen)", '"17-Jul-1996 02:44:25 -0700"', mail("one"))[0] == "OK"
        assert client.append("INBOX", "", "", mail("two"))[0] == "OK"
        assert client.select() == ("OK", [b"2"])
        assert client.search(None, "UNSEEN") == ("OK", [b"2"])
        assert client.search("UTF-8", "SUBJECT", "two") == ("OK", [b"2"])
        assert client.uid("SORT", "(SUBJECT)", "UTF-8", "ALL") == ("OK", [b"1 2"])
        _, dates = client.fetch("1", "(INTERNALDATE)")
        assert isinstance(dates[0], bytes)
        assert b"17-Jul-1996 09:44:25 +0000" in dates[0]
        assert imaplib.Internaldate2tuple(dates[0]) is not None
        _, octets = client.fetch("2", "(RFC822)")
        assert isinstance(octets[0], tuple)
        assert octets[0][1] == mail("two")
        assert client.store("1", "+FLAGS", "(\\Deleted)")[0] == "OK"
        assert client.expunge() == ("OK", [b"1"])
        assert client.copy("1", "Trash")[0] == "OK"
        assert client.status("Trash", "(MESSAGES)") == ("OK", [b"Trash (MESSAGES 1)"])
        assert client.unselect()[0] == "OK"
        assert client.enable("UTF8=ACCEPT")[0] == "OK"
        assert client.create("测试")[0] == "OK"
    with town.talk(name) as talk:
        assert mails(talk).keys() == {"two"}
        assert "&bUuL1Q-" in folders(talk)

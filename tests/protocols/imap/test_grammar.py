# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Commands into values: what the RFCs show, what real programs send, and what is no command."""

from __future__ import annotations

import pytest

from mailroom.core.secrets import Secret
from mailroom.mailboxes.change import How
from mailroom.mailboxes.model import NO_FLAGS, Flag, Marks
from mailroom.mailboxes.order import Key as SortKey
from mailroom.mailboxes.order import Way
from mailroom.mailboxes.threads import Algorithm
from mailroom.protocols.imap.grammar import values
from mailroom.protocols.imap.grammar.commands import parse
from mailroom.protocols.imap.grammar.lexer import Malformed
from mailroom.protocols.imap.grammar.values import (
    STAR,
    All,
    Choose,
    Known,
    Numbers,
    Return,
    Saved,
    StatusItem,
    Tell,
)

ONE = Numbers(((1, 1),))

COMMANDS: list[tuple[bytes, values.Command]] = [
    (b"NOOP", values.Noop()),
    (b"nOoP  ", values.Noop()),
    (b"CAPABILITY", values.Capability()),
    (b"LOGOUT", values.Logout()),
    (b"STARTTLS", values.StartTls()),
    (b"IDLE", values.Idle()),
    (b"NAMESPACE", values.Namespace()),
    (b"CHECK", values.Check()),
    (b"CLOSE", values.Close()),
    (b"UNSELECT", values.Unselect()),
    (b"EXPUNGE", values.Expunge()),
    (b"UID EXPUNGE 3000:3002", values.Expunge(Numbers(((3000, 3002),)))),
    (b"uid expunge $", values.Expunge(Saved())),
    (b"ID NIL", values.Id(())),
    (b"ID", values.Id(())),
    (b"ID ()", values.Id(())),
    (
        b'ID ("name" "Foxmail" "version" "7.2.25.383" "os" NIL)',
        values.Id((("name", "Foxmail"), ("version", "7.2.25.383"), ("os", None))),
    ),
    (b'ID ( "name"  "x" )', values.Id((("name", "x"),))),
    (b"AUTHENTICATE plain", values.Authenticate("PLAIN", None)),
    (b"AUTHENTICATE PLAIN AGFteQBwdw==", values.Authenticate("PLAIN", b"\0amy\0pw")),
    (b"AUTHENTICATE SCRAM-SHA-256 =", values.Authenticate("SCRAM-SHA-256", b"")),
    (b"LOGIN amy@corp.example pw", values.Login("amy@corp.example", Secret("pw"))),
    (b'LOGIN "amy" "p\\"w\\\\"', values.Login("amy", Secret('p"w\\'))),
    (b"LOGIN amy p%w*(d)]\\", values.Login("amy", Secret("p%w*(d)]\\"))),
    (b'LOGIN "\xd3\xc3" {2}\r\npw', values.Login("用", Secret("pw"))),
    (b'LOGIN amy ""', values.Login("amy", Secret(""))),
    (b"ENABLE CONDSTORE qresync X-GOOD", values.Enable(("CONDSTORE", "QRESYNC", "X-GOOD"))),
    (b"SELECT inbox", values.Select("INBOX")),
    (b"SELECT Inbox/Sub", values.Select("INBOX/Sub")),
    (b"SELECT inboxes", values.Select("inboxes")),
    (b'EXAMINE "A B" (CONDSTORE)', values.Select("A B", examine=True, condstore=True)),
    (
        b"SELECT INBOX (QRESYNC (67890007 20050715194045000 41,43:211,214:541))",
        values.Select("INBOX", known=Known(67890007, 20050715194045000, Numbers(((41, 41), (43, 211), (214, 541))))),
    ),
    (
        b"SELECT INBOX (QRESYNC (67890007 90060115194045000 41:211,214:541 (1,3,9 41,43,49)) CONDSTORE)",
        values.Select(
            "INBOX",
            condstore=True,
            known=Known(
                67890007,
                90060115194045000,
                Numbers(((41, 211), (214, 541))),
                (Numbers(((1, 1), (3, 3), (9, 9))), Numbers(((41, 41), (43, 43), (49, 49)))),
            ),
        ),
    ),
    (
        b"SELECT INBOX (QRESYNC (7 9 (1:2 5,7)))",
        values.Select("INBOX", known=Known(7, 9, None, (Numbers(((1, 2),)), Numbers(((5, 5), (7, 7)))))),
    ),
    (b"CREATE &U,BTFw-", values.Create("台北")),
    (b"CREATE New/ (USE (\\Sent))", values.Create("New/", ("\\Sent",))),
    (b"DELETE {3}\r\na b", values.Delete("a b")),
    (b"RENAME a b", values.Rename("a", "b")),
    (b"SUBSCRIBE #news.x", values.Subscribe("#news.x")),
    (b"UNSUBSCRIBE x]", values.Unsubscribe("x]")),
    (b'LIST "" ""', values.List("", ("",))),
    (b'LIST "" *', values.List("", ("*",))),
    (b'LIST "inbox" "%"', values.List("INBOX", ("%",))),
    (
        b'LIST (SUBSCRIBED REMOTE) "" "*" RETURN (CHILDREN SPECIAL-USE)',
        values.List(
            "",
            ("*",),
            choose=Choose.SUBSCRIBED | Choose.REMOTE,
            tell=Tell.CHILDREN | Tell.SPECIAL_USE,
            extended=True,
        ),
    ),
    (b'LIST () "" ("INBOX" Drafts Sent/%)', values.List("", ("INBOX", "Drafts", "Sent/%"), extended=True)),
    (
        b'LIST (RECURSIVEMATCH SUBSCRIBED) "" % RETURN (STATUS (MESSAGES UNSEEN) SUBSCRIBED)',
        values.List(
            "",
            ("%",),
            choose=Choose.SUBSCRIBED | Choose.RECURSIVEMATCH,
            tell=Tell.SUBSCRIBED,
            status=(StatusItem.MESSAGES, StatusItem.UNSEEN),
            extended=True,
        ),
    ),
    (b'LIST "" % RETURN ()', values.List("", ("%",), extended=True)),
    (b'LSUB "" "*"', values.Lsub("", "*")),
    (b'XLIST "" "*"', values.XList("", "*")),
    (
        b"STATUS blurdybloop (UIDNEXT messages UIDNEXT DELETED-STORAGE)",
        values.Status("blurdybloop", (StatusItem.UIDNEXT, StatusItem.MESSAGES, StatusItem.DELETED_STORAGE)),
    ),
    (b'GETQUOTA ""', values.GetQuota("")),
    (b"GETQUOTAROOT inbox", values.GetQuotaRoot("INBOX")),
    (b'SETQUOTA "" (STORAGE 512 MESSAGE 10)', values.SetQuota("", (("STORAGE", 512), ("MESSAGE", 10)))),
    (b"GETACL inbox", values.GetAcl("INBOX")),
    (b"SETACL x bob +lrs", values.SetAcl("x", "bob", "+lrs")),
    (b'SETACL x bob ""', values.SetAcl("x", "bob", "")),
    (b"DELETEACL x bob", values.DeleteAcl("x", "bob")),
    (b"LISTRIGHTS x bob", values.ListRights("x", "bob")),
    (b"MYRIGHTS x", values.MyRights("x")),
    (b"COMPRESS DEFLATE", values.Compress("DEFLATE")),
    (b"COPY 2:4 MEETING", values.Copy(False, Numbers(((2, 4),)), "MEETING")),
    (b"UID COPY $ inbox", values.Copy(True, Saved(), "INBOX")),
    (b"MOVE 1,*:3,7:* Foo", values.Move(False, Numbers(((1, 1), (3, STAR), (7, STAR))), "Foo")),
    (b"UID MOVE 9:2 Foo", values.Move(True, Numbers(((2, 9),)), "Foo")),
    (b"STORE 1 +FLAGS (\\Deleted)", values.StoreMarks(False, ONE, How.ADD, Marks(Flag.DELETED))),
    (
        b"UID STORE * -flags.silent ($Forwarded \\SEEN work)",
        values.StoreMarks(
            True,
            Numbers(((STAR, STAR),)),
            How.REMOVE,
            Marks(Flag.SEEN, frozenset({"$Forwarded", "work"})),
            silent=True,
        ),
    ),
    (b"STORE 1 FLAGS ()", values.StoreMarks(False, ONE, How.REPLACE, Marks(NO_FLAGS))),
    (
        b"STORE 1 FLAGS \\Seen \\Recent Work",
        values.StoreMarks(False, ONE, How.REPLACE, Marks(Flag.SEEN, frozenset({"Work"}))),
    ),
    (
        b"STORE 1 (UNCHANGEDSINCE 12121230045) +FLAGS.SILENT (\\Deleted)",
        values.StoreMarks(False, ONE, How.ADD, Marks(Flag.DELETED), silent=True, unchanged_since=12121230045),
    ),
    (b"SEARCH ALL", values.Search(False, All(()))),
    (b"UID SEARCH RETURN () ALL", values.Search(True, All(()), Return.ALL)),
    (
        b"SEARCH RETURN (MIN max COUNT SAVE) CHARSET utf-8 ALL",
        values.Search(False, All(()), Return.MIN | Return.MAX | Return.COUNT | Return.SAVE),
    ),
    (
        b"SORT (REVERSE DATE SUBJECT) UTF-8 ALL",
        values.Sort(False, ((SortKey.DATE, Way.DOWN), (SortKey.SUBJECT, Way.UP)), All(())),
    ),
    (
        b"UID SORT RETURN (COUNT) (DISPLAYFROM) US-ASCII ALL",
        values.Sort(True, ((SortKey.DISPLAYFROM, Way.UP),), All(()), Return.COUNT),
    ),
    (b"THREAD references UTF-8 ALL", values.Thread(False, Algorithm.REFERENCES, All(()))),
    (b"UID THREAD ORDEREDSUBJECT UTF-8 ALL", values.Thread(True, Algorithm.ORDEREDSUBJECT, All(()))),
]


@pytest.mark.parametrize(("said", "meant"), COMMANDS, ids=[said.decode("latin-1") for said, _ in COMMANDS])
def test_a_command_is_understood(said: bytes, meant: values.Command) -> None:
    assert parse(b"A.7 " + said) == (b"A.7", meant)


@pytest.mark.parametrize(
    "said",
    [
        b"", b"NO", b"XYZZY", b"NOOP x", b"CHECK (", b"UID", b"UID NOOP", b"UID FETCH", b"ID (", b'ID ("a")', b"ID x",
        b'ID ("a" (b))', b"AUTHENTICATE", b"AUTHENTICATE PLAIN A", b"AUTHENTICATE PLAIN a=b",
        b"AUTHENTICATE PLAIN = =", b"LOGIN", b"LOGIN a", b"LOGIN a b c", b'LOGIN "a b', b"LOGIN a {3}\r\nab\0",
        b"ENABLE", b"SELECT", b"SELECT a b", b"SELECT a (X)", b"SELECT a (CONDSTORE", b"SELECT a (QRESYNC)",
        b"SELECT a (QRESYNC (0 1))", b"SELECT a (QRESYNC (1 2 1:*))",
        b"SELECT a (QRESYNC (1 2 (1:3 4,5)))", b"SELECT a (QRESYNC (1 2) QRESYNC (1 2))",
        b"SELECT a (QRESYNC (1 2 1 (1 2) 3))", b"CREATE", b"CREATE a (X)", b"CREATE a*", b"CREATE a (USE \\Sent)",
        b"DELETE a b", b"RENAME a", b'LIST ""', b'LIST "" ()', b'LIST (X) "" *', b'LIST (RECURSIVEMATCH) "" *',
        b'LIST (RECURSIVEMATCH REMOTE) "" *', b'LIST "" * RETURN', b'LIST "" * RETURN (X)',
        b'LIST "" * RETURN (STATUS ())', b'LIST "" (a(b))', b"STATUS a", b"STATUS a ()", b"STATUS a (X)",
        b"STATUS a MESSAGES", b"SETQUOTA a (STORAGE)", b"SETQUOTA a (STORAGE -1)", b"SETACL a b", b"SETACL a b *",
        b"COMPRESS", b"COPY 1", b"COPY 0 a", b"COPY 1: a", b"COPY :1 a", b"COPY 1,,2 a", b"COPY 1, a", b"COPY a b",
        b"COPY 4294967296 a", b"COPY 99999999999999999999 a", b"COPY 1:2:3 a", b"COPY $,1 a", b"STORE 1 FLAGS",
        b"STORE 1 FLAGS (", b"STORE 1 FLAGS (\\Foo)", b"STORE 1 FLAGS (\\*)", b"STORE 1 FLAGS (a(b))",
        b"STORE 1 *FLAGS ()", b"STORE 1 FLAGS (\xe6)", b"STORE 1 (X 1) FLAGS ()",
        b"STORE 1 (UNCHANGEDSINCE x) FLAGS ()", b"STORE 1 FLAGSX ()",
        b"STORE 1 (UNCHANGEDSINCE 1 UNCHANGEDSINCE 2) FLAGS ()", b"STORE 1 FLAGS (" + b"x" * 101 + b")",
        b"SORT () UTF-8 ALL", b"SORT (REVERSE) UTF-8 ALL", b"SORT (X) UTF-8 ALL", b"SORT (DATE) UTF-8",
        b"SORT (REVERSE REVERSE DATE) UTF-8 ALL", b"SORT (DATE) ALL", b"SORT (" + b"DATE " * 30 + b") UTF-8 ALL",
        b"THREAD X UTF-8 ALL", b"THREAD REFERENCES ALL", b"APPEND a", b"APPEND a b", b"APPEND", b"EXPUNGE 1",
        b"UID EXPUNGE", b"DONE", b"NOOP\0", b"NOOP\r", b"NO\xffOP",
    ],
)  # fmt: skip  # a table
def test_what_is_no_command_is_said_to_be_none(said: bytes) -> None:
    with pytest.raises(Malformed) as fault:
        parse(b"a1 " + said)
    assert fault.value.tag == b"a1"
    assert fault.value.text.startswith((b"BAD ", b"NO [BADCHARSET"))
    assert b"\r" not in fault.value.text
    assert b"\n" not in fault.value.text


@pytest.mark.parametrize(
    "said", [b"", b" ", b" NOOP", b"+ NOOP", b"(a NOOP", b'"a" NOOP', b"a\tNOOP", b"\xe6 NOOP", b"{1"]
)
def test_a_command_without_a_tag_is_answered_without_one(said: bytes) -> None:
    with pytest.raises(Malformed) as fault:
        parse(said)
    assert fault.value.tag == b"*"


def test_an_unknown_charset_is_told_with_those_that_are_known() -> None:
    with pytest.raises(Malformed) as fault:
        parse(b"a SEARCH CHARSET KLINGON ALL")
    assert fault.value.text.startswith(b"NO [BADCHARSET (US-ASCII UTF-8 ")


@pytest.mark.parametrize(
    ("written", "utf8", "meant"),
    [
        (b"Entw&APw-rfe", False, "Entwürfe"),
        (b"Entw&APw-rfe", True, "Entw&APw-rfe"),
        (b"R&-D", False, "R&D"),
        (b"R&-D", True, "R&-D"),
        (b'"&bUuL1Q-"', False, "测试"),
        (b"&broken", False, "&broken"),  # no modified UTF-7: as it stands
        (b"&AGE-", False, "&AGE-"),  # ASCII must not be shifted
        (b"&2AA-", False, "&2AA-"),  # half a surrogate pair
        (b"&AAA-", False, "&AAA-"),  # NUL; it could not be stored
        ('"测试"'.encode(), False, "测试"),
        ("测试".encode("gb18030"), False, "测试"),
        (b'"a\\"b\\\\c\\d"', False, 'a"b\\c\\d'),
        (b'"inbox"', True, "INBOX"),
        (b'""', False, ""),
    ],
)
def test_a_mailbox_name_is_read_as_its_client_means_it(written: bytes, utf8: bool, meant: str) -> None:  # noqa: FBT001 # given by the table above
    assert parse(b"a DELETE " + written, utf8=utf8)[1] == values.Delete(meant)


def test_a_password_shows_itself_nowhere() -> None:
    for said in (b"a LOGIN amy hunter2", b"a AUTHENTICATE PLAIN AGFteQBodW50ZXIy"):
        assert "hunter2" not in repr(parse(said))

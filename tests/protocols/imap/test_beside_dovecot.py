# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The same words to us and to Dovecot: every difference between the answers is one that we want, and says why.

Each test has its table of them, by the name of what differs; one that is not in it fails the test, and so does a row
that meets no difference any more.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.protocols.imap.dovecot import dovecot
from tests.protocols.imap.talk import Answer, Talk, fetched, values
from tests.protocols.imap.town import PASSWORD, Town, open_town


@dataclass(frozen=True)
class Pair:
    """A user of ours and one of Dovecot's, whose mailboxes begin alike."""

    names: tuple[str, str]
    ours: Talk
    theirs: Talk

    def __call__(self, command: bytes) -> tuple[object, object]:
        """What both say, as far as it means anything."""
        return said(self.ours(command)), said(self.theirs(command))

    def ok(self, command: bytes) -> None:
        self.ours.ok(command)
        self.theirs.ok(command)

    def again(self, street: Street) -> Pair:
        """The same users, signed in once more."""
        return street.signed_in(*self.names)

    def append(self, folder: str, octets: bytes, *, flags: str = "", day: int = 1) -> None:
        date = f'"{day:02}-Feb-2024 03:04:05 +0000"'
        self.ok(f'APPEND "{folder}" ({flags}) {date} {{{len(octets)}+}}\r\n'.encode() + octets)


@dataclass(frozen=True)
class Street:
    town: Town
    port: int
    numbers: Iterator[int]
    open: contextlib.ExitStack

    def pair(self) -> Pair:
        """Somebody new."""
        return self.signed_in(self.town.member(), f"user{next(self.numbers)}")

    def signed_in(self, *names: str) -> Pair:
        """Clients of a user of ours and of one of Dovecot's."""
        ours, theirs = (self.open.enter_context(Talk(port)) for port in (self.town.port, self.port))
        for talk, name in zip((ours, theirs), names, strict=True):
            talk.ok(f'LOGIN {name} "{PASSWORD}"'.encode())
        return Pair((names[0], names[1]), ours, theirs)


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory, tool: Callable[[str], str]) -> Iterator[Street]:
    with (
        open_town(tmp_path_factory.mktemp("town")) as town,
        dovecot(tool("dovecot")) as port,
        contextlib.ExitStack() as stack,
    ):
        yield Street(town, port, iter(range(1, 1000)), stack)


def compare(found: Mapping[str, tuple[object, object]], wanted: Mapping[str, str]) -> None:
    """Find differences that are not wanted, and wanted ones that are not there. The names in `wanted` are patterns."""
    differences = {name: pair for name, pair in found.items() if pair[0] != pair[1]}
    unlisted = [
        f"{name!r}\n  ours:   {ours!r}\n  theirs: {theirs!r}"
        for name, (ours, theirs) in differences.items()
        if not any(re.fullmatch(pattern, name) for pattern in wanted)
    ]
    assert not unlisted, "\n".join([f"{len(unlisted)} differences that are not listed:", *unlisted])
    stale = [pattern for pattern in wanted if not any(re.fullmatch(pattern, name) for name in differences)]
    assert not stale, "no difference any more"


# What an answer means, without what servers are free in.


def said(answer: Answer) -> tuple[str, ...]:
    """How a command ended, and its untagged lines in any order."""
    lines = sorted(filter(None, map(meaning, answer.lines)))
    return (f"{answer.status} {code(answer.text)}".strip(), *lines, *expunged(answer.lines))


def expunged(lines: Sequence[bytes]) -> list[str]:
    """The mails that EXPUNGE tells of, by the numbers that they had before the command: servers go up or down."""
    gone: list[int] = []
    for line in lines:
        number, _, word = line.partition(b" ")
        if word == b"EXPUNGE":
            before = int(number)
            for other in sorted(gone):
                before += other <= before
            gone.append(before)
    return [f"EXPUNGE {number}" for number in sorted(gone)]


def meaning(line: bytes) -> str:
    """One untagged line; "" for one that says nothing that a client must know."""
    word, _, rest = line.partition(b" ")
    if word.isdigit():
        found = fetched([line]).get(int(word))
        if found is not None:
            return f"FETCH {int(word)} {sorted((name, item(name, value)) for name, value in found.items())}"
        return "" if rest in {b"RECENT", b"EXPUNGE"} else line.decode()
    read = _MEANINGS.get(word)
    return line.decode("utf-8", "replace") if read is None else read(word.decode(), rest)


def _condition(word: str, rest: bytes) -> str:
    return f"{word} {code(rest)}" if code(rest) else ""


def _listed(word: str, rest: bytes) -> str:
    attributes, delimiter, name, *more = values(rest)
    assert isinstance(attributes, list)
    alike = sorted({each.decode().lower() for each in attributes} - {"\\marked", "\\unmarked"})
    return f"{word} {' '.join(alike)} {delimiter!r} {name!r} {more}"


def _status(word: str, rest: bytes) -> str:
    name, items = values(rest)
    assert isinstance(items, list)
    pairs = sorted((item.decode(), value.decode()) for item, value in zip(items[::2], items[1::2], strict=True))
    own = {"UIDVALIDITY", "HIGHESTMODSEQ"}
    return f"{word} {name!r} {[(item, 'n' if item in own else value) for item, value in pairs if item != 'RECENT']}"


_MEANINGS: Mapping[bytes, Callable[[str, bytes], str]] = {
    **dict.fromkeys((b"OK", b"NO", b"BAD"), _condition),
    **dict.fromkeys((b"LIST", b"LSUB"), _listed),
    b"STATUS": _status,
    b"FLAGS": lambda word, rest: f"{word} {flags(values(rest)[0])}",
    b"SEARCH": lambda word, rest: f"{word} {sorted(rest.partition(b'(')[0].split())}",
    b"ESEARCH": lambda word, rest: f"{word} {re.sub(rb'MODSEQ [0-9]+', b'MODSEQ n', rest.partition(b')')[2])!r}",
}


def code(text: bytes) -> str:
    """A response code without the numbers that are a server's own."""
    match = re.match(rb"\[([^\]]*)\]", text)
    if match is None:
        return ""
    word, _, rest = match[1].partition(b" ")
    if word == b"PERMANENTFLAGS":
        return f"[PERMANENTFLAGS {flags(values(rest)[0])}]"
    if word in {b"UIDVALIDITY", b"HIGHESTMODSEQ", b"CAPABILITY"}:
        return f"[{word.decode()}]"
    if word in {b"APPENDUID", b"COPYUID"}:
        rest = rest.partition(b" ")[2]
    # Dovecot 2.3 has not these: it need not say why it refuses, and knows no ids.
    return "" if word in {b"MAILBOXID", *_REASONS} else f"[{word.decode()} {rest.decode()}]".replace(" ]", "]")


_REASONS = {b"NONEXISTENT", b"INUSE", b"CLIENTBUG"}


def flags(words: object) -> list[str]:
    assert isinstance(words, list)
    return sorted(word.decode() for word in words if word != b"\\Recent")


def item(name: bytes, value: object) -> object:
    """What FETCH tells, alike where both ways of saying it are the same: flags in any order, a day with a space or a
    zero before it, NIL or nothing for a part that is not there, and a structure in capitals or not.
    """
    match name:
        case b"FLAGS":
            return flags(value)
        case b"MODSEQ":
            return "n"
        case b"INTERNALDATE" if isinstance(value, bytes):
            return value.replace(b" ", b"0", 1) if value.startswith(b" ") else value
        case b"BODY" | b"BODYSTRUCTURE":
            return small(value)
    return b"" if value is None else value


def small(value: object) -> object:
    if isinstance(value, list):
        return [small(each) for each in value]
    return value.lower() if isinstance(value, bytes) else value


# FETCH: every mail of the corpus, every attribute.


ATTRIBUTES = [
    *["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY", "BODYSTRUCTURE"],
    *["BODY.PEEK[]", "BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]", "RFC822.HEADER"],
    *["BODY.PEEK[]<0.100>", "BODY.PEEK[]<90.1000>", "BODY.PEEK[]<999999999.5>", "BODY.PEEK[TEXT]<5.10>"],
    *["BODY.PEEK[HEADER]<7.9>", "BODY.PEEK[1]<3.50>"],
    *["BODY.PEEK[HEADER.FIELDS (SUBJECT FROM X-NONE)]", "BODY.PEEK[HEADER.FIELDS.NOT (RECEIVED SUBJECT)]"],
    *[
        f"BODY.PEEK[{part}{what}]"
        for part in ("1", "2", "3", "1.1", "1.2", "2.1", "2.2", "1.1.1", "9")
        for what in ("", ".MIME")
    ],
    *[
        f"BODY.PEEK[{part}.{what}]"
        for part in ("1", "2", "2.1")
        for what in ("HEADER", "TEXT", "HEADER.FIELDS (SUBJECT)")
    ],
    *[f"BINARY.PEEK[{part}]" for part in ("1", "2", "1.1", "1.2", "2.1")],
    *[f"BINARY.SIZE[{part}]" for part in ("1", "2", "1.1", "2.1")],
    *["BINARY.PEEK[1]<2.9>"],
]


def corpus(folder: Path) -> dict[str, bytes]:
    """Mails by name, with the line ends of the wire."""
    return {
        path.name: re.sub(rb"\r?\n", b"\r\n", path.read_bytes()).replace(b"\0", b"")
        for path in sorted((folder / "mails").glob("*.eml"))
    }


@pytest.fixture(scope="module")
def filled(street: Street, shared_data: Path) -> tuple[Pair, list[str]]:
    """Both with the corpus in their INBOX, in the same order, on different days."""
    pair = street.pair()
    mails = corpus(shared_data)
    for number, octets in enumerate(mails.values()):
        pair.append(
            "INBOX",
            octets,
            flags=("", "\\Seen", "\\Flagged $Work", "\\Answered \\Draft")[number % 4],
            day=number % 28 + 1,
        )
    pair.ok(b"EXAMINE INBOX")
    return pair, list(mails)


def test_fetch(filled: tuple[Pair, list[str]]) -> None:
    pair, names = filled
    found: dict[str, tuple[object, object]] = {}
    for attribute in ATTRIBUTES:
        sides = [told(talk, attribute, len(names)) for talk in (pair.ours, pair.theirs)]
        for name, ours, theirs in zip(names, *sides, strict=True):
            found[f"{attribute} of {name}"] = ours, theirs
    compare({key: pair for key, pair in found.items() if not below_a_leaf(key, found)}, FETCH)


def below_a_leaf(key: str, found: Mapping[str, tuple[object, object]]) -> bool:
    """Whether a difference is only this: Dovecot takes 1.1 for 1 where that has no parts, and RFC 9051 §6.4.5 knows no
    such part.
    """
    outer = re.sub(r"\.1(?=[].])", "", key, count=1)
    ours, theirs = found[key]
    return outer in found and outer != key and ours in ([b""], [b"0"], "NO") and theirs == found[outer][1]


def told(talk: Talk, attribute: str, mails: int) -> list[object]:
    """What a FETCH of every mail gives, mail by mail; NO for one that cannot be told."""
    if not attribute.startswith("BINARY"):
        found = fetched(talk.ok(f"FETCH 1:* ({attribute})".encode()).lines)
        return [one(found.get(number, {})) for number in range(1, mails + 1)]
    answers = [talk(f"FETCH {number} ({attribute})".encode()) for number in range(1, mails + 1)]
    return [
        one(fetched(answer.lines).get(number, {})) if answer.status == "OK" else answer.status
        for number, answer in enumerate(answers, start=1)
    ]


def one(items: Mapping[bytes, object]) -> list[object]:
    """What is told of one mail."""
    return [item(name, value) for name, value in sorted(items.items()) if name != b"UID"]


FETCH: Mapping[str, str] = {
    r"ENVELOPE of error_emails--bad_(date_header|subject).eml": (
        "RFC 5322 §2.2: white space around a value is not part of it"
    ),
    (
        r"ENVELOPE of (error_emails--(content_transfer_encoding_empty|encoding_madness|missing_body|"
        r"weird_to_header)|mime_emails--raw_email11|rfc2822--example1[13]|"
        r"plain_emails--(mix_caps_content_type|raw_email_multiple_from|raw_email_with_at_display_name)).eml"
    ): "what is no address is told without words of our own such as MISSING_DOMAIN, or left out",
    r"ENVELOPE of mime_emails--raw_email_with_(binary_encoded|multipart_mixed_quoted_boundary).eml": (
        "of two Subject fields the first counts"
    ),
    r"ENVELOPE of rfc2822--example14.eml": "RFC 5322 §2.2.3: unfolding takes the line end away, not the tab behind it",
    r"BODY(STRUCTURE)? of attachment_emails--attachment_with_unquoted_name.eml": (
        "a name with spaces that lacks its quotes is still a whole name"
    ),
    (
        r"BODY(STRUCTURE)? of error_emails--content_transfer_encoding_(qp_with_space|text-html|"
        r"with_semi_colon).eml"
    ): "a strange transfer encoding is told as it stands, one with a semicolon behind it is known",
    (
        r"BODYSTRUCTURE of error_emails--(missing_content_disposition|"
        r"multiple_invalid_content_dispositions).eml"
    ): "an empty disposition is none, a strange one is told",
    (
        r"BODY(STRUCTURE)? of (mime_emails--raw_email_with_(binary_encoded|illegal_boundary)|"
        r"plain_emails--raw_email_bad_time).eml"
    ): "a boundary with = in it that lacks its quotes is still a whole boundary",
    r"BODYSTRUCTURE of multi_charset--japanese_attachment_long_name.eml": (
        "RFC 9051 §7.5.2: parameters are told as they stand, in pieces if they are"
    ),
    r"BODY\.PEEK\[3\.MIME\] of mime_emails--raw_email_with_illegal_boundary.eml": (
        "the same boundary: there is no third part"
    ),
    r"BODY\.PEEK\[2\.HEADER\] of attachment_emails--attachment_message_rfc822_inline_image.eml": (
        "RFC 9051 §6.4.5: the empty line that ends a header is part of it"
    ),
    (
        r"BINARY.* of error_emails--content_transfer_encoding_(empty|with_semi_colon|x_uuencode|qp_with_space|"
        r"7-bit|text-html).eml"
    ): "Dovecot refuses all parts if it does not know the encoding of one",
    (
        r"BINARY.* of (attachment_emails--attachment_message_rfc822(_inline_image)?|mime_emails--raw_email(7|"
        r"_with_nested_attachment)).eml"
    ): "RFC 3516 §4.3: a part with parts has no encoding to be taken off, Dovecot takes it off those within",
    r"BINARY\.SIZE\[1\] of error_emails--empty_group_lists.eml": "Dovecot's size is not that of what it gives",
}


# SEARCH, SORT and THREAD over the corpus.


SEARCHES = [
    *[
        "ALL",
        "SEEN",
        "UNSEEN",
        "FLAGGED",
        "UNANSWERED",
        "DRAFT",
        "DELETED",
        "UNDELETED",
        "KEYWORD $Work",
        "UNKEYWORD $work",
    ],
    *["1:5", "*", "3:*", "UID 3,5:9", "NOT 1:50", "UID 999", "999:*"],
    *["BEFORE 3-Feb-2024", "SINCE 20-Feb-2024", "ON 5-Feb-2024", "BEFORE 1-Feb-2024", "SINCE 1-Jan-2030"],
    *["SENTBEFORE 1-Jan-2010", "SENTSINCE 1-Jan-2010", "SENTON 1-Jan-2010"],
    *["LARGER 2000", "SMALLER 2000", "LARGER 0", "SMALLER 1", "OLDER 60", "YOUNGER 600000000"],
    *["SUBJECT test", "SUBJECT Test", 'SUBJECT ""', "SUBJECT zzzz", "FROM example.com", "TO example", "CC a", "BCC a"],
    *["BODY the", "TEXT the", "TEXT subject", "BODY html", 'BODY "hello"', "HEADER Message-ID a", 'HEADER X-Mailer ""'],
    *["HEADER Content-Type multipart", 'HEADER Subject ""', "TEXT boundary", "FROM @", "TO @", "SUBJECT re:"],
    *["CHARSET UTF-8 SUBJECT {6+}\r\n测试", "CHARSET UTF-8 TEXT {2+}\r\né", "CHARSET UTF-8 BODY {3+}\r\nñ "],
    *["OR SEEN FLAGGED", "NOT SEEN NOT FLAGGED", "(SEEN OR LARGER 3000 SMALLER 500)", "OR (1:3 SEEN) (10:20 UNSEEN)"],
    *["NOT (OR SEEN FLAGGED)", "UNSEEN SUBJECT a", "OR SUBJECT a FROM b"],
]
SORTS = [
    *["ARRIVAL", "REVERSE ARRIVAL", "DATE", "REVERSE DATE", "SUBJECT", "REVERSE SUBJECT", "SIZE", "REVERSE SIZE"],
    *["FROM", "TO", "CC", "DISPLAYFROM", "DISPLAYTO", "SUBJECT REVERSE DATE", "FROM SIZE", "REVERSE FROM REVERSE SIZE"],
]


def test_search(filled: tuple[Pair, list[str]]) -> None:
    pair, names = filled
    found: dict[str, tuple[object, object]] = {}
    for key in SEARCHES:
        ours, theirs = (set(_hits(talk, key)) for talk in (pair.ours, pair.theirs))
        for number, name in enumerate(names, start=1):
            found[f"{key} in {name}"] = number in ours, number in theirs
    compare(found, SEARCH)


def _hits(talk: Talk, key: str) -> list[int]:
    [line] = talk.ok(f"SEARCH {key}".encode()).lines
    return [int(number) for number in line.split()[1:]]


SEARCH: Mapping[str, str] = {
    r"999:\* in rfc6532--utf8_headers.eml": "RFC 9051 §9: 999:* has the last mail, also where there are fewer",
    (
        r"SENTBEFORE .* in (error_emails--(bad_date_header2?|bad_encoded_subject|"
        r"content_transfer_encoding_empty|invalid_subject_characters|multiple_.*)|"
        r"multi_charset--japanese(_iso_2022)?|plain_emails--raw_email_with_bad_date|rfc2822--example13|"
        r"rfc6532--utf8_headers).eml"
    ): "a mail without a date, or with none that can be read, was sent neither before nor since",
    (
        r"SENT(BEFORE|SINCE) .* in (rfc2822--example(04|10)|plain_emails--raw_email_bad_time|"
        r"error_emails--bad_date_header2).eml"
    ): "Dovecot knows no day before 1970 or far ahead; and a day is one though its time is none",
    r'SUBJECT "" in .*': "nothing is in every subject, also in one that is missing",
    (
        r"(BODY|TEXT) .* in error_emails--content_transfer_encoding_(7-bit|plain|spam|text-html|with_8bits|"
        r"empty).eml"
    ): "a text whose encoding is not known is searched as it stands",
    (
        r"(BODY|TEXT) the in (multipart_report_emails--multipart_report_multiple_status|"
        r"attachment_emails--attachment_message_rfc822_inline_image).eml"
    ): "texts are searched: no delivery reports, nor headers of mails within mails",
    r"TO @ in rfc2822--example13.eml": "there is no address in it",
    r".*SUBJECT a.* in mime_emails--raw_email_with_(multipart_mixed_quoted_boundary|binary_encoded).eml": (
        "of two Subject fields the first counts"
    ),
    r".*SUBJECT a.* in rfc6532--utf8_headers.eml": "a letter is not the same as one with an accent",
}


STRANGE = {
    "error_emails--bad_date_header2.eml": "has a day but no time",
    "plain_emails--mix_caps_content_type.eml": "has a From that is no address",
    "plain_emails--raw_email_bad_time.eml": "was sent in the year 3609, which Dovecot does not know",
    "error_emails--empty_group_lists.eml": "goes to a group of nobody, whose name Dovecot takes for an address",
    "error_emails--weird_to_header.eml": "goes first to nobody, whom Dovecot takes for an address",
    "mime_emails--raw_email11.eml": "goes to a name without a domain",
    "rfc2822--example04.eml": "was sent before 1970, and to a group, whose name Dovecot takes for an address",
    "rfc2822--example10.eml": "likewise",
    "rfc2822--example13.eml": "has a date with comments in it",
    "rfc6532--utf8_headers.eml": "has accents, which Dovecot takes off",
}
"""Mails of which Dovecot reads something else, and which it therefore sorts elsewhere; why stands beside them."""


def test_sort(filled: tuple[Pair, list[str]]) -> None:
    pair, names = filled
    key = plain(names)
    compare({by: pair(f"SORT ({by}) UTF-8 {key}".encode()) for by in SORTS}, SORT)


def plain(names: Sequence[str]) -> str:
    """The numbers of the mails that are not strange."""
    assert STRANGE.keys() <= set(names)
    return ",".join(str(number) for number, name in enumerate(names, start=1) if name not in STRANGE)


SORT: Mapping[str, str] = {}


def test_thread(filled: tuple[Pair, list[str]]) -> None:
    pair, names = filled
    key = plain(names)
    compare({by: pair(f"THREAD {by} UTF-8 {key}".encode()) for by in ("REFERENCES", "ORDEREDSUBJECT")}, THREAD)


THREAD: Mapping[str, str] = {}


# Dialogues.


def mail(number: int) -> bytes:
    return (
        f"From: a{number}@x.example\r\nTo: b@x.example\r\nSubject: Mail {number}\r\n"
        f"Message-ID: <{number}@x.example>\r\nDate: Thu, {number:02} Feb 2024 01:02:03 +0000\r\n\r\nBody {number}.\r\n"
    ).encode()


def converse(street: Street, commands: Sequence[str], wanted: Mapping[str, str], *, mails: int = 5) -> None:
    """The same commands to both; each answer is named by its command."""
    pair = street.pair()
    for number in range(1, mails + 1):
        pair.append("INBOX", mail(number), flags="\\Seen" if number % 2 else "", day=number)
    found = {}
    for place, command in enumerate(commands):
        name = command if command not in found else f"{command} ({place})"
        found[name] = pair(command.encode())
    compare(found, wanted)


def test_folders(street: Street) -> None:
    converse(
        street,
        [
            *['LIST "" *', 'LIST "" %', 'LIST "" ""', 'LIST "" inbox', 'LIST "" Inb%', 'LSUB "" *', "NAMESPACE"],
            *[
                "CREATE a",
                "CREATE a",
                "CREATE a/b/c",
                "CREATE d/",
                "CREATE INBOX",
                "CREATE inbox/x",
                'CREATE ""',
                "CREATE &U,BTFw-",
            ],
            *[
                'LIST "" *',
                'LIST "" %',
                'LIST "a" "*"',
                'LIST "a/" "*"',
                'LIST "" a/%',
                'LIST "" *c',
                'LIST "a/" %',
                'LIST "" a*',
            ],
            *["SUBSCRIBE a/b/c", "SUBSCRIBE nope", "UNSUBSCRIBE Sent", 'LSUB "" *', 'LSUB "" %', 'LSUB "" a/%'],
            *[
                'LIST (SUBSCRIBED) "" *',
                'LIST (SUBSCRIBED) "" * RETURN (CHILDREN)',
                'LIST (SUBSCRIBED RECURSIVEMATCH) "" %',
            ],
            *['LIST "" (a* INBOX)', 'LIST "" * RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)', 'LIST (SPECIAL-USE) "" *'],
            *['LIST "" % RETURN (STATUS (MESSAGES UNSEEN UIDNEXT SIZE))', 'LIST (REMOTE) "" %'],
            *["RENAME a z", 'LIST "" *', 'LSUB "" *', "RENAME nope y", "RENAME z Sent", "RENAME z/b z", "RENAME d e/f"],
            *[
                "DELETE z/b",
                "DELETE z/b/c",
                "DELETE z/b",
                "DELETE nope",
                "DELETE INBOX",
                "DELETE z",
                "DELETE e",
                'LIST "" *',
            ],
            *["STATUS INBOX (MESSAGES UNSEEN UIDNEXT UIDVALIDITY SIZE HIGHESTMODSEQ)", "STATUS nope (MESSAGES)"],
            *["STATUS Sent (MESSAGES UNSEEN UIDNEXT SIZE)", "SELECT nope", "EXAMINE e/f", "CLOSE", "UNSELECT", "CHECK"],
            *["RENAME INBOX Old", 'LIST "" *', "STATUS INBOX (MESSAGES)", "STATUS Old (MESSAGES)", "SUBSCRIBE INBOX"],
        ],
        FOLDERS,
    )


FOLDERS: Mapping[str, str] = {
    r'LIST "" Inb%': "RFC 9051 §5.1: only INBOX itself is in any case",
    r"NAMESPACE": "public mailboxes are shown below Shared/",
    r"LSUB .*": (
        "INBOX is subscribed from the start, which this Dovecot is not told to do; LSUB of ours tells no special use"
    ),
    r"LIST \(SUBSCRIBED.*": "the same",
    r'LIST "(a/?)?" ("\*"|\*|%|a/%|a\*)( \(\d+\))?': (
        "every folder of ours holds mails: a parent is made as one, and so is one whose name ended in a slash"
    ),
    r'LIST "" \(a\* INBOX\)|LIST \(REMOTE\) "" %|LIST "" [*%] RETURN .*': "the same",
    r"DELETE INBOX": "ours says that it can never be (RFC 5530)",
    r"DELETE (z/b|z/b \(\d+\)|e)|EXAMINE e/f|CLOSE": "the same, with what follows from it",
}


def test_marks(street: Street) -> None:
    converse(
        street,
        [
            *[
                "SELECT INBOX",
                "STORE 1 +FLAGS (\\Flagged)",
                "STORE 1:2 -FLAGS (\\Seen)",
                "STORE 1,3 FLAGS (\\Answered $Work)",
            ],
            *[
                "STORE 2 +FLAGS.SILENT (\\Deleted)",
                "FETCH 1:* FLAGS",
                "UID STORE 4 +FLAGS (work $Work)",
                "STORE 5 +FLAGS (WORK)",
            ],
            *[
                "STORE 1 FLAGS ()",
                "STORE 9 +FLAGS (\\Seen)",
                "UID STORE 99 +FLAGS (\\Seen)",
                "STORE 1 +FLAGS ()",
                "STORE 1 -FLAGS (none)",
            ],
            *[
                "STORE 1 FLAGS (\\Foo)",
                "STORE 1 +FLAGS \\Seen",
                "FETCH 1:* (UID FLAGS)",
                "FETCH 1 BODY[TEXT]",
                "FETCH 2 BODY[TEXT]",
            ],
            *[
                "FETCH 4 (BODY[HEADER.FIELDS (SUBJECT)] FLAGS)",
                "FETCH 2 RFC822.TEXT",
                "FETCH 4 RFC822.HEADER",
                "FETCH 2 RFC822",
            ],
            *[
                "EXAMINE INBOX",
                "STORE 1 +FLAGS (\\Deleted)",
                "FETCH 2 BODY[]",
                "EXPUNGE",
                "CLOSE",
                "STORE 1 +FLAGS (\\Seen)",
            ],
        ],
        MARKS,
    )


MARKS: Mapping[str, str] = {
    r"(SELECT|EXAMINE) INBOX": (
        "HIGHESTMODSEQ is told with every SELECT, so that clients may begin with it at any time; EXAMINE "
        "knows no keyword that was only taken away"
    ),
    r"STORE 1:2 -FLAGS \(\\Seen\)|STORE 1 \+FLAGS \(\)": (
        "RFC 9051 §6.4.6: STORE answers for every mail, also for one that was so already"
    ),
    r"STORE 1 -FLAGS \(none\)": "the same, and a keyword that is taken away makes none",
    r"STORE 1 \+FLAGS \(\\Deleted\)|EXPUNGE": "what EXAMINE does not let through is refused, not passed over",
}


def test_moving(street: Street) -> None:
    converse(
        street,
        [
            *[
                "SELECT INBOX",
                "CREATE Target",
                "COPY 1:2 Target",
                "UID COPY 3 Target",
                "COPY 9 Target",
                "UID COPY 99 Target",
            ],
            *[
                "COPY 1 nope",
                "MOVE 1 Target",
                "UID MOVE 3,5 Target",
                "MOVE 9 Target",
                "UID MOVE 99 Target",
                "MOVE 1 nope",
            ],
            *[
                "FETCH 1:* (UID FLAGS)",
                "STORE 1 +FLAGS (\\Deleted)",
                "UID EXPUNGE 99",
                "EXPUNGE",
                "NOOP",
                "COPY 1 INBOX",
                "NOOP",
            ],
            *["FETCH 1:* (UID FLAGS INTERNALDATE)", "SELECT Target", "FETCH 1:* (UID FLAGS INTERNALDATE)"],
            *[
                "STORE 1:3 +FLAGS (\\Deleted)",
                "UID EXPUNGE 2:3",
                "CLOSE",
                "STATUS Target (MESSAGES UIDNEXT)",
                "SELECT Target",
                "FETCH 1:* UID",
            ],
            *[
                "STORE 1 +FLAGS.SILENT (\\Deleted)",
                "EXPUNGE",
                "EXPUNGE",
                "FETCH 1 FLAGS",
                "UID FETCH 1 FLAGS",
                "UID FETCH 1:* FLAGS",
            ],
        ],
        MOVING,
    )


MOVING: Mapping[str, str] = {
    r"SELECT (INBOX|Target)( \(\d+\))?": (
        "HIGHESTMODSEQ is told with every SELECT, so that clients may begin with it at any time"
    ),
}


def test_searching(street: Street) -> None:
    converse(
        street,
        [
            *[
                "SELECT INBOX",
                "SEARCH UNSEEN",
                "UID SEARCH UNSEEN",
                "SEARCH RETURN () ALL",
                "SEARCH RETURN (MIN MAX COUNT) UNSEEN",
            ],
            *["UID SEARCH RETURN (ALL) 2:4", "SEARCH RETURN (COUNT) NOT ALL", "SEARCH RETURN (MIN ALL) NOT ALL"],
            *[
                "SEARCH RETURN (SAVE) 2:3",
                "FETCH $ UID",
                "SEARCH RETURN (SAVE MIN) UNSEEN",
                "FETCH $ UID",
                "UID SEARCH $",
            ],
            *[
                "SEARCH RETURN (SAVE COUNT) ALL",
                "STORE $ +FLAGS (\\Flagged)",
                "SEARCH $ 1",
                "SEARCH CHARSET KLINGON ALL",
            ],
            *[
                "SEARCH NEW",
                "SEARCH UID 1:2 SUBJECT mail",
                "SEARCH 9",
                "SEARCH 1:9",
                "SEARCH *",
                "SEARCH SEEN SUBJECT",
                "SEARCH X",
            ],
            *[
                "SEARCH ()",
                "SEARCH",
                "SORT (ARRIVAL) UTF-8 ALL",
                "UID SORT (REVERSE DATE) UTF-8 UNSEEN",
                "SORT () UTF-8 ALL",
            ],
            *[
                "SORT RETURN (MIN COUNT) (DATE) UTF-8 ALL",
                "SORT (DATE) KLINGON ALL",
                "THREAD REFERENCES UTF-8 ALL",
                "THREAD X UTF-8 ALL",
            ],
            *["SEARCH MODSEQ 1", "SEARCH OLDER 5", "UID SEARCH YOUNGER 5"],
        ],
        SEARCHING,
    )


SEARCHING: Mapping[str, str] = {
    r"SELECT INBOX": "HIGHESTMODSEQ is told with every SELECT, so that clients may begin with it at any time",
    r"SEARCH NEW": "no mail of ours is ever recent, which IMAP4rev2 has taken away",
    r".* KLINGON ALL": "RFC 9051 §7.1: BADCHARSET says which are known",
    r"SEARCH MODSEQ 1": "HIGHESTMODSEQ was told with SELECT",
}


def test_fetching(street: Street) -> None:
    converse(
        street,
        [
            *[
                "FETCH 1 FLAGS",
                "SELECT INBOX",
                "FETCH 1 ALL",
                "FETCH 2 FAST",
                "FETCH 3 FULL",
                "FETCH 9 FLAGS",
                "FETCH 1:9 UID",
                "FETCH *:9 UID",
            ],
            *[
                "UID FETCH 9:* FLAGS",
                "UID FETCH 1,9 UID",
                "FETCH * UID",
                "FETCH 1 (UID UID FLAGS)",
                "FETCH 1 X",
                "FETCH 1 ()",
                "FETCH 1",
            ],
            *[
                "FETCH 1 BODY.PEEK[HEADER.FIELDS (subject)]",
                "FETCH 1 BODY.PEEK[9]",
                "FETCH 1 BODY.PEEK[1.MIME]",
                "FETCH 1 BODY.PEEK[TEXT]<2.3>",
            ],
            *[
                "FETCH 1 BINARY.PEEK[1]",
                "FETCH 1 BINARY.SIZE[1]",
                "FETCH 1 BINARY.PEEK[9]",
                "FETCH 1 PREVIEW",
                "FETCH 1 (PREVIEW (LAZY))",
            ],
            *[
                "FETCH 0 FLAGS",
                "FETCH a FLAGS",
                "FETCH 1 (ALL)",
                "FETCH 1 BODY[HEADER.FIELDS ()]",
                "FETCH 1 BODY.PEEK[0]",
            ],
            *["UID FETCH 1 (FLAGS) (CHANGEDSINCE 1)", "FETCH 1 (FLAGS) (CHANGEDSINCE 999999)", "FETCH 1 (MODSEQ)"],
        ],
        FETCHING,
    )


FETCHING: Mapping[str, str] = {
    r"SELECT INBOX": "HIGHESTMODSEQ is told with every SELECT, so that clients may begin with it at any time",
    r"FETCH 1 BODY.PEEK\[HEADER.FIELDS \(subject\)\]": "a section is called as the client calls it",
    r"FETCH 1 BODY.PEEK\[0\]": "RFC 9051 §9: part numbers begin at 1",
    r"UID FETCH 1 \(FLAGS\) \(CHANGEDSINCE 1\)": "HIGHESTMODSEQ was told with SELECT",
}


def test_appending(street: Street) -> None:
    octets = mail(1).decode()
    literal = f"{{{len(octets)}+}}\r\n{octets}"
    converse(
        street,
        [
            *[
                f"APPEND INBOX {literal}",
                f"APPEND inbox (\\Seen work) {literal}",
                f"APPEND nope {literal}",
                "SELECT INBOX",
            ],
            *[f'APPEND INBOX (\\Draft) "17-Jul-1996 02:44:25 -0700" {literal}', "FETCH 1:* (UID FLAGS RFC822.SIZE)"],
            *[
                "FETCH * INTERNALDATE",
                f"APPEND Sent {literal} (\\Flagged) {literal}",
                "STATUS Sent (MESSAGES UNSEEN UIDNEXT)",
            ],
            *[
                "APPEND INBOX {0+}\r\n",
                "NOOP",
            ],
            *["APPEND INBOX", f"APPEND INBOX ~{literal}", "APPEND INBOX {9+}\r\nno header", "NOOP", "FETCH * BODY[]"],
        ],
        APPENDING,
        mails=0,
    )


APPENDING: Mapping[str, str] = {
    "SELECT INBOX": "HIGHESTMODSEQ is told with every SELECT, so that clients may begin with it at any time",
}


def test_two_sessions(street: Street) -> None:
    # A client and another of the same user: what the second does, the first hears at its next command, and no sooner
    # where a number would change its meaning.
    first = street.pair()
    second = first.again(street)
    for number in range(1, 7):
        first.append("INBOX", mail(number), day=number)
    found = {}
    for place, (name, command) in enumerate(
        [
            ("first", "SELECT INBOX"),
            ("second", "SELECT INBOX"),
            ("second", "STORE 2 +FLAGS (\\Flagged new)"),
            ("first", "NOOP"),
            ("second", "STORE 3,4 +FLAGS.SILENT (\\Deleted)"),
            ("second", "EXPUNGE"),
            ("first", "FETCH 3:5 UID"),
            ("first", "STORE 5 +FLAGS (\\Answered)"),
            ("first", "SEARCH 1:*"),
            ("first", "UID FETCH 1:* UID"),
            ("first", "NOOP"),
            ("first", "FETCH 1:* UID"),
            ("second", "COPY 1 INBOX"),
            ("second", "MOVE 1 Trash"),
            ("first", "NOOP"),
            ("second", "NOOP"),
            ("second", "FETCH 1:* (UID FLAGS)"),
            ("first", "UID COPY 2:* Trash"),
            ("first", "CLOSE"),
            ("second", "NOOP"),
        ]
    ):
        pair = first if name == "first" else second
        found[f"{place} {name}: {command}"] = pair(command.encode())
    compare(found, TWO_SESSIONS)


TWO_SESSIONS: Mapping[str, str] = {
    r"\d+ \w+: SELECT INBOX": "HIGHESTMODSEQ is told with every SELECT, so that clients may begin with it at any time",
    r"(6|8|9) first: .*": "RFC 5530: what has gone already is not told any more, and the client hears EXPUNGEISSUED",
}


def test_resync(street: Street) -> None:
    converse(
        street,
        [
            *[
                "ENABLE CONDSTORE QRESYNC X-NONE",
                "SELECT INBOX (CONDSTORE)",
                "STORE 1 +FLAGS (\\Flagged)",
                "FETCH 1:2 (FLAGS MODSEQ)",
            ],
            *["UID STORE 1 (UNCHANGEDSINCE 1) +FLAGS (\\Deleted)", "STORE 1 (UNCHANGEDSINCE 99999) +FLAGS (\\Deleted)"],
            *[
                "STORE 2:3 (UNCHANGEDSINCE 99999) +FLAGS.SILENT (\\Deleted)",
                "UID EXPUNGE 2",
                "EXPUNGE",
                "SEARCH MODSEQ 1 ALL",
                "NOOP",
            ],
            *[
                "UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)",
                "FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)",
                "MOVE 1 Trash",
            ],
            *[
                "SELECT Trash (QRESYNC (1 1))",
                "UNSELECT",
                "SELECT INBOX (QRESYNC (1 0))",
                "STATUS INBOX (HIGHESTMODSEQ)",
            ],
        ],
        RESYNC,
    )


RESYNC: Mapping[str, str] = {
    r"FETCH 1:2 \(FLAGS MODSEQ\)": "RFC 7162 §3.2.3: with QRESYNC, every FETCH of ours has the UID",
    r"MOVE 1 Trash": "RFC 7162 §3.2.7 wants HIGHESTMODSEQ of EXPUNGE and CLOSE only",
}


def test_errors(street: Street) -> None:
    converse(
        street,
        [
            *[
                "XYZZY",
                "NOOP x",
                "LOGIN a b",
                "AUTHENTICATE PLAIN",
                "STARTTLS",
                "FETCH 1 FLAGS",
                "SELECT",
                "SELECT a b c",
                "UID NOOP",
            ],
            *[
                'LIST ""',
                'LIST "',
                "STATUS INBOX ()",
                "STATUS INBOX (X)",
                "CREATE a*b",
                "COPY 1 x",
                "DONE",
                "ENABLE",
                "ID",
                "ID NIL",
                "ID (x",
            ],
            *[
                "CREATE &AGE-",
                "CREATE &broken",
                "CREATE a//b",
                "CREATE /a",
                "SELECT INBOX (X)",
                "CHECK",
                "SUBSCRIBE &broken",
                "DELETE &AGE-",
            ],
        ],
        ERRORS,
    )


ERRORS: Mapping[str, str] = {
    r"NOOP x|SELECT a b c|CREATE a\*b|ENABLE": "no command by RFC 9051 §9",
    r"ID( NIL)?": "our name",
    r"(CREATE|SUBSCRIBE|DELETE) &(AGE-|broken)": "a name that is no modified UTF-7 is taken as it stands",
}

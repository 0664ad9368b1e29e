# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a client may say, as frozen values; RFC 9051 §6 unless an RFC is named.

Mailbox names are text already (out of modified UTF-7 or UTF-8), "INBOX" is in capitals. Sets of numbers stay ranges as
the client wrote them: `sequence.resolve` makes them fit a folder. What the store can ask for itself is the store's own
value (`mailboxes.query`, `mailboxes.order`, `mailboxes.threads`).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Final

from mailroom.core.secrets import Secret
from mailroom.mailboxes.change import How
from mailroom.mailboxes.model import Marks
from mailroom.mailboxes.order import Key as SortKey
from mailroom.mailboxes.order import Way
from mailroom.mailboxes.query import Arrived, Changed, Flagged, Header, Keyword, Sent, Sized, Text
from mailroom.mailboxes.threads import Algorithm

# Numbers of mails.

STAR: Final = 0
"""`*` in a range: the largest number in use. Real numbers begin at 1."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """A sequence-set (RFC 9051 §9): ranges in the order and with the overlaps that the client wrote, first and last
    included, the smaller first unless the last is `STAR`.
    """

    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Saved:
    """`$`: what the last SEARCH saved (RFC 5182)."""


Set = Numbers | Saved


# Commands of any state.


@dataclass(frozen=True, slots=True)
class Capability:
    """CAPABILITY."""


@dataclass(frozen=True, slots=True)
class Noop:
    """NOOP."""


@dataclass(frozen=True, slots=True)
class Logout:
    """LOGOUT."""


@dataclass(frozen=True, slots=True)
class Id:
    """ID (RFC 2971): what the client says of itself; empty for NIL."""

    fields: tuple[tuple[str, str | None], ...]


# Commands of a client that has not signed in.


@dataclass(frozen=True, slots=True)
class StartTls:
    """STARTTLS."""


@dataclass(frozen=True, slots=True)
class Authenticate:
    """AUTHENTICATE: the mechanism in capitals, and the initial response decoded (RFC 4959), or None. What follows comes
    as lines: ask the reader for them with `expect_line`.
    """

    mechanism: str
    initial: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Login:
    """LOGIN."""

    name: str
    password: Secret


# Commands of one who has signed in.


@dataclass(frozen=True, slots=True)
class Enable:
    """ENABLE (RFC 5161): the names in capitals, also unknown ones."""

    capabilities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """What a client knew when it last had the folder open (RFC 7162 §3.2.5). `uids` are those it has, or None for all;
    `matching` are message numbers with the UIDs that they had.
    """

    uidvalidity: int
    modseq: int
    uids: Numbers | None = None
    matching: tuple[Numbers, Numbers] | None = None


@dataclass(frozen=True, slots=True)
class Select:
    """SELECT, or EXAMINE when `examine`; with CONDSTORE or QRESYNC (RFC 7162)."""

    mailbox: str
    examine: bool = False
    condstore: bool = False
    known: Known | None = None


@dataclass(frozen=True, slots=True)
class Create:
    """CREATE: with the special uses asked for (RFC 6154 §3), backslash and all. A name may end in "/" (§6.3.4)."""

    mailbox: str
    uses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delete:
    """DELETE."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class Rename:
    """RENAME."""

    mailbox: str
    to: str


@dataclass(frozen=True, slots=True)
class Subscribe:
    """SUBSCRIBE."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """UNSUBSCRIBE."""

    mailbox: str


class Choose(enum.Flag):
    """Which names LIST shows (RFC 5258 §3.1, RFC 6154 §2)."""

    ANY = 0
    SUBSCRIBED = enum.auto()
    REMOTE = enum.auto()
    RECURSIVEMATCH = enum.auto()
    SPECIAL_USE = enum.auto()


class Tell(enum.Flag):
    """What LIST tells of each name besides (RFC 5258 §3.2, RFC 6154 §2)."""

    NOTHING = 0
    SUBSCRIBED = enum.auto()
    CHILDREN = enum.auto()
    SPECIAL_USE = enum.auto()


class StatusItem(enum.Enum):
    """What STATUS tells (§6.3.11, RFC 7162 §3.1.7, RFC 7889 §4, RFC 8474 §4.3, RFC 9208 §4.1.4); the value is the
    wire's word.
    """

    MESSAGES = b"MESSAGES"
    UIDNEXT = b"UIDNEXT"
    UIDVALIDITY = b"UIDVALIDITY"
    UNSEEN = b"UNSEEN"
    DELETED = b"DELETED"
    SIZE = b"SIZE"
    RECENT = b"RECENT"  # IMAP4rev1
    HIGHESTMODSEQ = b"HIGHESTMODSEQ"
    APPENDLIMIT = b"APPENDLIMIT"
    MAILBOXID = b"MAILBOXID"
    DELETED_STORAGE = b"DELETED-STORAGE"


@dataclass(frozen=True, slots=True)
class List:
    """LIST, also extended (RFC 5258) and with STATUS (RFC 5819). `extended` tells whether anything but a reference and
    one pattern was said: a basic LIST of "" asks for the delimiter.
    """

    reference: str
    patterns: tuple[str, ...]
    choose: Choose = Choose.ANY
    tell: Tell = Tell.NOTHING
    status: tuple[StatusItem, ...] = ()
    extended: bool = False


@dataclass(frozen=True, slots=True)
class Lsub:
    """LSUB (RFC 3501 §6.3.9)."""

    reference: str
    pattern: str


@dataclass(frozen=True, slots=True)
class XList:
    """XLIST: LIST that tells special uses, for clients from before RFC 6154."""

    reference: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Namespace:
    """NAMESPACE."""


@dataclass(frozen=True, slots=True)
class Status:
    """STATUS."""

    mailbox: str
    items: tuple[StatusItem, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """One mail of an APPEND: `date` is the internal date in ms UTC, or None for now; `size` what its literal has."""

    marks: Marks
    date: int | None
    size: int


@dataclass(frozen=True, slots=True)
class Append:
    """APPEND (also RFC 3502), when all its mails have come (`reader.Incoming` before each)."""

    mailbox: str
    drafts: tuple[Draft, ...]


@dataclass(frozen=True, slots=True)
class Idle:
    """IDLE (§6.3.13). What ends it comes as a line: ask the reader for it with `expect_line`."""


@dataclass(frozen=True, slots=True)
class GetQuota:
    """GETQUOTA (RFC 9208)."""

    root: str


@dataclass(frozen=True, slots=True)
class GetQuotaRoot:
    """GETQUOTAROOT (RFC 9208)."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class SetQuota:
    """SETQUOTA (RFC 9208)."""

    root: str
    limits: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class GetAcl:
    """GETACL (RFC 4314)."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class SetAcl:
    """SETACL (RFC 4314): `rights` may begin with + or -."""

    mailbox: str
    identifier: str
    rights: str


@dataclass(frozen=True, slots=True)
class DeleteAcl:
    """DELETEACL (RFC 4314)."""

    mailbox: str
    identifier: str


@dataclass(frozen=True, slots=True)
class ListRights:
    """LISTRIGHTS (RFC 4314)."""

    mailbox: str
    identifier: str


@dataclass(frozen=True, slots=True)
class MyRights:
    """MYRIGHTS (RFC 4314)."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class Compress:
    """COMPRESS (RFC 4978): the algorithm in capitals."""

    algorithm: str


# Commands on an open folder.


@dataclass(frozen=True, slots=True)
class Check:
    """CHECK (RFC 3501 §6.4.1)."""


@dataclass(frozen=True, slots=True)
class Close:
    """CLOSE."""


@dataclass(frozen=True, slots=True)
class Unselect:
    """UNSELECT."""


@dataclass(frozen=True, slots=True)
class Expunge:
    """EXPUNGE, or UID EXPUNGE of `uids`."""

    uids: Set | None = None


class Return(enum.Flag):
    """What SEARCH shall give (§6.4.4, RFC 5182)."""

    MIN = enum.auto()
    MAX = enum.auto()
    ALL = enum.auto()
    COUNT = enum.auto()
    SAVE = enum.auto()


@dataclass(frozen=True, slots=True)
class Among:
    """The mail's number, or its UID, is one of these."""

    numbers: Set
    uid: bool


@dataclass(frozen=True, slots=True)
class Age:
    """YOUNGER or OLDER (RFC 5032): so many seconds ago and later, or so many and earlier."""

    seconds: int
    older: bool


@dataclass(frozen=True, slots=True)
class EmailId:
    """EMAILID (RFC 8474 §5)."""

    id: str


@dataclass(frozen=True, slots=True)
class ThreadId:
    """THREADID (RFC 8474 §5)."""

    id: str


@dataclass(frozen=True, slots=True)
class All:
    """All of these; of none: every mail."""

    parts: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """OR; of none: no mail."""

    parts: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Other:
    """NOT."""

    part: Key


Key = (
    Among
    | Age
    | EmailId
    | ThreadId
    | All
    | Either
    | Other
    | Arrived
    | Changed
    | Flagged
    | Header
    | Keyword
    | Sent
    | Sized
    | Text
)
"""A search key. It nests at most as deep as `search.DEEPEST`. Arrived, Changed, Flagged, Header, Keyword, Sent, Sized
and Text are `mailboxes.query`'s own. RECENT, NEW and OLD are as on a server whose mails are never recent.
"""


@dataclass(frozen=True, slots=True)
class Search:
    """SEARCH and UID SEARCH. `returns` is None for the answer of old (`* SEARCH`)."""

    uid: bool
    key: Key
    returns: Return | None = None


@dataclass(frozen=True, slots=True)
class Sort:
    """SORT and UID SORT (RFC 5256, RFC 5957); `returns` as of SEARCH (RFC 5267)."""

    uid: bool
    by: tuple[tuple[SortKey, Way], ...]
    key: Key
    returns: Return | None = None


@dataclass(frozen=True, slots=True)
class Thread:
    """THREAD and UID THREAD (RFC 5256)."""

    uid: bool
    algorithm: Algorithm
    key: Key


class Item(enum.IntFlag):
    """What FETCH tells of a mail without a section; ALL, FAST and FULL are taken apart into these."""

    UID = 1
    FLAGS = 2
    INTERNALDATE = 4
    SIZE = 8  # RFC822.SIZE
    ENVELOPE = 16
    BODY = 32  # the structure, without extensions
    BODYSTRUCTURE = 64
    MODSEQ = 128
    EMAILID = 256
    THREADID = 512
    PREVIEW = 1024  # RFC 8970; LAZY or not


class Piece(enum.Enum):
    """What of a mail, or of one of its parts, a section means (section-text)."""

    ALL = b""
    HEADER = b"HEADER"
    FIELDS = b"HEADER.FIELDS"
    FIELDS_NOT = b"HEADER.FIELDS.NOT"
    TEXT = b"TEXT"
    MIME = b"MIME"


@dataclass(frozen=True, slots=True)
class Section:
    """BODY[...] or BODY.PEEK[...], and RFC822, RFC822.HEADER, RFC822.TEXT. `label` is what the answer calls it, with
    the origin octet; `fields` are in small letters; of `partial`, the first is the origin and the second the most
    octets.
    """

    label: bytes
    path: tuple[int, ...] = ()
    piece: Piece = Piece.ALL
    fields: tuple[bytes, ...] = ()
    partial: tuple[int, int] | None = None
    peek: bool = False


@dataclass(frozen=True, slots=True)
class Binary:
    """BINARY[...] or BINARY.PEEK[...]: a part without its transfer encoding."""

    label: bytes
    path: tuple[int, ...]
    partial: tuple[int, int] | None = None
    peek: bool = False


@dataclass(frozen=True, slots=True)
class BinarySize:
    """BINARY.SIZE[...]."""

    label: bytes
    path: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Attributes:
    """What FETCH shall tell: the plain items, and sections in the order that they were named."""

    items: Item
    sections: tuple[Section | Binary | BinarySize, ...] = ()

    @property
    def marks_seen(self) -> bool:
        """Whether asking for this makes mails seen (§6.4.5)."""
        return any(not isinstance(section, BinarySize) and not section.peek for section in self.sections)


@dataclass(frozen=True, slots=True)
class Fetch:
    """FETCH and UID FETCH; with CHANGEDSINCE and VANISHED (RFC 7162), where MODSEQ stands in `attributes` already. UID
    does not, unless it was asked for.
    """

    uid: bool
    numbers: Set
    attributes: Attributes
    changed_since: int | None = None
    vanished: bool = False


@dataclass(frozen=True, slots=True)
class StoreMarks:
    """STORE and UID STORE; `silent` is .SILENT; with UNCHANGEDSINCE (RFC 7162)."""

    uid: bool
    numbers: Set
    how: How
    marks: Marks
    silent: bool = False
    unchanged_since: int | None = None


@dataclass(frozen=True, slots=True)
class Copy:
    """COPY and UID COPY."""

    uid: bool
    numbers: Set
    mailbox: str


@dataclass(frozen=True, slots=True)
class Move:
    """MOVE and UID MOVE."""

    uid: bool
    numbers: Set
    mailbox: str


Command = (
    Append
    | Authenticate
    | Capability
    | Check
    | Close
    | Compress
    | Copy
    | Create
    | Delete
    | DeleteAcl
    | Enable
    | Expunge
    | Fetch
    | GetAcl
    | GetQuota
    | GetQuotaRoot
    | Id
    | Idle
    | List
    | ListRights
    | Login
    | Logout
    | Lsub
    | Move
    | MyRights
    | Namespace
    | Noop
    | Rename
    | Search
    | Select
    | SetAcl
    | SetQuota
    | Sort
    | StartTls
    | Status
    | StoreMarks
    | Subscribe
    | Thread
    | Unselect
    | Unsubscribe
    | XList
)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What one IMAP connection knows: who has signed in, what has been enabled, and which folder is open.

Nothing of a folder is held but numbers: a view is the folder as it was at one moment (`at`, `below`), and its UIDs can
be had again whenever they are needed. What can be asked of the store, and what may still be seen, is asked through
here: a session whose member has lost his access ends within a second of use.
"""

from __future__ import annotations

import enum
from array import array
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from mailroom.core.clock import Clock
from mailroom.core.ids import MailboxId, Modseq, Uid
from mailroom.delivery.letters import Letter, Letters
from mailroom.delivery.spool import Spool
from mailroom.directory.logins import still_valid
from mailroom.directory.model import Principal
from mailroom.mailboxes import access, views
from mailroom.mailboxes.contents import Bodies
from mailroom.mailboxes.model import Folder, topic
from mailroom.mailboxes.uids import Ranges
from mailroom.mailboxes.views import News
from mailroom.protocols.imap import replies
from mailroom.protocols.imap.grammar import sequence
from mailroom.protocols.imap.grammar.lexer import Malformed
from mailroom.protocols.imap.grammar.values import STAR, Saved, Set
from mailroom.protocols.sasl import Sasl
from mailroom.storage.ports import Store, Tx, Work

T = TypeVar("T")

_ASK: Final = 1000  # milliseconds for which an answer to "may he still?" holds
_WORDS_MOST: Final = 2000  # combinations of flags whose words a view remembers
_FEW: Final = 50  # mails that leave a view one by one


class State(enum.Enum):
    """How far the client has come (RFC 9051 §3)."""

    NOT_AUTHENTICATED = enum.auto()
    AUTHENTICATED = enum.auto()
    SELECTED = enum.auto()


class Enabled(enum.Flag):
    """What changes how we talk: enabled by ENABLE, or by using it."""

    NOTHING = 0
    CONDSTORE = enum.auto()
    QRESYNC = enum.auto()
    UTF8 = enum.auto()
    REV2 = enum.auto()


_SPEAK_UTF8: Final = Enabled.UTF8 | Enabled.REV2


class Then(enum.Enum):
    """What is to be done on the connection once a command has its answer."""

    GO_ON = enum.auto()
    START_TLS = enum.auto()
    COMPRESS = enum.auto()
    IDLE = enum.auto()  # its answer comes later
    PART = enum.auto()


class Ended(Exception):
    """The session is over: say BYE with this text."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        super().__init__(text)


class Wire(Protocol):
    """The connection, as commands see it."""

    def say(self, octets: bytes) -> None:
        """Send this, with what else is said until there is time."""

    async def flow(self) -> None:
        """Give the client time to take what was said, and others their turn."""

    def awake(self) -> None:
        """A wait is over, in which others had their turns: the client's begins."""

    async def ask(self, prompt: bytes) -> bytes:
        """Send a continuation request; the client's line."""

    def stir(self) -> None:
        """Something has changed in a mailbox that the session looks at, or its right to do so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What this server offers, and how much it bears. Times in seconds."""

    hostname: str
    offers_tls: bool
    mail_size: int
    silence: float = 1800.0  # RFC 9051 §5.4: at least 30 minutes
    silence_of_strangers: float = 60.0
    stuck: float = 300.0  # for which a client may read nothing of what we say
    failures_most: int = 5  # to sign in
    errors_most: int = 50  # commands in a row that are none
    heartbeat: float = 120.0  # between signs of life to a client that idles


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What commands work with."""

    store: Store
    bodies: Bodies
    letters: Letters
    sasl: Sasl
    clock: Clock
    terms: Terms


class Parcel:
    """The mails of one APPEND, as they come (RFC 3502: all of them are taken, or none)."""

    def __init__(self, tag: bytes, letters: Letters) -> None:
        self.tag: Final = tag
        self.letters: Final[list[Letter]] = []
        self._make: Final = letters
        self._spool: Spool | None = None

    def begin(self) -> None:
        """A mail is about to come."""
        self._spool = self._make.spool()

    def write(self, octets: bytes) -> None:
        """It goes on. Raises `NoSpace`, `OSError`."""
        assert self._spool is not None
        self._spool.write(octets)

    async def finish(self) -> None:
        """It is whole, and becomes a letter. Raises `NoSpace`, `Unavailable`, `OSError`."""
        assert self._spool is not None
        with self._spool as spool:
            self._spool = None
            self.letters.append(await self._make.take(spool, spool.finish(), named=False))

    def close(self) -> None:
        """Forget what has come."""
        self.letters.clear()
        if self._spool is not None:
            self._spool.close()
            self._spool = None


class View:
    """An open folder as this session sees it: the mails that were there at the modseq `at`, with UIDs below `below`.
    Flags have been told up to the modseq `told`, which is higher while expunges must wait to be told (RFC 9051 §7.5.1).
    """

    __slots__ = (
        "_uids",
        "at",
        "below",
        "folder_id",
        "keywords",
        "mailbox_id",
        "mails",
        "news",
        "own",
        "read_only",
        "saved",
        "told",
        "uidvalidity",
        "words",
    )

    def __init__(self, folder: Folder, *, read_only: bool, keywords: Mapping[str, str]) -> None:
        self.folder_id: Final = folder.id
        self.mailbox_id: Final = folder.mailbox_id
        self.uidvalidity: Final = folder.uidvalidity
        self.read_only: Final = read_only
        self.mails = folder.mails
        self.at = self.told = folder.modseq
        self.below = folder.uidnext
        self.saved: Ranges = ()  # UIDs (RFC 5182)
        self.keywords = keywords  # those that the client knows, by their small letters
        self.words: dict[tuple[int, str], bytes] = {}
        # What the command's transaction has found out, if it commits; see `updates`.
        self.news: News | None = None
        self.own = Modseq(0)
        self._uids: Sequence[int] | None = None

    def load(self, tx: Tx) -> Sequence[int]:
        """The view's UIDs, ascending. Raises `NotFound`."""
        if self._uids is None:
            if self.mails == self.below - 1:
                self._uids = range(1, self.below)  # nothing has ever gone
            else:
                self._uids = views.uids_at(tx, self.folder_id, at=self.at, below=self.below)
        return self._uids

    @property
    def uids(self) -> Sequence[int]:
        """The same, once they have been loaded."""
        assert self._uids is not None
        return self._uids

    def forget(self) -> None:
        """Hold nothing that can be had again."""
        self._uids = None
        self.words.clear()

    def number(self, uid: int) -> int:
        """The message number of a mail; 0 for one that the view does not have. Once loaded."""
        uids = self.uids
        place = bisect_left(uids, uid)
        return place + 1 if place < len(uids) and uids[place] == uid else 0

    def numbers(self, uids: Sequence[int]) -> Sequence[int]:
        """The message numbers of mails that the view has, ascending. Once loaded."""
        known = self.uids
        if isinstance(known, range) or not uids:
            return uids
        place, end = bisect_left(known, uids[0]), bisect_left(known, uids[-1])
        if end - place + 1 == len(uids):  # they lie side by side
            return range(place + 1, end + 2)
        found = []
        place -= 1
        for uid in uids:
            place += 1
            if known[place] != uid:
                place = bisect_left(known, uid, place)
            found.append(place + 1)
        return found

    def meant(self, tx: Tx, numbers: Set, *, by_uid: bool, strict: bool = True) -> Ranges:
        """The UIDs that a set names: all of the view that is in them is meant. When `strict`, raises `Malformed` for a
        message number that there is not.
        """
        if isinstance(numbers, Saved):
            return self.saved
        if by_uid:
            largest = 0
            if any(last == STAR for _, last in numbers.ranges) and (uids := self.load(tx)):
                largest = uids[-1]
            found = sequence.resolve(numbers, largest)
            return [(first, min(last, self.below - 1)) for first, last in found if first < self.below]
        found = sequence.resolve(numbers, self.mails)
        if strict and (not found or found[-1][1] > self.mails):
            raise Malformed(b"BAD there is no mail of that number")
        uids = self.load(tx)
        return [(uids[first - 1], uids[min(last, self.mails) - 1]) for first, last in found if first <= self.mails]

    def arrived(self, uids: Sequence[int], below: Uid) -> None:
        """Mails have come to the end of the view."""
        if isinstance(self._uids, range) and len(self._uids) + len(uids) == below - 1:
            self._uids = range(1, below)
        elif self._uids is not None and uids:
            self._listed().extend(uids)
        self.mails += len(uids)
        self.below = below

    def remove(self, gone: Sequence[int]) -> list[int]:
        """Mails of the view have gone, one after the other; the number of each when it was its turn. Once loaded."""
        places = [self.number(uid) - 1 for uid in gone]
        uids = self._listed()
        if len(places) < _FEW:
            for place in reversed(places):
                del uids[place]
        else:
            leaving = set(gone)
            self._uids = array("I", [uid for uid in uids if uid not in leaving])
        self.mails -= len(places)
        return [place + 1 - before for before, place in enumerate(places)]

    def shrink(self, gone: Sequence[int]) -> None:
        """The same where nobody asks for the numbers."""
        if self._uids is None:
            self.mails -= len(gone)
        else:
            self.remove(gone)

    def flags(self, bits: int, keywords: str) -> bytes:
        """A mail's flags in words."""
        words = self.words.get((bits, keywords))
        if words is None:
            if len(self.words) > _WORDS_MOST:
                self.words.clear()
            words = self.words[bits, keywords] = replies.flags(bits, keywords, self.keywords)
        return words

    def found_nothing(self) -> None:
        """The command's transaction was not kept."""
        self.news = None
        self.own = Modseq(0)

    def _listed(self) -> array[int]:
        if not isinstance(self._uids, array):
            self._uids = array("I", self.uids)
        return self._uids


class Session:
    """One connection, from its greeting to its end."""

    def __init__(self, tools: Tools, wire: Wire, peer: str, *, secure: bool) -> None:
        self.tools: Final = tools
        self.wire: Final = wire
        self.peer: Final = peer
        self.secure = secure
        self.principal: Principal | None = None
        self.view: View | None = None
        self.enabled = Enabled.NOTHING
        self.compressed = False
        self.failures = 0
        self.parcel: Parcel | None = None  # an APPEND that has not come to its end
        self.tag = b""  # of the command at work
        self.then = Then.GO_ON
        self._asked_at = 0
        self._ends: dict[MailboxId, Callable[[], None]] = {}

    @property
    def state(self) -> State:
        """Where the conversation stands."""
        if self.principal is None:
            return State.NOT_AUTHENTICATED
        return State.AUTHENTICATED if self.view is None else State.SELECTED

    @property
    def member(self) -> Principal:
        """Who has signed in; for commands that nobody else may give."""
        assert self.principal is not None
        return self.principal

    @property
    def folder(self) -> View:
        """The open folder; for commands that need one."""
        assert self.view is not None
        return self.view

    @property
    def speaks_utf8(self) -> bool:
        """Whether names go in UTF-8."""
        return bool(self.enabled & _SPEAK_UTF8)

    def sign_in(self, principal: Principal) -> None:
        """The client is this one from now on."""
        self.principal = principal
        self._asked_at = self.tools.clock()
        self._listen()

    def open(self, view: View) -> None:
        """Have this folder open, and no other."""
        self.view = view
        self._listen()

    def close(self) -> None:
        """Have no folder open."""
        self.view = None
        self._listen()

    def leave(self) -> None:
        """The connection has gone: hold nothing, and hear no more hints."""
        self.drop_parcel()
        self.principal = self.view = None
        self._listen()

    def drop_parcel(self) -> None:
        """Forget the APPEND that is coming."""
        if self.parcel is not None:
            self.parcel.close()
            self.parcel = None

    def ask_anew(self) -> None:
        """Trust no earlier answer to whether the client may go on."""
        self._asked_at = 0

    async def read(self, work: Work[T]) -> T:
        """Look into the store. Raises `Ended` for a client who may not any more."""
        found = await self.tools.store.read(self._asking(work))
        self.wire.awake()
        return found

    async def glance(self, work: Work[T]) -> T:
        """The same for a few rows (`Store.glance`)."""
        return await self.tools.store.glance(self._asking(work))

    async def write(self, work: Work[T]) -> T:
        """Change something in the store. Raises as `read` does."""
        done = await self.tools.store.write(self._asking(work))
        self.wire.awake()
        return done

    def _asking(self, work: Work[T]) -> Work[T]:
        now = self.tools.clock()
        if self.principal is None or self._asked_at <= now < self._asked_at + _ASK:
            return work

        def ask_and_work(tx: Tx) -> T:
            self._ask(tx)
            return work(tx)

        self._asked_at = now
        return ask_and_work

    def _ask(self, tx: Tx) -> None:
        if not still_valid(tx, self.member):
            raise Ended(b"signed out: the account or its password has changed")
        if self.view is None or self.view.mailbox_id == self.member.mailbox_id:
            return
        if all(mailbox.id != self.view.mailbox_id for mailbox in access.reachable(tx, self.member)):
            raise Ended(b"the folder is not yours any more")

    def _listen(self) -> None:
        """Hear of the mailboxes that matter now, and of no others."""
        meant = {one.mailbox_id for one in (self.principal, self.view) if one is not None}
        for mailbox_id in self._ends.keys() - meant:
            self._ends.pop(mailbox_id)()
        for mailbox_id in meant - self._ends.keys():
            self._ends[mailbox_id] = self.tools.store.hints.call(topic(mailbox_id), self._hear)

    def _hear(self) -> None:
        self.ask_anew()  # the hint may be of that very thing
        self.wire.stir()

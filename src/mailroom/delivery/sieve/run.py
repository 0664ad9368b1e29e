# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Running a script over a mail: what it wants to be done. It does nothing itself, asks nothing but the mail, and ends:
what goes wrong in it, or takes too long, leaves the mail in the inbox (RFC 5228 §2.10.6).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from mailroom.core.errors import InvalidAddress
from mailroom.delivery.sieve import dates, matching, tree
from mailroom.delivery.sieve.tree import AddressPart, Comparator, How, Match
from mailroom.directory import addresses
from mailroom.mime import address, headers
from mailroom.mime.headers import Headers

REDIRECTS_MOST: Final = 5
_FOLDERS_MOST: Final = 20
_VARIABLES_MOST: Final = 128
_VARIABLE_MOST: Final = 4000  # characters (RFC 5229 §6)
_STRING_MOST: Final = 64 * 1024  # characters of a string with its variables put in
_PATTERN_MOST: Final = 2000  # characters
_FLAGS_MOST: Final = 30
# About the octets that are looked at; a run that spends it all has taken some hundredths of a second.
_BUDGET: Final = 10_000_000
_Comparison = tree.Header | tree.Address | tree.Body | tree.Date | tree.String | tree.HasFlag
_Question = tree.Exists | tree.Size | tree.FolderExists | _Comparison

_VARIABLE: Final = re.compile(r"\$\{(?:([a-z_]\w*)|(\d{1,9}))\}", re.IGNORECASE | re.ASCII)


class Mail(Protocol):
    """What a script may know of a mail."""

    @property
    def fields(self) -> Headers: ...

    @property
    def size(self) -> int: ...

    @property
    def sender(self) -> str:
        """Of the envelope; "" is nobody."""

    @property
    def recipient(self) -> str:
        """Of the envelope, as it stands there."""

    def texts(self, transform: str, kinds: Collection[str]) -> Sequence[str]:
        """The beginning of the body: with ":raw" as it is, with ":text" its texts, with ":content" its parts of these
        kinds ("text", "text/html", "" for all), decoded.
        """


@dataclass(frozen=True, slots=True)
class Filed:
    """A copy in a folder; "" is the inbox."""

    folder: str = ""
    flags: tuple[str, ...] = ()
    creates: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is to be done with a mail. `fault`: why the script could not be followed; the mail is then kept."""

    filed: tuple[Filed, ...] = (Filed(),)
    redirects: tuple[str, ...] = ()
    vacation: tree.Vacation | None = None
    rejection: str | None = None
    fault: str = ""


class _Stop(Exception):
    """The script has come to its end."""


class _Fault(Exception):
    """The script cannot be followed."""


def run(script: tree.Script, mail: Mail, *, folders: Collection[str], now: int) -> Outcome:
    """What the script wants done with the mail at the time `now`, in milliseconds; `folders` are those that there are.
    Never raises.
    """
    running = _Run(script, mail, folders, now)
    try:
        with contextlib.suppress(_Stop):
            running.obey(script.block)
        return running.outcome()
    except _Fault as fault:
        return Outcome(fault=str(fault))


class _Run:
    """One script over one mail."""

    def __init__(self, script: tree.Script, mail: Mail, folders: Collection[str], now: int) -> None:
        self._has_variables = script.has_variables
        self._mail = mail
        self._folders = folders
        self._now = now
        self._budget = _BUDGET
        self._variables: dict[str, str] = {}
        self._matched: tuple[str, ...] = ()  # ${0}, ${1} ...
        self._flags: list[str] = []
        self._filed: dict[str, Filed] = {}
        self._redirects: dict[str, None] = {}
        self._vacation: tree.Vacation | None = None
        self._rejection: str | None = None
        self._keeps = True  # nothing has said otherwise

    def outcome(self) -> Outcome:
        if self._keeps and "" not in self._filed:
            self._filed[""] = Filed("", tuple(self._flags))
        if self._rejection is not None and (self._filed or self._redirects or self._vacation):
            raise _Fault("it is rejected and something else")
        return Outcome(tuple(self._filed.values()), tuple(self._redirects), self._vacation, self._rejection)

    # What is done.

    def obey(self, block: tree.Block) -> None:
        for command in block:
            self._spend(64)
            self._do(command)

    def _do(self, command: tree.Command) -> None:
        match command:
            case tree.If(branches):
                self._branch(branches)
            case tree.Stop():
                raise _Stop
            case tree.Discard():
                self._keeps = False
            case tree.Keep(flags):
                self._file("", flags)
                self._keeps = False
            case tree.FileInto():
                self._file_into(command)
            case tree.Redirect():
                self._redirect(command)
            case tree.Reject(reason):
                self._reject(self._text(reason))
            case tree.Vacation():
                self._reply(command)
            case tree.SetFlags():
                self._set_flags(command)
            case tree.Set(name, value, modifiers):
                self._set(name, _modified(self._text(value), modifiers))

    def _branch(self, branches: Sequence[tuple[tree.Test, tree.Block]]) -> None:
        for test, block in branches:
            if self._holds(test):
                self.obey(block)
                return

    def _reject(self, reason: str) -> None:
        if self._rejection is not None:
            raise _Fault("it is rejected twice")
        self._rejection = reason
        self._keeps = False

    def _file(self, folder: str, flags: tuple[str, ...] | None, *, creates: bool = False) -> None:
        wanted = self._flags if flags is None else self._flag_list(flags)
        self._filed[folder] = Filed(folder, tuple(wanted), creates)
        if len(self._filed) > _FOLDERS_MOST:
            raise _Fault("it goes into too many folders")

    def _file_into(self, command: tree.FileInto) -> None:
        folder = self._text(command.folder)
        self._file("" if folder.upper() == "INBOX" else folder, command.flags, creates=command.creates)
        self._keeps = self._keeps and command.is_copy

    def _redirect(self, command: tree.Redirect) -> None:
        text = self._text(command.address)
        try:
            addresses.parse(text)
        except InvalidAddress as bad:
            raise _Fault(str(bad)) from None
        self._redirects[text] = None
        if len(self._redirects) > REDIRECTS_MOST:
            raise _Fault("it is sent on to too many")
        self._keeps = self._keeps and command.is_copy

    def _reply(self, command: tree.Vacation) -> None:
        if self._vacation is not None:
            raise _Fault("it is replied to twice")
        self._vacation = replace(
            command,
            reason=self._text(command.reason),
            subject=self._text(command.subject),
            from_=self._text(command.from_),
            addresses=tuple(map(self._text, command.addresses)),
            handle=self._text(command.handle),
        )

    def _set_flags(self, command: tree.SetFlags) -> None:
        variable = command.variable
        before = self._variables.get(variable, "").split() if variable else self._flags
        named = self._flag_list(command.flags)
        lower = {flag.lower() for flag in named}
        rest = [flag for flag in before if flag.lower() not in lower]
        after = {"setflag": named, "addflag": rest + named, "removeflag": rest}[command.how]
        if len(after) > _FLAGS_MOST:
            raise _Fault("it gets too many flags")
        if variable:
            self._set(variable, " ".join(after))
        else:
            self._flags = after

    def _flag_list(self, flags: Sequence[str]) -> list[str]:
        named = {flag.lower(): flag for text in flags for flag in self._text(text).split()}
        return list(named.values())

    def _set(self, name: str, value: str) -> None:
        self._variables[name] = value[:_VARIABLE_MOST]
        if len(self._variables) > _VARIABLES_MOST:
            raise _Fault("it has too many variables")

    # What is asked.

    def _holds(self, test: tree.Test) -> bool:
        self._spend(64)
        match test:
            case tree.Truth(value):
                return value
            case tree.Not(inner):
                return not self._holds(inner)
            case tree.AllOf(tests):
                return all(map(self._holds, tests))
            case tree.AnyOf(tests):
                return any(map(self._holds, tests))
            case _:
                return self._is_so(test)

    def _is_so(self, test: _Question) -> bool:
        match test:
            case tree.Exists(names):
                return all(self._mail.fields.first(name.lower()) is not None for name in self._texts(names))
            case tree.Size(over, limit):
                return self._mail.size > limit if over else self._mail.size < limit
            case tree.FolderExists(names):
                return all(name.upper() == "INBOX" or name in self._folders for name in self._texts(names))
            case _:
                return self._fits(self._values(test), test.match)

    def _values(self, test: _Comparison) -> Iterator[str]:
        match test:
            case tree.Header(names, index, _):
                for raw in self._raw(names, index):
                    yield headers.decode(raw)
            case tree.Address(names, of_envelope, part, index, _):
                yield from self._envelope(names, part) if of_envelope else self._addresses(names, index, part)
            case tree.Body(transform, kinds, _):
                yield from self._mail.texts(transform, kinds)
            case tree.Date(name, part, zone, index, _):
                yield from self._dates(name, part, zone, index)
            case tree.String(sources, _):
                yield from self._texts(sources)
            case tree.HasFlag(variables, _):
                for flags in [self._variables.get(one, "").split() for one in variables] or [self._flags]:
                    yield from flags

    def _raw(self, names: Sequence[str], index: tree.Index) -> Iterator[bytes]:
        for name in self._texts(names):
            found = self._mail.fields.all(name.lower())
            if index.number:
                place = -index.number if index.from_last else index.number - 1
                found = found[place : place + 1 or None]
            yield from found

    def _addresses(self, names: Sequence[str], index: tree.Index, part: AddressPart) -> Iterator[str]:
        for raw in self._raw(names, index):
            self._spend(len(raw))
            for one in address.mailboxes(address.parse(raw)):
                yield from _part(one.addr, part)

    def _envelope(self, names: Sequence[str], part: AddressPart) -> Iterator[str]:
        for name in names:
            whole = self._mail.sender if name == "from" else self._mail.recipient
            # RFC 5228 §5.4: each part of the null reverse-path is empty.
            yield from _part(whole, part) if whole else [""]

    def _dates(self, name: str, part: str, zone: str | None, index: tree.Index) -> Iterator[str]:
        if not name:
            yield dates.part(dates.at(self._now, zone), part)
            return
        for raw in self._raw([name], index):
            moment = dates.read(headers.decode(raw), zone)
            if moment is not None:
                yield dates.part(moment, part)

    # Comparing.

    def _fits(self, values: Iterator[str], match: Match) -> bool:
        keys = self._texts(match.keys)
        if match.how is How.COUNT:
            count = str(sum(1 for _ in values))
            return any(matching.relates(count, match.relation, key, Comparator.NUMERIC) for key in keys)
        compare = self._COMPARE[match.how]
        return any(compare(self, value, key, match) for value in values for key in keys)

    def _is(self, value: str, key: str, match: Match) -> bool:
        self._spend(min(len(value), len(key)))
        return matching.relates(value, "eq", key, match.comparator)

    def _contains(self, value: str, key: str, match: Match) -> bool:
        self._spend(len(value) + len(key))
        return matching.folded(key, match.comparator) in matching.folded(value, match.comparator)

    def _relates(self, value: str, key: str, match: Match) -> bool:
        self._spend(len(value))
        return matching.relates(value, match.relation, key, match.comparator)

    def _matches(self, value: str, key: str, match: Match) -> bool:
        if len(key) > _PATTERN_MOST:
            raise _Fault("a pattern is too long")
        self._spend(len(value) * (1 + key.count("?")) + len(key))
        found = matching.glob(key, value, match.comparator)
        if found is None:
            return False
        self._matched = found
        return True

    _COMPARE: Final[dict[How, Callable[[_Run, str, str, Match], bool]]] = {
        How.IS: _is,
        How.CONTAINS: _contains,
        How.MATCHES: _matches,
        How.VALUE: _relates,
    }

    # Texts.

    def _texts(self, texts: Sequence[str]) -> Sequence[str]:
        return [self._text(text) for text in texts] if self._has_variables else texts

    def _text(self, text: str) -> str:
        """The text with its variables put in; those that there are not are empty."""
        if not self._has_variables or "${" not in text:
            return text
        whole = _VARIABLE.sub(self._variable, text)
        if len(whole) > _STRING_MOST:
            raise _Fault("a string is too long")
        return whole

    def _variable(self, found: re.Match[str]) -> str:
        name, number = found.groups()
        if name is not None:
            value = self._variables.get(name.lower(), "")
        else:
            value = self._matched[int(number)][:_VARIABLE_MOST] if int(number) < len(self._matched) else ""
        self._spend(16 + len(value))
        return value

    def _spend(self, octets: int) -> None:
        self._budget -= octets
        if self._budget < 0:
            raise _Fault("it takes too long")


def _part(whole: str, part: AddressPart) -> Iterator[str]:
    local, at, domain = whole.rpartition("@")
    user, plus, detail = local.partition("+")
    match part:
        case AddressPart.ALL:
            yield whole
        case AddressPart.LOCAL:
            yield local
        case AddressPart.DOMAIN if at:
            yield domain
        case AddressPart.USER:
            yield user
        case AddressPart.DETAIL if plus:  # RFC 5233 §4: without one there is nothing to compare
            yield detail


_MODIFIERS: Final[dict[str, Callable[[str], str]]] = {
    ":lower": str.lower,
    ":upper": str.upper,
    ":lowerfirst": lambda text: text[:1].lower() + text[1:],
    ":upperfirst": lambda text: text[:1].upper() + text[1:],
    ":quotewildcard": lambda text: re.sub(r"([*?\\])", r"\\\1", text),
    ":length": lambda text: str(len(text)),
}


def _modified(text: str, modifiers: Sequence[str]) -> str:
    for modifier in modifiers:
        text = _MODIFIERS[modifier](text)
    return text

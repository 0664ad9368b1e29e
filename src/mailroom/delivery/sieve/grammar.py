# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Reading a script: `sievelib` finds the commands, we check what it leaves open and make a tree of our own.

What sievelib lacks is registered with it here, in its own way: commands of some extensions, and arguments.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sievelib import commands  # type: ignore[import-untyped]  # it has no types
from sievelib.parser import Parser  # type: ignore[import-untyped]  # likewise

from mailroom.core.clock import DAY, HOUR, SECOND
from mailroom.core.errors import InvalidAddress, InvalidValue
from mailroom.delivery.sieve import dates, tree
from mailroom.delivery.sieve.tree import AddressPart, Comparator, How, Index, Match
from mailroom.directory import addresses

SCRIPT_MOST: Final = 64 * 1024  # octets
_DEPTH_MOST: Final = 32  # of blocks and tests
_INDEX_MOST: Final = 1000
_SILENCE_LEAST: Final = HOUR  # of a vacation: RFC 6131 §2 leaves the least to us

EXTENSIONS: Final = (
    "body",
    "comparator-i;ascii-casemap",
    "comparator-i;ascii-numeric",
    "comparator-i;octet",
    "copy",
    "date",
    "envelope",
    "ereject",
    "fileinto",
    "imap4flags",
    "index",
    "mailbox",
    "reject",
    "relational",
    "subaddress",
    "vacation",
    "vacation-seconds",
    "variables",
)

_TEXT: Final = ["string", "stringlist"]
_INDEX: Final = [
    {"name": "index", "type": ["tag"], "values": [":index"], "extra_arg": {"type": "number"}, "extension": "index"},
    {"name": "last", "type": ["tag"], "values": [":last"], "extension": "index"},
]
_EREJECT: Final = {"extension": "ereject"}  # RFC 5429 §2.1
_STRING: Final = {  # RFC 5229 §5
    "extension": "variables",
    "args_definition": [
        commands.comparator,
        commands.match_type,
        {"name": "source", "type": _TEXT, "required": True},
        {"name": "key-list", "type": _TEXT, "required": True},
    ],
}
_MAILBOX_EXISTS: Final = {  # RFC 5490 §3.1
    "extension": "mailbox",
    "args_definition": [{"name": "mailbox-names", "type": _TEXT, "required": True}],
}


def _indexed(command: Any) -> Any:
    """The command with the arguments of RFC 5260 §6."""
    return type(command.__name__, (command,), {"args_definition": [*_INDEX, *command.args_definition]})


commands.add_commands(
    [
        type("ErejectCommand", (commands.RejectCommand,), _EREJECT),
        type("StringCommand", (commands.TestCommand,), _STRING),
        type("MailboxexistsCommand", (commands.TestCommand,), _MAILBOX_EXISTS),
        _indexed(commands.HeaderCommand),
        _indexed(commands.AddressCommand),
        _indexed(commands.DateCommand),
    ]
)
commands.address_part["extension_values"] = {":user": "subaddress", ":detail": "subaddress"}
# Which comparators there are is checked below.
commands.comparator["extra_arg"] = {"type": "string"}

_Node = Any  # sievelib tells mypy nothing


class _Bad(Exception):
    """What is wrong, in words."""


def parse(text: str) -> tree.Script:
    """The script. Raises `InvalidValue` that says what is wrong, in which line where that is known."""
    octets = text.encode("utf-8", "replace")
    if len(octets) > SCRIPT_MOST:
        raise InvalidValue(name="script", reason=f"is larger than {SCRIPT_MOST} octets")
    parser = Parser()
    # With a harmless end of ours, a last command that lacks its own is noticed.
    if b"\0" in octets or not parser.parse(octets + b"\nstop;"):
        raise InvalidValue(name="script", reason=getattr(parser, "error", None) or "a NUL is no character")
    try:
        return _Reader(parser.result).script()
    except _Bad as bad:
        raise InvalidValue(name="script", reason=str(bad)) from None


class _Reader:
    """Turns sievelib's tree into ours."""

    def __init__(self, nodes: Sequence[_Node]) -> None:
        self._nodes = list(nodes)
        self._required = self._requirements()
        self._asks_folders = False

    def script(self) -> tree.Script:
        block = self._block(self._nodes, 0)
        return tree.Script(block, "variables" in self._required, self._asks_folders)

    def _requirements(self) -> frozenset[str]:
        # RFC 5228 §3.2: before all else.
        required: set[str] = set()
        while self._nodes and self._nodes[0].name == "require":
            required.update(_strings(self._nodes.pop(0), "capabilities"))
        if unknown := sorted(required - set(EXTENSIONS)):
            raise _Bad(f"the extension {unknown[0]} is not known here")
        return frozenset(required)

    # Commands.

    def _block(self, nodes: Sequence[_Node], depth: int) -> tree.Block:
        if depth > _DEPTH_MOST:
            raise _Bad(f"more than {_DEPTH_MOST} blocks and tests within each other")
        block: list[tree.Command] = []
        for node in nodes:
            if node.name == "if":
                block.append(tree.If((self._branch(node, depth),)))
            elif node.name in {"elsif", "else"}:
                last = block.pop()
                if not isinstance(last, tree.If):
                    raise _Bad(f"{node.name} without if")
                block.append(tree.If((*last.branches, self._branch(node, depth))))
            else:
                block.append(self._command(node))
        return tuple(block)

    def _branch(self, node: _Node, depth: int) -> tuple[tree.Test, tree.Block]:
        test = tree.Truth(value=True) if node.name == "else" else self._test(node.arguments["test"], depth + 1)
        return test, self._block(node.children, depth + 1)

    def _command(self, node: _Node) -> tree.Command:
        read = self._COMMANDS.get(node.name)
        if read is None:
            raise _Bad(f"{node.name} may not stand here")
        return read(self, node)

    def _set_flags(self, node: _Node) -> tree.Command:
        variable = _string(node, "variable-name") if "variable-name" in node.arguments else ""
        if variable:
            self._ask_name(variable)
        return tree.SetFlags(node.name, variable.lower(), _strings(node, "list-of-flags"))

    def _file_into(self, node: _Node) -> tree.Command:
        if "create" in node.arguments and "mailbox" not in self._required:
            raise _Bad("extension 'mailbox' not loaded")
        folder = _string(node, "mailbox")
        if not folder:
            raise _Bad("fileinto without a folder")
        return tree.FileInto(folder, "copy" in node.arguments, "create" in node.arguments, _flags(node))

    def _redirect(self, node: _Node) -> tree.Command:
        address = _string(node, "address")
        if "variables" not in self._required or "${" not in address:
            _ask_address(address)
        return tree.Redirect(address, "copy" in node.arguments)

    def _set(self, node: _Node) -> tree.Command:
        name = _string(node, "name")
        self._ask_name(name)
        names = ("case", "first-case", "quotewildcard", "length")  # RFC 5229 §4.1: by precedence
        modifiers = tuple(node.arguments[one].lower() for one in names if one in node.arguments)
        if "encoding" in node.arguments:
            raise _Bad(f"{node.arguments['encoding']} is not known here")
        return tree.Set(name.lower(), _string(node, "value"), modifiers)

    def _ask_name(self, name: str) -> None:
        if "variables" not in self._required:
            raise _Bad("extension 'variables' not loaded")
        if not re.fullmatch(r"[a-z_]\w{0,63}", name, re.IGNORECASE | re.ASCII):
            raise _Bad(f"{name} is no name of a variable")

    _COMMANDS: Final[Mapping[str, Callable[[_Reader, _Node], tree.Command]]] = {
        "addflag": _set_flags,
        "discard": lambda _, __: tree.Discard(),
        "ereject": lambda _, node: tree.Reject(_string(node, "text")),
        "fileinto": _file_into,
        "keep": lambda _, node: tree.Keep(_flags(node)),
        "redirect": _redirect,
        "reject": lambda _, node: tree.Reject(_string(node, "text")),
        "removeflag": _set_flags,
        "set": _set,
        "setflag": _set_flags,
        "stop": lambda _, __: tree.Stop(),
        "vacation": lambda _, node: _vacation(node),
    }

    # Tests.

    def _test(self, node: _Node, depth: int) -> tree.Test:
        if depth > _DEPTH_MOST:
            raise _Bad(f"more than {_DEPTH_MOST} blocks and tests within each other")
        if node.name == "not":
            return tree.Not(self._test(node.arguments["test"], depth + 1))
        if node.name in {"allof", "anyof"}:
            tests = tuple(self._test(one, depth + 1) for one in node.arguments["tests"])
            return tree.AllOf(tests) if node.name == "allof" else tree.AnyOf(tests)
        if read := self._TESTS.get(node.name):
            return read(self, node)
        if read_match := self._COMPARISONS.get(node.name):
            return read_match(self, node, self._match(node))
        raise _Bad(f"the test {node.name} is not known here")

    def _folder_exists(self, node: _Node) -> tree.Test:
        self._asks_folders = True
        return tree.FolderExists(_strings(node, "mailbox-names"))

    def _address(self, node: _Node, match: Match) -> tree.Test:
        part = AddressPart(node.arguments.get("address-part", ":all").lower())
        names = _names(node, "header-list")
        of_envelope = node.name == "envelope"
        if of_envelope and (unknown := set(names) - {"from", "to"}):
            raise _Bad(f"the envelope has no {min(unknown)}")
        return tree.Address(names, of_envelope, part, _index(node), match)

    def _has_flag(self, node: _Node, match: Match) -> tree.Test:
        variables = _strings(node, "variable-list") if "variable-list" in node.arguments else ()
        for variable in variables:
            self._ask_name(variable)
        return tree.HasFlag(tuple(variable.lower() for variable in variables), match)

    _TESTS: Final[Mapping[str, Callable[[_Reader, _Node], tree.Test]]] = {
        "exists": lambda _, node: tree.Exists(_names(node, "header-names")),
        "false": lambda _, __: tree.Truth(value=False),
        "mailboxexists": _folder_exists,
        "size": lambda _, node: _size(node),
        "true": lambda _, __: tree.Truth(value=True),
    }
    _COMPARISONS: Final[Mapping[str, Callable[[_Reader, _Node, Match], tree.Test]]] = {
        "address": _address,
        "body": lambda _, node, match: _body(node, match),
        "currentdate": lambda _, node, match: _date(node, match),
        "date": lambda _, node, match: _date(node, match),
        "envelope": _address,
        "hasflag": _has_flag,
        "header": lambda _, node, match: tree.Header(_names(node, "header-names"), _index(node), match),
        "string": lambda _, node, match: tree.String(_strings(node, "source"), match),
    }

    def _match(self, node: _Node) -> Match:
        tag = node.arguments.get("match-type", ":is").lower()
        named = _unquoted(node.extra_arguments.get("comparator", '"i;ascii-casemap"')).lower()
        if named not in {one.value for one in Comparator}:
            raise _Bad(f"the comparator {named} is not known here")
        comparator = Comparator(named)
        if comparator is Comparator.NUMERIC and f"comparator-{named}" not in self._required:
            raise _Bad(f"extension 'comparator-{named}' not loaded")
        if tag not in {one.value for one in How}:
            raise _Bad(f"{tag} is not known here")
        how = How(tag)
        if comparator is Comparator.NUMERIC and how in {How.CONTAINS, How.MATCHES}:
            raise _Bad(f"{tag} does not go with numbers")
        relation = _unquoted(node.extra_arguments.get("match-type", '""')).lower()
        return Match(how, comparator, _strings(node, "key-list", "list-of-flags"), relation)


def _vacation(node: _Node) -> tree.Command:
    extra = node.extra_arguments
    if "seconds" in node.arguments:
        period = max(_number(extra["seconds"]) * SECOND, _SILENCE_LEAST)
    else:
        period = max(_number(extra.get("days", 7)), 1) * DAY
    from_ = _unquoted(extra.get("from", '""'))
    return tree.Vacation(
        reason=_string(node, "reason"),
        period=min(period, 365 * DAY),
        subject=_unquoted(extra.get("subject", '""')),
        from_=from_,
        addresses=_strings_of(extra.get("addresses", ())),
        handle=_unquoted(extra.get("handle", '""')),
        is_mime="mime" in node.arguments,
    )


def _size(node: _Node) -> tree.Test:
    return tree.Size(node.arguments["comparator"].lower() == ":over", _number(node.arguments["limit"]))


def _body(node: _Node, match: Match) -> tree.Test:
    transform = node.arguments.get("body-transform", ":text").lower()
    kinds = _strings_of(node.extra_arguments.get("body-transform", ())) if transform == ":content" else ()
    return tree.Body(transform, tuple(kind.lower() for kind in kinds), match)


def _date(node: _Node, match: Match) -> tree.Test:
    part = _string(node, "date-part").lower()
    if part not in dates.PARTS:
        raise _Bad(f"a date has no {part}")
    zone: str | None = "+0000"
    if "zone" in node.arguments:
        zone = None
        if node.arguments["zone"].lower() == ":zone":
            zone = _unquoted(node.extra_arguments["zone"])
            if not re.fullmatch(r"[+-](?:0\d|1[0-4])[0-5]\d", zone, re.ASCII):
                raise _Bad(f"{zone} is no time zone")
    name = _string(node, "header-name").lower() if node.name == "date" else ""
    return tree.Date(name, part, zone, _index(node), match)


def _index(node: _Node) -> Index:
    number = int(node.extra_arguments.get("index", 0))
    if "index" in node.arguments and not 0 < number <= _INDEX_MOST:
        raise _Bad(f"an index is from 1 to {_INDEX_MOST}")
    if "last" in node.arguments and not number:
        raise _Bad(":last without :index")
    return Index(number, from_last="last" in node.arguments)


def _flags(node: _Node) -> tuple[str, ...] | None:
    return _strings_of(node.extra_arguments["flags"]) if "flags" in node.arguments else None


def _ask_address(text: str) -> None:
    try:
        addresses.parse(text)
    except InvalidAddress as bad:
        raise _Bad(str(bad)) from None


def _names(node: _Node, argument: str) -> tuple[str, ...]:
    return tuple(name.lower() for name in _strings(node, argument))


def _string(node: _Node, argument: str) -> str:
    return _unquoted(node.arguments[argument])


def _strings(node: _Node, *names: str) -> tuple[str, ...]:
    """The argument that is there."""
    return _strings_of(next(node.arguments[name] for name in names if name in node.arguments))


def _strings_of(value: Any) -> tuple[str, ...]:
    return (_unquoted(value),) if isinstance(value, str) else tuple(_unquoted(one) for one in value)


def _unquoted(written: str) -> str:
    """What a string says (RFC 5228 §2.4.2)."""
    if written.startswith("text:"):
        lines = re.split(r"\r?\n", written)[1:-1]
        return "".join(f"{line.removeprefix('.') if line.startswith('..') else line}\r\n" for line in lines)
    return re.sub(r"\\(.)", r"\1", written[1:-1], flags=re.DOTALL)


def _number(written: Any) -> int:
    """What a number says (RFC 5228 §2.4.1)."""
    text = str(written).upper()
    shift = {"K": 10, "M": 20, "G": 30}.get(text[-1], 0)
    return min(int(text.rstrip("KMG")[:18]), 1 << 40) << shift

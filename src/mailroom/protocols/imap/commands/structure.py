# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""BODY out of BODYSTRUCTURE: the same without extension data (RFC 9051 §7.5.2). Only the latter is stored."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final

_TOKEN: Final = re.compile(rb' *+(?:([()])|"(?:[^"\\]|\\.)*+"|\{(\d+)\}\r\n|[^ ()"{]++)', re.DOTALL)
_BASIC: Final = 7  # fields of any body that is not a multipart
_HOLDS_MAIL: Final = (b'"message" "rfc822"', b'"message" "global"')


@dataclass(slots=True)
class _Node:
    """An element of the structure, as a place in its octets; `inside` are those of a list."""

    start: int
    end: int = 0
    inside: list[_Node] = field(default_factory=list)
    is_list: bool = True


def body(structure: bytes) -> bytes:
    """The BODY of what has this BODYSTRUCTURE."""
    return _body(structure, _parse(structure))


def _parse(octets: bytes) -> _Node:
    top = _Node(0)
    open_ = [top]
    at = 0
    while (token := _TOKEN.match(octets, at)) is not None:
        at = token.end()
        if token[1] == b"(":
            node = _Node(at - 1)
            open_[-1].inside.append(node)
            open_.append(node)
        elif token[1] == b")":
            open_.pop().end = at
        else:
            at += int(token[2] or 0)
            open_[-1].inside.append(_Node(token.start() + _spaces(token[0]), at, is_list=False))
    return top.inside[0]


def _spaces(token: bytes) -> int:
    return len(token) - len(token.lstrip(b" "))


def _body(octets: bytes, node: _Node) -> bytes:
    inside = node.inside
    children = list(takewhile(lambda each: each.is_list, inside))
    if children:
        subtype = inside[len(children)]
        return b"(%b %b)" % (
            b"".join([_body(octets, child) for child in children]),
            octets[subtype.start : subtype.end],
        )
    kept = [octets[each.start : each.end] for each in inside[:_BASIC]]
    kind = b" ".join(kept[:2])
    if kind in _HOLDS_MAIL:
        envelope, held, lines = inside[_BASIC : _BASIC + 3]
        kept += [octets[envelope.start : envelope.end], _body(octets, held), octets[lines.start : lines.end]]
    elif kept[0] == b'"text"':
        kept.append(octets[inside[_BASIC].start : inside[_BASIC].end])
    return b"(%b)" % b" ".join(kept)

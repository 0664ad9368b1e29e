# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a subject is about, without what replies, forwards and lists put around it (RFC 5256 section 2.1)."""

from __future__ import annotations

import re

LOOKED_AT = 1000  # code points; some begin with a thousand brackets

_SPACES = re.compile(r"\s+")
_TRAILER = re.compile(r"(?:\(fwd\)|\s)\Z", re.IGNORECASE)
_BLOB = r"\[[^\[\]]*+\]\s*+"
_LEADER = re.compile(rf"(?:{_BLOB})*+(?:re|fwd?)\s*+(?:{_BLOB})?+:|\s", re.IGNORECASE)
_PREFIX = re.compile(rf"{_BLOB}(?=.)", re.DOTALL)


def base_subject(subject: str) -> tuple[str, bool]:
    """The base subject of a decoded one, in lower case, and whether it is a reply's or a forward's."""
    text = _SPACES.sub(" ", subject[:LOOKED_AT])
    is_answer = False
    while True:
        text, was_trailed = _without_trailer(text)
        text, was_led = _without_leaders(text)
        is_answer = is_answer or was_trailed or was_led
        if not (text[:5].lower() == "[fwd:" and text.endswith("]")):
            return text.lower(), is_answer
        text = text[5:-1]
        is_answer = True


def _without_trailer(text: str) -> tuple[str, bool]:
    whole = text.rstrip()
    bare = whole
    while bare[-5:].lower() == "(fwd)":
        bare = bare[:-5].rstrip()
    return bare, bare != whole


def _without_leaders(text: str) -> tuple[str, bool]:
    at, is_answer = 0, False
    while True:
        if leader := _LEADER.match(text, at):
            is_answer = is_answer or leader[0].endswith(":")
            at = leader.end()
        elif prefix := _PREFIX.match(text, at):
            at = prefix.end()
        else:
            return text[at:], is_answer

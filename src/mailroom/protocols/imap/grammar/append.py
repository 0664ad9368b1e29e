# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""APPEND (RFC 9051 §6.3.12, RFC 3502, RFC 3516, RFC 6855 §4), read bit by bit between the mails that it brings."""

from __future__ import annotations

import re
from typing import Final

from mailroom.mailboxes.model import NO_FLAGS, Marks
from mailroom.protocols.imap.grammar import flags
from mailroom.protocols.imap.grammar.lexer import TAG, Cursor, Malformed
from mailroom.protocols.imap.grammar.values import Append, Draft

_BEGINS: Final = re.compile(rb"(" + TAG + rb") +APPEND +(?!\{[0-9]+\+?\}\Z)", re.IGNORECASE)
_UTF8: Final = re.compile(rb"UTF8 +\(", re.IGNORECASE)
_LITERAL: Final = re.compile(rb"~?\{([0-9]{1,19})(\+?)\}\Z")


class Appending:
    """An APPEND that has not come to its end. `waits` tells whether the client waits to be told to send the mail that
    it has announced last.
    """

    def __init__(self, tag: bytes, mailbox: str) -> None:
        self.tag: Final = tag
        self.mailbox: Final = mailbox
        self.drafts: Final[list[Draft]] = []
        self.waits = False
        self._open = False  # a parenthesis of UTF8 is

    def announce(self, cursor: Cursor) -> Draft:
        """What stands before a mail. Raises `Malformed`."""
        marks, date = Marks(NO_FLAGS), None
        if cursor.sees(b"("):
            marks = flags.marks(cursor)
            cursor.space()
        if cursor.sees(b'"'):
            date = cursor.date_time()
            cursor.space()
        self._open = cursor.find(_UTF8) is not None
        literal = cursor.match(_LITERAL, b"a mail as a literal")
        self.waits = not literal[2]
        draft = Draft(marks, date, int(literal[1]))
        self.drafts.append(draft)
        return draft

    def follow(self, line: bytes) -> Append | Draft:
        """What stands behind a mail: the next one, or the end of the command. Raises `Malformed`."""
        cursor = Cursor(line)
        try:
            if self._open and not cursor.next_is(b")"):
                raise Malformed(b"BAD a closing parenthesis expected")
            if cursor.ends:
                return Append(self.mailbox, tuple(self.drafts))
            cursor.space()
            return self.announce(cursor)
        except Malformed as fault:
            raise Malformed(fault.text, tag=self.tag) from None


def begins(octets: bytearray, *, utf8: bool) -> Appending | None:
    """An APPEND with its first mail announced, from the octets up to the literal; None for another command, and for an
    APPEND whose literal is its mailbox. Raises `Malformed`.
    """
    match = _BEGINS.match(octets)
    if match is None:
        return None
    tag = bytes(match[1])
    cursor = Cursor(bytes(octets), at=match.end(), utf8=utf8)
    try:
        begun = Appending(tag, cursor.mailbox())
        cursor.space()
        begun.announce(cursor)
    except Malformed as fault:
        raise Malformed(fault.text, tag=tag) from None
    return begun

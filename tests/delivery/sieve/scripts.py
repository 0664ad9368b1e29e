# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Running a script over a mail, for tests."""

from __future__ import annotations

from collections.abc import Collection

from mailroom.delivery.filing import Arrival
from mailroom.delivery.letters import written
from mailroom.delivery.sieve import grammar, run
from mailroom.delivery.sieve.run import Filed, Outcome
from mailroom.mime import headers

NOW = 1_750_000_000_000  # Sunday, 15 June 2025, 15:06:40 UTC
EXTENSIONS = ",".join(f'"{name}"' for name in grammar.EXTENSIONS)
ALL = f"require [{EXTENSIONS}];\r\n"

MAIL = (
    "Received: from a by b; Mon, 2 Jun 2025 10:00:00 +0200\r\n"
    "Received: from c by d; Sun, 1 Jun 2025 23:30:05 -0500\r\n"
    'From: "Bob, Li" <Bob.Li+work@Out.Example>\r\n'
    "To: amy@corp.example, Zoe <zoe@out.example>\r\n"
    "Cc: all: yan@out.example, xin@out.example;\r\n"
    "Subject: =?utf-8?B?5oql5Lu3?= [Shop]  Offer *?\\ 12\r\n"
    "Date: Sun, 1 Jun 2025 23:30:00 -0500\r\n"
    "Message-ID: <1@out.example>\r\n"
    "X-Spam-Score: 007\r\n"
    "X-Empty:\r\n"
    "X-Two: one\r\nX-Two: two\r\nX-Two: three\r\n"
    "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n"
    "\r\n"
    "--b\r\nContent-Type: text/plain; charset=gb18030\r\nContent-Transfer-Encoding: base64\r\n\r\nztK1xNbQzsQ=\r\n"
    "--b\r\nContent-Type: text/html\r\n\r\n<p>Caf&eacute;</p>\r\n"
    "--b\r\nContent-Type: application/pdf\r\n\r\n%PDF secret\r\n"
    "--b--\r\n"
)


def outcome(
    script: str,
    *,
    mail: str = MAIL,
    sender: str = "bob.li+work@out.example",
    recipient: str = "amy+shop@corp.example",
    folders: Collection[str] = ("INBOX", "Work", "Work/A"),
) -> Outcome:
    """What the script wants; every extension is required."""
    letter = written(mail.encode())
    arrival = Arrival(letter, headers.read(letter.header), sender, recipient, ["amy@corp.example"])
    text = script if script.startswith("require") else ALL + script
    return run.run(grammar.parse(text), arrival, folders=folders, now=NOW)


def holds(test: str, **about: str) -> bool:
    """Whether a test is true of the mail."""
    found = outcome(f'if {test} {{ fileinto "yes"; }} else {{ fileinto "no"; }}', **about)
    assert not found.fault, found.fault
    assert found.filed in {(Filed("yes"),), (Filed("no"),)}
    return found.filed == (Filed("yes"),)

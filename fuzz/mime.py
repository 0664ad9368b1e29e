# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Feeds mangled mails to `mailroom.mime` and stops at the first that breaks a promise.

Run it as `python fuzz/mime.py --seconds 60 [--seed N] [FOLDER ...]`; the folders hold mails to mangle.
A mail that breaks a promise is written beside the script's working folder, to be made a test of.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

from mailroom.mime.scan import Part, Scanner, scan
from mailroom.mime.structure import from_json, summarise

SLOW = 1.0  # seconds; no mail of the size made here may take longer
LONGEST = 256 * 1024
SEED_MAIL = (
    b'From: =?utf-8?B?5oql5Lu3?= <a@b.example>\r\nTo: g: c@d.example, (x (y)) "q\\"" <@r,@s:e@f>;\r\n'
    b'Subject: =?gb2312?Q?=B1=A8=BC=DB?= x\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/html; charset=gbk\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"<p>=B1=A8</p>\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nbody\r\n"
    b"--b\r\nContent-Disposition: attachment; filename*0*=utf-8''%e6%8a; filename*1*=%a5.pdf\r\n"
    b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 x\r\n#86)C\r\nend\r\n--b--\r\n"
)
PIECES = (
    [bytes([octet]) for octet in (0, 9, 10, 13, 27, 32, 34, 39, 40, 41, 42, 44, 58, 59, 60, 61, 62, 63, 64, 92, 0x80)]
    + [b"\r\n", b"\r\n\r\n", b"\n--", b"--b\r\n", b"=?utf-8?Q?", b"?=", b"=?a?b?", b'="', b'\\"', b"((((", b";;;;"]
    + [b"Content-Type: multipart/digest; boundary=b\r\n\r\n", b"Content-Type: message/rfc822\r\n\r\n", b"\xb1\xa8"]
    + [b"Content-Transfer-Encoding: base64\r\n", b"filename*1*=%", b"\x1b$B", b"+2AA-", b"<div>" * 50, b"&#0;&#xd800;"]
)


def main() -> int:
    """Mangle and check until the time is over."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--seed", type=int, default=time.time_ns())
    options.add_argument("folders", nargs="*", type=Path)
    given = options.parse_args()
    chance = random.Random(given.seed)
    corpus = [SEED_MAIL] + [
        path.read_bytes() for folder in given.folders for path in folder.rglob("*") if path.is_file()
    ]
    ends = time.monotonic() + given.seconds
    runs = 0
    slowest = 0.0
    while time.monotonic() < ends:
        mail = mangled(chance, corpus)
        began = time.monotonic()
        try:
            check(chance, mail)
        except BaseException:
            Path("fuzz-mime.eml").write_bytes(mail)
            print(f"seed {given.seed}, run {runs}: the mail is in fuzz-mime.eml", file=sys.stderr)
            raise
        slowest = max(slowest, time.monotonic() - began)
        runs += 1
    print(f"{runs} mails from {len(corpus)}, seed {given.seed}, slowest {slowest * 1000:.0f} ms")
    return 0


def mangled(chance: random.Random, corpus: list[bytes]) -> bytes:
    """A mail of the corpus with pieces cut, doubled, swapped with another's, or put in."""
    mail = bytearray(chance.choice(corpus)[:LONGEST])
    for _ in range(chance.randint(1, 8)):
        at = chance.randint(0, len(mail))
        upto = min(len(mail), at + chance.choice((1, 4, 40, 400)))
        match chance.randrange(5):
            case 0:
                del mail[at:upto]
            case 1:
                mail[at:at] = mail[at:upto] * chance.choice((1, 3, 30))
            case 2:
                other = chance.choice(corpus)
                start = chance.randint(0, len(other))
                mail[at:upto] = other[start : start + 400]
            case 3:
                mail[at:at] = chance.choice(PIECES) * chance.choice((1, 1, 1, 5, 500, 5000))
            case _:
                mail[at:upto] = chance.randbytes(upto - at)
    return bytes(mail[:LONGEST])


def check(chance: random.Random, mail: bytes) -> None:
    """The promises: nothing raised, nothing slow, offsets within the mail, chunks do not matter, texts can be kept."""
    began = time.process_time()
    part = scan(mail)
    summary = summarise(part, lambda start, stop: mail[start:stop])
    spent = time.process_time() - began
    if spent > SLOW:
        raise AssertionError(f"{spent:.1f} s for {len(mail)} octets")
    for text in (summary.message_id, summary.subject, summary.from_, summary.to, summary.preview, summary.parts_json):
        check_text(text)
    for text in (*summary.attachments, *summary.references, *summary.in_reply_to):
        check_text(text)
    check_offsets(part, 0, len(mail))
    stored = from_json(summary.parts_json)
    if [each.body_end for each in stored.walk()] != [each.body_end for each in part.walk()]:
        raise AssertionError("stored parts differ")
    scanner = Scanner()
    at = 0
    while at < len(mail):
        upto = at + chance.choice((1, 2, 3, 70, 4000, 70_000))
        scanner.feed(mail[at:upto])
        at = upto
    if scanner.finish() != part:
        raise AssertionError("chunks matter")


def check_text(text: str) -> None:
    """A text that every database can keep."""
    text.encode()
    if "\0" in text:
        raise AssertionError(f"NUL in {text!r}")


def check_offsets(part: Part, start: int, stop: int) -> None:
    """Each part within the one that holds it, header before body."""
    if not start <= part.header_start <= part.body_start <= part.body_end <= stop:
        raise AssertionError(f"{part} not within {start}..{stop}")
    for child in part.children:
        check_offsets(child, part.body_start, part.body_end)


if __name__ == "__main__":
    sys.exit(main())

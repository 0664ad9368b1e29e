# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mails to send, and the program that sends them (load.c)."""

from __future__ import annotations

import base64
import enum
import functools
import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

DOMAIN = "bench.example"
MAILBOXES = 100
_STRANGER = "chen.xiaoming@load.example"

_HEADER = """\
Received: from mail-sor-f41.load.example (mail-sor-f41.load.example [192.0.2.41])\r
 by mx.bench.example with ESMTPS id 4d5a1b7c9e2f88-3f1c2d\r
 (version=TLS1_3 cipher=TLS_AES_256_GCM_SHA384 bits=256/256);\r
 Fri, 20 Nov 2026 09:59:58 +0000 (UTC)\r
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=load.example; s=20230601;\r
 t=1795082398; x=1795687198; h=to:subject:message-id:date:from:mime-version:from:to:cc:subject;\r
 bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r
 b=Zm9yIHRoZSBzYWtlIG9mIGxlbmd0aCB0aGlzIGlzIG5vIHNpZ25hdHVyZSBvZiBhbnl0aGluZyBhdCBhbGwsIGJ1dCBp\r
 dCBoYXMgdGhlIHNpemUgb2Ygb25lLCBhbmQgYSBwYXJzZXIgaGFzIHRvIHdhbGsgb3ZlciBpdCBsaWtlIG92ZXIgYSByZWFs\r
MIME-Version: 1.0\r
From: =?utf-8?B?6ZmI5bCP5piO?= <chen.xiaoming@load.example>\r
Reply-To: Chen Xiaoming <chen.xiaoming@load.example>\r
Cc: Bob Li <bob.li@load.example>, "Wang, Amy" <amy.wang@load.example>\r
Date: Fri, 20 Nov 2026 17:59:57 +0800\r
References: <CAF+first@mail.load.example> <CAF+second@mail.load.example>\r
In-Reply-To: <CAF+second@mail.load.example>\r
Subject: =?utf-8?B?5YWz5LqO5LiL5ZGo5LqU55qE5Lya6K6u5a6J5o6S?= Meeting on Friday\r
X-Mailer: Load 1.0\r
"""
_TEXT = "Hello, the meeting moves to Friday at ten; please bring the figures of the third quarter with you.\r\n"
_BASE64 = "VGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZywgYW5kIHRoZW4gaXQ=\r\n"


def mail(size: int) -> bytes:
    """A mail of about `size` octets: plain text, or with an attachment when it is large."""
    if size <= 64 * 1024:
        head = _HEADER + 'Content-Type: text/plain; charset="UTF-8"\r\nContent-Transfer-Encoding: 7bit\r\n\r\n'
        return (head + _TEXT * ((size - len(head)) // len(_TEXT))).encode()
    head = _HEADER + (
        'Content-Type: multipart/mixed; boundary="=_mixed"\r\n\r\n--=_mixed\r\nContent-Type: text/plain\r\n\r\n'
        + _TEXT
        + "\r\n--=_mixed\r\nContent-Type: application/octet-stream; name=report.bin\r\n"
        "Content-Disposition: attachment; filename=report.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    )
    end = "\r\n--=_mixed--\r\n"
    return (head + _BASE64 * ((size - len(head) - len(end)) // len(_BASE64)) + end).encode()


class Mode(enum.StrEnum):
    """How mails use connections."""

    NEW = "new"  # one mail a connection
    KEEP = "keep"  # many mails a connection


@dataclass(frozen=True, slots=True)
class Sent:
    """What a round of the load generator saw. `cpu` is its own, in seconds."""

    accepted: int
    refused: int
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is sent: mails of `size` octets on so many connections, for `seconds` or until there were `mails`."""

    connections: int = 10
    mode: Mode = Mode.KEEP
    seconds: float = 2.5
    mails: int = 0
    rate: float = 0
    size: int = 4096
    domain: str = DOMAIN  # of the recipients
    sender: str = _STRANGER
    password: str = ""  # the sender's, if he is to sign in

    def command(self, port: int) -> list[str]:
        """The generator's command line."""
        numbers = (self.connections, self.mode, self.seconds, self.mails, self.rate, MAILBOXES)
        file = _mail_file(self.size, self.sender)
        response = base64.b64encode(f"\0{self.sender}\0{self.password}".encode()).decode()
        who = [self.sender, response] if self.password else [self.sender]
        return [str(_program()), "127.0.0.1", str(port), *map(str, numbers), self.domain, str(file), *who]

    def run(self, port: int) -> Sent:
        """Send, and wait for the last reply."""
        ran = subprocess.run(self.command(port), check=True, stdout=subprocess.PIPE, text=True)
        return Sent(**json.loads(ran.stdout))


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="mailroom-load-")


@functools.cache
def _program() -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        raise SystemExit("bench: the load generator needs a C compiler (cc)")
    program = Path(_folder().name) / "load"
    subprocess.run([compiler, "-O2", "-o", str(program), str(Path(__file__).with_name("load.c"))], check=True)
    return program


@functools.cache
def _mail_file(size: int, sender: str) -> Path:
    path = Path(_folder().name) / f"mail-{size}-{sender}"
    path.write_bytes(mail(size).replace(_STRANGER.encode(), sender.encode()))
    return path

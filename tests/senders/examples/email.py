# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A smarthost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from mailroom.core.secrets import Secret
from mailroom.senders.contract import Account
from tests.senders import smtp_double
from tests.senders.examples import SECRET, Example
from tests.senders.smtp_double import DROP, HANG, Double

_ECHO = f"550 5.7.1 your password {SECRET} is wrong"
_VERBS = ("CONNECT", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", ".")


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server that sticks to a script."""

    script: Mapping[str, str]

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[int]:
        double = Double({verb: [answer] * 9 for verb, answer in self.script.items()}, tls=None)
        double.extensions += ("AUTH PLAIN",)
        double.answers = lambda _: "235 2.7.0 welcome"
        async with smtp_double.serving(double):
            yield double.port


EXAMPLE = Example(
    account=lambda port: Account(
        "mail",
        {"host": "127.0.0.1", "port": str(port), "encryption": "none", "user": "amy"},
        {"password": Secret(SECRET)},
    ),
    content={
        "mail": 1,
        "from": "amy@corp.example",
        "size": 30,
        "utf8": False,
        "eight_bit": False,
        "ret": "",
        "envid": "",
    },
    address="amy@corp.example",
    nonsense={
        "no words": Server({".": "250"}),
        "many lines": Server({".": "250-x\n" * 100 + "250 x"}),
        "no text": Server({".": "250 \udcff\udcfe\x00"}),
        "a flood": Server({".": "250 " + "x" * 4000}),
    },
    body_decides=False,
    not_taken={
        verb + answer[:3]: Server({verb: answer})
        for verb in _VERBS
        for answer in ("421 4.3.2 going down", "451 4.3.0 not now", _ECHO, "599 \udcff\x1b[31m" + "long " * 500)
    },
    no_answer={
        verb + answer[:4]: Server({verb: answer})
        for verb in _VERBS
        for answer in (DROP, "HTTP/1.1 200 OK", "x" * 100_000, "250-x\n" * 100_000 + "250 x", "25", "\x16\x03\x01")
    },
    silence=Server({"RCPT": HANG}),
)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""How each sender kind looks from outside, for the contract suite: `<kind>.py` with an `EXAMPLE`. Nobody keeps a list.

An HTTP kind's is made by `of_http`: every bad answer there is, given to whatever is not asked at a path of `well`, such
as that of the access token, which is answered as it should be.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from types import MappingProxyType
from typing import Any

import tests.senders.examples
from mailroom.sandbox.server import Sandbox
from mailroom.senders.contract import Account
from mailroom.senders.note import Note, Use
from tests.senders.peers import NO_ANSWERS, Talk, free_port, peer, says

Provider = Callable[[], AbstractAsyncContextManager[Any]]  # gives where it is: a port, or what else `account` takes

SECRET = "s1gning-key"  # what answers echo, and nobody may ever read in an outcome
NOTE = Note(
    text="New mail from Bob Li: 报价 Q2",
    title="报价 Q2",
    rows=(("From", "Bob Li"), ("Subject", "报价 Q2")),
    url="https://mail.corp.example/mail/inbox/7",
    values={
        "from": "Bob Li <bob@out.example>",
        "fromname": "Bob Li",
        "sender": "bounce@out.example",
        "to": "amy@corp.example",
        "subject": "报价 Q2",
        "date": "2026-03-01 08:00",
        "size": "4 KB",
        "attachnum": "2",
        "body": "Hi Amy",
        "count": "1",
        "code": "123456",
    },
    use=Use.NOTICE,
    at=1_772_323_200_000,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """How a kind's account and content look, with its provider at a given place, and what that provider can do."""

    account: Callable[[Any], Account]
    content: Mapping[str, Any]
    address: str
    nonsense: Mapping[str, Provider]  # success by its status, nonsense by its body
    body_decides: bool  # whether that is a failure
    not_taken: Mapping[str, Provider]
    no_answer: Mapping[str, Provider]  # after it may have been taken
    silence: Provider
    nowhere: Callable[[], Any] = free_port  # where no provider is
    # An account at its double, whose callbacks, if there are any, go to `/callbacks/<code of the account>`.
    staged: Callable[[Sandbox], Account] | None = None


def examples() -> Mapping[str, Example]:
    """Every example there is, by its kind."""
    names = sorted(module.name for module in pkgutil.iter_modules(tests.senders.examples.__path__))
    return MappingProxyType({name: import_module(f"tests.senders.examples.{name}").EXAMPLE for name in names})


def page(status: str, body: bytes, *headers: str) -> Talk:
    """An answer as it stands."""
    lines = "".join(f"{header}\r\n" for header in (*headers, f"Content-Length: {len(body)}", "Connection: close"))
    return says(f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body)


def json_page(text: str, status: str = "200 OK") -> Talk:
    """An answer in JSON."""
    return page(status, text.encode(), "Content-Type: application/json; charset=utf-8")


NONSENSE = {
    "nothing": page("200 OK", b""),
    "a web page": page("200 OK", b"<!doctype html><title>Log in to the Wi-Fi</title>", "Content-Type: text/html"),
    "half of JSON": page("200 OK", b'{"errcode":', "Content-Type: application/json"),
    "JSON of another kind": page("200 OK", b"[null]", "Content-Type: application/json"),
    "no text": page("200 OK", b"\xff\xfe\x00\x80" * 64, "Content-Type: application/json; charset=utf-8"),
    "an unknown charset": page("200 OK", b"{}", "Content-Type: application/json; charset=klingon"),
    "claims to be packed": page("200 OK", b"not gzip", "Content-Encoding: gzip"),
    "a flood": page("200 OK", b"{" * 10_000_000),
    "deep JSON": page("200 OK", b"[" * 60_000, "Content-Type: application/json"),
}
# Well-formed, and of no shape that a provider ever answers in: what is read out of it has to be looked at first.
ODD = {
    "JSON null": json_page("null"),
    "a number": json_page("1e999"),
    "codes of other types": json_page('{"errcode":"zero","code":[],"errmsg":{},"msg":7,"data":[1],"result":"x"}'),
    "objects for texts": json_page('{"errcode":{},"code":{},"Code":{},"Response":[],"task_id":{},"data":{"x":[]}}'),
    "huge numbers": json_page('{"errcode":' + "9" * 4000 + ',"code":-1e308}'),
    "half a surrogate": json_page('{"errcode":40001,"errmsg":"\\ud83d","code":1,"msg":"\\udcff","Code":"\\ud800"}'),
}
NOT_TAKEN = {
    "an error page": page("502 Bad Gateway", b"<html>" + b"\r\nx" * 5000),
    "a redirect": page("301 Moved", b"", "Location: http://127.0.0.1/"),
    "a redirect to nowhere": page("302 Found", b""),
    "an endless wait": page("429 Slow", b"", "Retry-After: " + "9" * 3000),
    "a number nobody knows": page("799 What", b""),
    "an echo": page("403 No", f"your key {SECRET} is wrong".encode()),
    "an echo in JSON": json_page(
        f'{{"errcode":40001,"errmsg":"{SECRET}","code":"no {SECRET}","msg":"{SECRET}","message":"{SECRET}"}}',
        "400 Bad Request",
    ),
}


def of_http(
    account: Callable[[Any], Account],
    address: str,
    *,
    content: Mapping[str, Any] | None = None,
    well: Mapping[str, Talk] | None = None,
    body_decides: bool = True,
    staged: Callable[[Sandbox], Account] | None = None,
) -> Example:
    """The example of a kind that sends by HTTP. A key of `well` is a part of the path."""

    def provider(talk: Talk) -> Provider:
        return partial(peer, talk, well=well or {})

    return Example(
        account=account,
        content=NOTE.content() if content is None else content,
        address=address,
        nonsense={name: provider(talk) for name, talk in (NONSENSE | (ODD if body_decides else {})).items()},
        body_decides=body_decides,
        not_taken={name: provider(talk) for name, talk in NOT_TAKEN.items()},
        no_answer={name: provider(talk) for name, (talk, _) in NO_ANSWERS.items() if name != "silence"},
        silence=provider(NO_ANSWERS["silence"][0]),
        staged=staged,
    )

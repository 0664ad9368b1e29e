# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What signing and verifying a mail costs, beside dkimpy on the same mails, in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import dkim as dkimpy  # type: ignore[import-untyped] # it has no types
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mailroom.mime import dkim, fields
from mailroom.mime.dkim import Bodies, Code, Forms, Signature, SigningKey
from tests import make
from tests.mime import keys

_SIZES = {"4 KB": 4 * 1024, "1 MB": 1 << 20}


def run(_folder: Path, *, rounds: int, seconds: float) -> str:
    """The table, in Markdown."""
    lines = [
        "DKIM, RSA-2048, relaxed/relaxed; milliseconds of CPU a mail, and how many times as much dkimpy takes.\n",
        "| | Mailroom | dkimpy | ratio |",
        "|---|---|---|---|",
    ]
    for name, size in _SIZES.items():
        mail = make.mail(size=size)
        for verb, ours, theirs in (("sign", _sign, _sign_theirs), ("verify", _verify, _verify_theirs)):
            given = mail if verb == "sign" else keys.signed(mail)
            spent = [(_cost(ours, given, seconds / 8), _cost(theirs, given, seconds / 8)) for _ in range(rounds)]
            mine, other = (statistics.median(pair[index] for pair in spent) for index in (0, 1))
            lines.append(f"| {verb}, {name} | {mine:.3f} | {other:.3f} | {other / mine:.1f} |")
    return "\n".join(lines) + "\n"


def _cost(work: Callable[[bytes], None], mail: bytes, seconds: float) -> float:
    """Milliseconds of CPU a call."""
    began, calls = time.process_time(), 0
    while time.process_time() - began < seconds or not calls:
        work(mail)
        calls += 1
    return (time.process_time() - began) / calls * 1000


_KEY = SigningKey("corp.example", "rsa", keys.RSA)
_PEM = keys.RSA.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def _sign(mail: bytes) -> None:
    header, body = keys.apart(mail)
    dkim.sign(header, dkim.body_digest([body]), _KEY, now=keys.NOW)


def _sign_theirs(mail: bytes) -> None:
    dkimpy.sign(mail, b"rsa", b"corp.example", _PEM, canonicalize=(b"relaxed", b"relaxed"))


def _verify(mail: bytes) -> None:
    header, body = keys.apart(mail)
    found = fields.split(header)
    [one] = [one for one in dkim.signatures(found) if isinstance(one, Signature)]
    bodies = Bodies([one])
    bodies.feed(body)
    bodies.finish()
    result = dkim.verify(one, dkim.key([keys.RECORDS["rsa"]]), forms=Forms(found), bodies=bodies, now=keys.NOW)
    assert result.code is Code.PASS


def _verify_theirs(mail: bytes) -> None:
    assert dkimpy.verify(mail, dnsfunc=lambda *_args, **_more: keys.RECORDS["rsa"])

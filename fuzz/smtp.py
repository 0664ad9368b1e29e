# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Fuzzes the SMTP session from every state for a bounded time: `python -m fuzz.smtp [seconds] [seed]`.

Whatever it is told, it must not raise, must promise no mail that was not taken, must take no bare CR or LF, and where
members sign in nothing from a stranger. A find prints the seed that repeats it.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from mailroom.protocols.smtp.session import Dialect
from tests.protocols.smtp.drive import MEMBER_ROADS, MEMBER_WORDS, ROADS, WORDS, Driven, for_members, promises


def speech(chance: random.Random, words: Sequence[bytes]) -> list[bytes]:
    """Commands, parts of them, and noise, glued and cut at random."""
    octets = bytearray()
    for _ in range(chance.randrange(30)):
        word = bytearray(chance.choice(words) if chance.random() < 0.9 else chance.randbytes(chance.randrange(20)))
        if word and chance.random() < 0.2:
            word[chance.randrange(len(word))] = chance.randrange(256)
        octets += word
    pieces = []
    while octets:
        cut = chance.choice([1, 2, 5, 100, 5000])
        pieces.append(bytes(octets[:cut]))
        del octets[:cut]
    return pieces


def run(seed: int) -> None:
    """One session, from one state, under one seed."""
    chance = random.Random(seed)
    dialect = chance.choice([*Dialect, None])
    if dialect is None:
        driven = replace(for_members(), errors_most=chance.choice([3, 1000]))
        driven.hear(chance.choice([*ROADS.values(), *MEMBER_ROADS.values()]))
        driven.hear(*speech(chance, WORDS + MEMBER_WORDS))
    else:
        driven = Driven(dialect, errors_most=chance.choice([3, 1000]))
        hello = b"LHLO" if dialect is Dialect.LMTP else b"EHLO"
        driven.hear(chance.choice(list(ROADS.values())).replace(b"EHLO", hello))
        driven.hear(*speech(chance, WORDS))
    wanted = len(driven.taken) if dialect is not Dialect.LMTP else sum(len(to) for _, to, _ in driven.taken)
    assert promises(driven) == wanted, "a promise without a mail"
    for _, _, content in driven.taken:
        rest = content.replace(b"\r\n", b"")
        assert b"\r" not in rest, "a bare CR was taken"
        assert b"\n" not in rest, "a bare LF was taken"


def main(seconds: float, seed: int) -> None:
    """Fuzz for so long."""
    end = time.monotonic() + seconds
    first = seed
    while time.monotonic() < end:
        try:
            run(seed)
        except Exception:
            print(f"found with seed {seed}", file=sys.stderr)
            raise
        seed += 1
    print(f"{seed - first} sessions, nothing found")


if __name__ == "__main__":
    arguments = [*sys.argv[1:], *["10", str(random.SystemRandom().randrange(2**32))][len(sys.argv) - 1 :]]
    main(float(arguments[0]), int(arguments[1]))

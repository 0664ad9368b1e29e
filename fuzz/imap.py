# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Fuzzes the IMAP grammar for a bounded time: `python -m fuzz.imap [seconds] [seed]`.

Whatever a client says, the reader must not raise, must hear the same however it is cut, must hold no more than a
command, and must answer every line once. A find prints the seed that repeats it.
"""

from __future__ import annotations

import random
import sys
import time

from mailroom.protocols.imap.grammar.reader import BEFORE_LOGIN, Limits, Request, Wrong
from tests.protocols.imap.listen import COMMANDS, SMALL, WORDS, listen

SLOW = 1.0  # seconds of work; no speech made here may take longer
ROOMY = Limits(command=64 * 1024, skipped=1024 * 1024)


def speech(chance: random.Random) -> bytes:
    """Commands, parts of them, and noise, glued, repeated and bent at random."""
    octets = bytearray()
    for _ in range(chance.randrange(30)):
        word = bytearray(chance.choice(chance.choice((COMMANDS, WORDS))))
        if chance.random() < 0.1:
            word = bytearray(chance.randbytes(chance.randrange(20)))
        if word and chance.random() < 0.2:
            word[chance.randrange(len(word))] = chance.randrange(256)
        octets += word * chance.choice((1, 1, 1, 1, 2, 50))
    return bytes(octets)


def cut(chance: random.Random, octets: bytes) -> list[bytes]:
    """The same in pieces."""
    pieces = []
    while octets:
        size = chance.choice((1, 2, 5, 100, 5000))
        pieces.append(octets[:size])
        octets = octets[size:]
    return pieces


def run(seed: int) -> None:
    """One speech under one seed."""
    chance = random.Random(seed)
    said = speech(chance)
    limits = chance.choice((SMALL, BEFORE_LOGIN, ROOMY))
    began = time.process_time()
    heard = listen([said], limits)
    assert time.process_time() - began < SLOW, "too slow"
    assert listen(cut(chance, said), limits) == heard, "cuts matter"
    line = b"a " + said.replace(b"\n", b"").replace(b"}", b"")[: ROOMY.command - 2]
    [answer] = listen([line, b"\r\n"], ROOMY)
    assert isinstance(answer, Request | Wrong), "neither a command nor none"


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
    print(f"{seed - first} speeches, nothing found")


if __name__ == "__main__":
    arguments = [*sys.argv[1:], *["10", str(random.SystemRandom().randrange(2**32))][len(sys.argv) - 1 :]]
    main(float(arguments[0]), int(arguments[1]))

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Fuzzes the IMAP grammar, and a server from every state of a session, for a bounded time: `python -m fuzz.imap
[seconds] [seed]`.

Whatever a client says, the reader must not raise, must hear the same however it is cut, must hold no more than a
command, and must answer every line once; the server must log no fault, and serve others. A find prints the seed that
repeats it.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence

from mailroom.protocols.imap.grammar.reader import BEFORE_LOGIN, Limits, Request, Wrong
from tests.protocols.imap.drive import ROADS, STEPS, Standing
from tests.protocols.imap.listen import COMMANDS, SMALL, WORDS, listen

SLOW = 1.0  # seconds of work; no speech made here may take longer
_SESSIONS = 10  # speeches to the reader for each that a server hears
ROOMY = Limits(command=64 * 1024, skipped=1024 * 1024)


def speech(chance: random.Random, *kinds: Sequence[bytes]) -> bytes:
    """Words of these kinds, parts of them, and noise, glued, repeated and bent at random."""
    octets = bytearray()
    for _ in range(chance.randrange(30)):
        word = bytearray(chance.choice(chance.choice(kinds)))
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
    said = speech(chance, COMMANDS, WORDS)
    limits = chance.choice((SMALL, BEFORE_LOGIN, ROOMY))
    began = time.process_time()
    heard = listen([said], limits)
    assert time.process_time() - began < SLOW, "too slow"
    assert listen(cut(chance, said), limits) == heard, "cuts matter"
    line = b"a " + said.replace(b"\n", b"").replace(b"}", b"")[: ROOMY.command - 2]
    [answer] = listen([line, b"\r\n"], ROOMY)
    assert isinstance(answer, Request | Wrong), "neither a command nor none"


def run_session(seed: int, standing: Standing) -> None:
    """The same for a session of the server that stands."""
    chance = random.Random(seed)
    road = chance.choice(list(ROADS.values()))
    standing.attack(road, cut(chance, speech(chance, COMMANDS, WORDS, STEPS, STEPS)))


def main(seconds: float, seed: int) -> None:
    """Fuzz for so long."""
    end = time.monotonic() + seconds
    first, standing = seed, Standing()
    while time.monotonic() < end:
        try:
            run(seed)
            if seed % _SESSIONS == 0:
                run_session(seed, standing)
        except Exception:
            print(f"found with seed {seed}", file=sys.stderr)
            raise
        seed += 1
    print(f"{seed - first} speeches, nothing found")


if __name__ == "__main__":
    arguments = [*sys.argv[1:], *["10", str(random.SystemRandom().randrange(2**32))][len(sys.argv) - 1 :]]
    main(float(arguments[0]), int(arguments[1]))

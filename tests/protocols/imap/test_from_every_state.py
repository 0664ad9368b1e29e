# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever a client says, from whatever state: no trace in the log, and others read their mail."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from tests.protocols.imap.drive import ROADS, STEPS, attack, watched
from tests.protocols.imap.listen import COMMANDS, WORDS


def damaged(words: bytes, place: int, octet: int) -> bytes:
    place %= len(words)
    return words[:place] + bytes([octet]) + words[place + 1 :]


steps, commands, words = (some.sampled_from(kind) for kind in (STEPS, COMMANDS, WORDS))
spoilt = some.builds(damaged, steps | commands, some.integers(0, 100), some.integers(0, 255))
pieces = steps | commands | spoilt | words | some.binary(max_size=8)


@pytest.mark.parametrize(("engine", "examples"), [("sqlite", 200), ("postgres", 40)])
def test_any_octets(engine: str, examples: int, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    opened = watched(str(request.getfixturevalue(f"{engine}_url")), tmp_path)
    with asyncio.Runner() as runner:
        place, good = runner.run(opened.__aenter__())

        @settings(max_examples=examples)
        @given(some.sampled_from(sorted(ROADS)), some.lists(steps, max_size=5), some.lists(pieces, max_size=15))
        def check(road: str, first: list[bytes], then: list[bytes]) -> None:
            runner.run(attack(place, good, ROADS[road], first + then))

        try:
            check()
        finally:
            runner.run(opened.__aexit__(None, None, None))

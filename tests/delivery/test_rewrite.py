# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""A rewritten mail is scanned as if it had come so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.delivery.rewrite import rewrite
from mailroom.delivery.spool import SMALL, Spool
from mailroom.mime import fields
from mailroom.mime.scan import scan
from tests import make

BODIES = [
    make.mail(more=["Bcc: eve@out.example", "X: 1"]),
    make.multipart((["Content-Type: text/html"], "<p>hi</p>"), (["Content-Type: message/rfc822"], make.mail())),
    make.mail(size=SMALL + 5000, more=["Bcc: a@b.example,", " c@d.example"]),
    make.mail(size=SMALL - 3),  # large once something stands before it
    b"Subject: only a header\r\n",
    b"\r\nonly a body\r\n",
    b"",
]


@pytest.mark.parametrize("octets", BODIES, ids=range(len(BODIES)))
@pytest.mark.parametrize("prefix", [b"", b"X-First: 1\r\nX-Second: 2\r\n"], ids=["", "prefix"])
@pytest.mark.parametrize("cut", [(), (b"bcc",), (b"from", b"subject", b"message-id")], ids=["", "bcc", "many"])
async def test_it_is_what_a_scan_would_find(
    octets: bytes, prefix: bytes, cut: tuple[bytes, ...], tmp_path: Path
) -> None:
    with Spool(tmp_path) as spool:
        spool.write(octets)
        part = spool.finish()
        found = fields.split(part.header)
        cuts = [(field.start, field.end) for field in found if field.name in cut]
        written, moved = await rewrite(spool, part, prefix=prefix, cuts=cuts)
        with written:
            expected = prefix + b"".join(field.raw for field in found if field.name not in cut)
            expected += octets[found[-1].end if found else 0 :]
            assert written.read(0, written.size) == expected
            assert moved == scan(expected)
            assert (written.path is not None) == (len(expected) > SMALL)
            if written.path:
                assert written.path.read_bytes() == expected
        assert spool.read(0, spool.size) == octets
    assert os.listdir(tmp_path) == []  # noqa: PTH208 # an asynchronous test


@given(st.text(alphabet="ab: \t\r\n", max_size=40).map(str.encode))
def test_the_fields_and_what_follows_are_the_header(header: bytes) -> None:
    found = fields.split(header)
    end = found[-1].end if found else 0
    assert b"".join(field.raw for field in found) == header[:end]
    assert header[end:] == b"" or header[end:].startswith((b"\r\n", b"\n"))
    assert all(field.raw for field in found)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The short cuts for what nearly every mail holds give what the long way gives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailroom.core.errors import InvalidAddress
from mailroom.directory import names
from mailroom.mime import address, headers

_PIECES = (
    *(
        b"a",
        b"bc.d",
        b" ",
        b"  ",
        b"\t",
        b'"',
        b'"q, x"',
        b'"" ',
        b"\\",
        b"<",
        b">",
        b"@",
        b",",
        b";",
        b":",
        b"(",
        b")",
    ),
    *(b"[", b"]", b"=?", b"?=", b"=?u?q?a_b?=", b"=?u?b?x, <y>?=", b"=?u?q?a b?=", b"?", b"=", b"\xff", b"<a@b>"),
    *(b"Name <x@y.z>, ", b"a@b", b"\x0b", b"{"),
)


@given(st.lists(st.sampled_from(_PIECES), max_size=12).map(b"".join))
def test_a_common_address_list_is_read_as_any_other(raw: bytes) -> None:
    assert address.parse(raw) == address._Reader(headers.unfold(raw)).read()


@given(
    st.lists(st.sampled_from(("a", "B", "1", "-", "--", "xn--", ".", "_", "\u0130", "\u212a", "ü", "。"))).map("".join)
)
def test_a_plain_domain_is_what_idna_makes_of_it(text: str) -> None:
    try:
        written = names._idna(text.rstrip("."), of=text)
    except InvalidAddress:
        written = ""
    try:
        canonical = names.canonical_domain(text)
    except InvalidAddress:
        canonical = ""
    assert canonical == (written if "." in written and len(written) <= 255 else "")

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Unsigned pushes of receipts, by somebody who knows the key: whatever they hold, it is heard, and fit to be kept."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.senders.catalogue import open_kinds
from mailroom.senders.contract import Call, Heard, Hears, Reported
from mailroom.senders.http import Http
from tests.senders.examples import examples
from tests.senders.peers import LOOPBACK, tools

NOW = 1_772_323_200_000
ACCOUNTS = {name: examples()[name].account(9) for name in ("sms_aliyun", "sms_gateway", "sms_tencent")}
KINDS = open_kinds(tools(Http(LOOPBACK)))
NAMES = st.sampled_from(
    ["phone_number", "biz_id", "success", "sid", "mobile", "nationcode", "report_status", "msgid", "status", "err_code"]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.text(st.characters(exclude_categories=()), max_size=20)
    | st.sampled_from(["SUCCESS", "FAIL", "DELIVRD", "86", "13900000001"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=8),
    max_leaves=12,
)


@pytest.mark.parametrize("name", sorted(ACCOUNTS))
@given(said=VALUES | st.lists(st.dictionaries(NAMES, VALUES, max_size=8), max_size=4), raw=st.binary(max_size=80))
def test_whatever_is_pushed_is_heard(name: str, said: object, raw: bytes) -> None:
    kind, account = KINDS[name], ACCOUNTS[name]
    assert isinstance(kind, Hears)
    for body in (json.dumps(said).encode(), raw):
        call = Call("POST", "callback-k3y", {}, {}, body, NOW, "https://mail.corp.example/callbacks/x")
        heard = kind.hear(account, call)
        assert isinstance(heard, Heard)
        for event in heard.events:
            assert isinstance(event, Reported)
            assert f"{event.provider_id}{event.code}{event.text}{event.address}".isprintable()

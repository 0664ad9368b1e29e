# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Keywords of templates: whatever a mail holds, their values are such as WeChat takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.core.errors import InvalidValue
from mailroom.sandbox.doubles.wechat import _VALUES as TAKEN
from mailroom.senders.note import Note
from mailroom.senders.wechat import keywords
from tests.senders.examples import NOTE

AT = 1_772_323_200_000


def value(pattern: str, type_: str = "thing", **values: str) -> str:
    note = Note(text="All of it", title="Title", values=values, at=AT)
    return keywords.fill(keywords.parse(f"{type_}1={pattern}"), note)[f"{type_}1"]["value"]


def test_words_and_variables_may_be_mixed() -> None:
    assert keywords.fill(keywords.parse("thing1={fromname} thing2=共{count}封 time3={date}"), NOTE) == {
        "thing1": {"value": "Bob Li"},
        "thing2": {"value": "共1封"},
        "time3": {"value": "2026-03-01 08:00"},
    }


@pytest.mark.parametrize(
    ("type_", "text", "shown"),
    [
        ("thing", "x" * 20, "x" * 20),
        ("thing", "x" * 21, "x" * 19 + "…"),
        ("thing", "two\r\n lines\u2028", "two lines"),
        ("thing", "", "-"),
        ("thing", " \n", "-"),
        ("thing", "{body}", "{body}"),
        ("character_string", "bob@out.example 报价", "bob@out.example"),
        ("character_string", "报价", "-"),
        ("number", "3 mails", "3"),
        ("number", "3.4.5", "3.4"),
        ("number", "", "0"),
        ("phrase", "新邮件 from Bob 到达了", "新邮件到达"),
        ("phrase", "Bob", "无"),
        ("name", "B" * 21, "B" * 19 + "…"),
        ("name", "张" * 11, "张" * 9 + "…"),
        ("letter", "a1b2", "ab"),
        ("symbol", "a!", "!"),
        ("keyword", "x" * 30, "x" * 19 + "…"),
        ("time", "16:00", "16:00"),
        ("date", "2026年3月1日", "2026年3月1日"),
    ],
)
def test_each_type_takes_what_it_can_show(type_: str, text: str, shown: str) -> None:
    assert value("{from}", type_, **{"from": text}) == shown


def test_a_time_that_is_none_is_that_of_the_note() -> None:
    assert value("{date}", "time", date="yesterday") == value("{date}", "time")
    assert value("{date}", "time").startswith("2026-03-01 ") or value("{date}", "time").startswith("2026-02-28 ")


def test_what_has_no_values_shows_its_words() -> None:
    assert (value("{subject}"), value("{body}"), value("{fromname}")) == ("Title", "All of it", "-")


@given(type_=st.sampled_from(sorted(TAKEN)), text=st.text(st.characters(exclude_categories=[]), max_size=60))
def test_no_mail_can_make_a_value_that_is_refused(type_: str, text: str) -> None:
    assert TAKEN[type_].fullmatch(value("{subject}", type_, subject=text))


@pytest.mark.parametrize("text", ["", " ", "thing={from}", "1={from}", "thing1", "thing1={nobody}", "x" * 501, "汉1=x"])
def test_what_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        keywords.parse(text)
    assert refusal.value.about["name"] == "fields"

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The table of states answers every question, and sanely."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mailroom.messaging.states import NEXT, News, State, after

RECEIPTS = {News.ARRIVED, News.READ, News.LOST}
ENDED = set(State) - {State.QUEUED}
ARRIVED = {State.DELIVERED, State.READ}


@pytest.mark.parametrize("news", News)
def test_a_queued_recipient_heeds_all_news_but_resend(news: News) -> None:
    assert (after(State.QUEUED, news) is State.QUEUED) == (news is News.RESEND)


def test_every_pair_has_an_answer_and_unlisted_ones_change_nothing() -> None:
    for state, news in itertools.product(State, News):
        assert after(state, news) is NEXT.get((state, news), state)


def test_the_table_lists_only_what_changes_something() -> None:
    assert all(state is not following for (state, _), following in NEXT.items())


def test_what_has_arrived_can_but_be_read_and_then_nothing_changes() -> None:
    assert {after(State.DELIVERED, news) for news in News} == {State.DELIVERED, State.READ}
    assert {after(State.READ, news) for news in News} == {State.READ}


def test_what_never_leaves_hears_nothing() -> None:
    assert {after(State.SUPPRESSED, news) for news in News} == {State.SUPPRESSED}


def test_what_has_left_is_neither_cancelled_nor_failed() -> None:
    for state in (State.SENT, State.DELIVERED, State.READ, State.UNDELIVERED):
        for news in (News.CANCEL, News.REFUSED, News.EXHAUSTED, News.ANSWER_LOST):
            assert after(state, news) is state


def test_only_what_ended_without_arriving_can_be_sent_again() -> None:
    again = {state for state in ENDED if after(state, News.RESEND) is State.QUEUED}
    assert again == {State.FAILED, State.UNKNOWN, State.UNDELIVERED}


def test_nothing_but_resend_leads_back_into_the_queue() -> None:
    assert {news for (_, news), following in NEXT.items() if following is State.QUEUED} == {News.RESEND}


def test_every_state_can_be_reached() -> None:
    reached, grown = {State.QUEUED}, True
    while grown:
        following = {after(state, news) for state in reached for news in News}
        grown = not following <= reached
        reached |= following
    assert reached == set(State) - {State.SUPPRESSED}  # in which one begins


@given(some.sampled_from(State), some.lists(some.sampled_from(News), max_size=8))
def test_once_arrived_no_news_takes_it_back(state: State, story: list[News]) -> None:
    for news in [*story, News.ARRIVED] if News.RESEND not in story else [News.ARRIVED, *story]:
        before, state = state, after(state, news)
        assert before not in ARRIVED or state in ARRIVED


@given(some.lists(some.sampled_from(sorted(RECEIPTS)), min_size=1, max_size=6))
def test_receipts_in_any_order_end_the_same(receipts: list[News]) -> None:
    ends = set()
    for order in (receipts, receipts[::-1], sorted(receipts)):
        state = State.SENT
        for news in order:
            state = after(state, news)
        ends.add(state)
    best = max(receipts, key=[News.LOST, News.ARRIVED, News.READ].index)
    assert ends == {after(State.SENT, best)}


@given(some.lists(some.sampled_from([News.ACCEPTED, *sorted(RECEIPTS)]), max_size=6))
def test_a_receipt_before_the_answer_ends_as_one_after_it(story: list[News]) -> None:
    def end(news: list[News]) -> State:
        state = State.QUEUED
        for each in news:
            state = after(state, each)
        return state

    if News.ACCEPTED in story and set(story) & RECEIPTS:
        assert end(story) is end(sorted(story, key=lambda news: news is not News.ACCEPTED))

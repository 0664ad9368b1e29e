# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What an answer of a gateway means, by its profile."""

from __future__ import annotations

from collections.abc import Iterable

from mailroom.core.secrets import Secret
from mailroom.senders.contract import Outcome, Refused, Scope, Sent, TryLater, Unknown, Why, excerpt
from mailroom.senders.http import Answer
from mailroom.senders.sms_gateway.documents import READ
from mailroom.senders.sms_gateway.profile import ID_MOST, Profile
from mailroom.senders.verdicts import Said, follows


def outcome(profile: Profile, answer: Answer, *, now: int, hide: Iterable[Secret]) -> Outcome:
    """Success by the profile's rule, else its first mistake that fits, else what the status says by itself."""
    secrets = tuple(hide)
    text = answer.body.decode(profile.charset, "replace")
    status, words = str(answer.status), excerpt(text, hide=secrets)
    if not answer.whole:
        return Unknown(status, words)
    holds = profile.success.holds(text)
    if holds and profile.success_status.fullmatch(status):
        return Sent(excerpt(profile.id.found(text), hide=secrets)[:ID_MOST] if profile.id else "", status)
    for mistake in profile.mistakes:
        if found := mistake.find(status, text[:READ]):
            code = excerpt(found[0], hide=secrets)[:ID_MOST] or status
            return follows(mistake.row, Said(code, words, after=mistake.after, at=now))
    says_no = holds is not None and bool(text.strip()) and not _is_page(text)
    return _by_status(answer, words, now, says_no=says_no)


def _by_status(answer: Answer, words: str, now: int, *, says_no: bool) -> Outcome:
    """What is neither a yes nor a no may have been taken: a repeat could be a second SMS."""
    status = str(answer.status)
    if answer.status == 429:
        return TryLater(status, words, Scope.SENDER, answer.after(now))
    if answer.status in {401, 403, 407} or answer.status // 100 == 3:
        return TryLater(status, words, Scope.SENDER, why=Why.ACCOUNT)
    if answer.status // 100 == 4 or (answer.status // 100 == 2 and says_no):
        return Refused(status, words)
    return Unknown(status, words)


def _is_page(text: str) -> bool:
    """Of the web: somebody else answered, such as a proxy."""
    return text.lstrip()[:9].lower().startswith(("<!doctype", "<html"))

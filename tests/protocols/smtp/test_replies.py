# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Every meaning has a code, and no refusal shows its inside."""

from __future__ import annotations

import pytest

from mailroom.core import errors
from mailroom.core.errors import Kind, Refusal
from mailroom.protocols.smtp import replies


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_row_whose_status_fits_its_code(kind: Kind) -> None:
    answer = replies.for_kind(kind)
    assert answer.code // 100 in (4, 5)
    assert answer.status.startswith(f"{answer.code // 100}.")
    assert len(answer.wire) <= 512  # RFC 5321 section 4.5.3.1.5


@pytest.mark.parametrize(
    ("refusal", "beginning"),
    [
        (errors.NotFound(what="mailbox", name="a@x"), "550 5.1.1"),
        (errors.OverQuota(), "452 4.2.2"),
        (errors.NoSpace(), "452 4.3.1"),
        (errors.TooLarge(what="mail", limit=1), "552 5.3.4"),
        (errors.Unavailable(what="store"), "451 4.3.0"),
        (errors.MailboxDisabled(address="a@x"), "550 5.2.1"),
        (errors.DomainNotActive(domain="x"), "550 5.7.1 domain not verified"),
        (errors.RelayDenied(domain="x"), "550 5.7.1 relaying denied"),
        (errors.MailLoop(hops=101), "554 5.4.6"),
        (errors.SenderNotAllowed(address="a@x"), "550 5.7.1 you may not send as this address"),
        (errors.SendingLimit(limit=1, period="1 h"), "450 4.7.1"),
        (errors.MalformedMail(reason="x"), "550 5.6.0"),
        (errors.WrongCredentials(), "535 5.7.8"),
        (errors.AccountDisabled(address="a@b.example"), "525 5.7.13"),
        (errors.LoginBlocked(), "534 5.7.9"),
        (errors.TooManyAttempts(seconds=1), "454 4.7.0"),
        (errors.Busy(seconds=1), "454 4.7.0"),
    ],
)
def test_a_refusal_is_said_as_a_mail_administrator_expects(refusal: Refusal, beginning: str) -> None:
    assert replies.for_refusal(refusal).wire.decode().startswith(beginning)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What we say, and the table from meaning to code. Texts are short and tell strangers nothing of our inside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from mailroom.core.errors import Kind, PolicyRefused, Refusal


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply of one line: code (RFC 5321 §4.2), enhanced status (RFC 3463; "" where RFC 2034 §3 wants none), text."""

    code: int
    status: str
    text: str

    @property
    def wire(self) -> bytes:
        """The line as it is sent."""
        if self.status:
            return f"{self.code} {self.status} {self.text}\r\n".encode()
        return f"{self.code} {self.text}\r\n".encode()


OK: Final = Answer(250, "2.0.0", "ok")
SENDER_OK: Final = Answer(250, "2.1.0", "ok")
RECIPIENT_OK: Final = Answer(250, "2.1.5", "ok")
BYE: Final = Answer(221, "2.0.0", "bye")
HELP: Final = Answer(214, "2.0.0", "see RFC 5321")
NOT_SAID: Final = Answer(252, "2.0.0", "send it, and we shall see")
READY_FOR_TLS: Final = Answer(220, "2.0.0", "ready to start TLS")
GO_AHEAD: Final = Answer(354, "", "end with <CRLF>.<CRLF>")

SIGNED_IN: Final = Answer(235, "2.7.0", "signed in")
NEEDS_SIGN_IN: Final = Answer(530, "5.7.0", "authentication required")
NEEDS_TLS: Final = Answer(538, "5.7.11", "encryption required: STARTTLS first")
UNKNOWN_MECHANISM: Final = Answer(504, "5.5.4", "unknown mechanism")
NOT_BASE64: Final = Answer(501, "5.5.2", "not base64, or not as the mechanism wants it")
CANCELLED: Final = Answer(501, "5.7.0", "cancelled")
TOO_MANY_TRIES: Final = Answer(421, "4.7.0", "too many failures to sign in")

UNKNOWN_COMMAND: Final = Answer(500, "5.5.1", "unknown command")
NOT_OFFERED: Final = Answer(502, "5.5.1", "not offered here")
OUT_OF_ORDER: Final = Answer(503, "5.5.1", "not now")
NO_RECIPIENTS: Final = Answer(554, "5.5.1", "no valid recipients")
LINE_TOO_LONG: Final = Answer(500, "5.5.6", "line too long")
BAD_LINE: Final = Answer(500, "5.5.2", "a line ends with CRLF and holds no NUL")
BAD_ARGUMENT: Final = Answer(501, "5.5.4", "wrong argument")
UNKNOWN_PARAMETER: Final = Answer(555, "5.5.4", "unknown parameter")
BAD_SENDER: Final = Answer(501, "5.1.7", "not an address")
BAD_RECIPIENT: Final = Answer(501, "5.1.3", "not an address")
NEEDS_UTF8: Final = Answer(553, "5.6.7", "this address needs SMTPUTF8")

TOO_MANY_RECIPIENTS: Final = Answer(452, "4.5.3", "too many recipients")
TOO_MANY_ERRORS: Final = Answer(421, "4.7.0", "too many errors")
TOO_MUCH_TALK: Final = Answer(421, "4.7.0", "too many commands and no mail")
ENDLESS: Final = Answer(421, "4.7.0", "mail far too large")
TOO_MANY_CONNECTIONS: Final = Answer(421, "4.7.0", "too many connections, try later")
TOO_SLOW: Final = Answer(421, "4.4.2", "too slow")
CLOSING: Final = Answer(421, "4.3.2", "going down, try later")
BROKEN: Final = Answer(421, "4.3.0", "something went wrong, try later")
NOT_SMTP: Final = Answer(421, "4.7.0", "this is SMTP")
TOO_LARGE: Final = Answer(552, "5.3.4", "mail too large")
BARE_LINE_END: Final = Answer(550, "5.5.2", "bare CR/LF (SMTP smuggling)")

_BY_KIND: Final = {
    Kind.INVALID: Answer(553, "5.1.3", "not an address"),
    Kind.NOT_FOUND: Answer(550, "5.1.1", "no such mailbox"),
    Kind.TAKEN: Answer(550, "5.3.0", "not possible"),
    Kind.CONFLICT: Answer(550, "5.2.1", "mailbox takes no mail"),
    Kind.UNAUTHENTICATED: Answer(530, "5.7.0", "authentication required"),
    Kind.FORBIDDEN: Answer(550, "5.7.1", "not allowed"),
    Kind.LIMIT: Answer(450, "4.7.0", "too much, try later"),
    Kind.TOO_LARGE: TOO_LARGE,
    Kind.OVER_QUOTA: Answer(452, "4.2.2", "mailbox full"),
    Kind.NO_SPACE: Answer(452, "4.3.1", "no space left, try later"),
    Kind.UNAVAILABLE: Answer(451, "4.3.0", "not possible now, try later"),
}

_BY_CODE: Final = {
    "domain_not_active": Answer(550, "5.7.1", "domain not verified"),
    "relay_denied": Answer(550, "5.7.1", "relaying denied"),
    "group_refused": Answer(550, "5.7.2", "this list takes no mail from you"),
    "mail_loop": Answer(554, "5.4.6", "mail is going round in a circle"),
    "policy_refused": Answer(550, "5.7.1", "not accepted"),
    "come_again": Answer(451, "4.7.1", "not yet, try again in some minutes"),
    "sender_not_allowed": Answer(550, "5.7.1", "you may not send as this address"),
    "sending_limit": Answer(450, "4.7.1", "sending limit reached, try later"),
    "malformed_mail": Answer(550, "5.6.0", "the header is not as RFC 5322 wants it"),
    # RFC 4954 §6
    "wrong_credentials": Answer(535, "5.7.8", "user name or password wrong"),
    "login_blocked": Answer(534, "5.7.9", "not allowed this way; use a client password"),
    "account_disabled": Answer(525, "5.7.13", "account disabled"),  # RFC 5248: after the right password
    "too_many_attempts": Answer(454, "4.7.0", "too many attempts, try later"),
    "busy": Answer(454, "4.7.0", "too many are signing in, try later"),
}


def for_kind(kind: Kind) -> Answer:
    """What a refusal of this kind is in SMTP."""
    return _BY_KIND[kind]


def for_refusal(refusal: Refusal) -> Answer:
    """What a refusal of ours is in SMTP: by its code where that has a row of its own, else by its kind."""
    answer = _BY_CODE.get(refusal.code) or for_kind(refusal.kind)
    # Whoever is refused for a check can help himself only if he learns which.
    if isinstance(refusal, PolicyRefused):
        return replace(answer, text=f"{answer.text}: {refusal.about['reason']}")
    return answer

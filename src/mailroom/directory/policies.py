# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Policies: what the administrator decides for the whole installation. Read in the transaction that needs one, so that
a change counts from the next mail or sign-in on, in every process.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from mailroom.core.errors import InvalidAddress, InvalidValue
from mailroom.directory import audit, queries, rights
from mailroom.directory.model import Actor
from mailroom.directory.names import canonical_domain
from mailroom.storage.ports import Tx

YES, NO = "yes", "no"
_ZONES_MOST = 10
_DOMAINS_MOST = 100
_DAYS_MOST = 3650
_PUBLIC_MOST = 1_000_000
_PLACE = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[\w.-]+):\d{1,5}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Policy:
    """One thing to decide. `check` gives a value in its canonical form; it raises `ValueError` that says what it must
    be. `values` is that in short.
    """

    name: str
    default: str
    values: str
    what: str
    check: Callable[[str], str]


def _one_of(name: str, *values: str, meaning: str) -> Policy:
    def check(text: str) -> str:
        if text not in values:
            raise ValueError(f"must be one of: {', '.join(values)}")
        return text

    return Policy(name, values[0], ", ".join(f"`{value}`" for value in values), meaning, check)


def _domains(name: str, *, most: int, meaning: str) -> Policy:
    def check(text: str) -> str:
        names = [one.strip() for one in text.split(",") if one.strip()]
        if len(names) > most:
            raise ValueError(f"must be {most} at most")
        try:
            return ",".join(dict.fromkeys(canonical_domain(one) for one in names))
        except InvalidAddress as fault:
            raise ValueError(f"{fault.about['address']} is no domain name") from fault

    return Policy(name, "", "domain names, joined by commas", meaning, check)


def _number(name: str, default: int, *, least: int, most: int, meaning: str) -> Policy:
    def check(text: str) -> str:
        if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most):
            raise ValueError(f"must be a number from {least} to {most}")
        return str(int(text))

    return Policy(name, str(default), f"{least} to {most}", meaning, check)


def _url(text: str) -> str:
    if text:
        parts = urlsplit(text)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.port == 0:
            raise ValueError("must begin with http:// or https:// and name a host, without a password")
    return text


def _place(text: str) -> str:
    if text and not (_PLACE.fullmatch(text) and 0 < int(text.rpartition(":")[2]) < 1 << 16):
        raise ValueError("must be host:port")
    return text


_FAILING = ("none", "junk", "refuse")

_CATALOGUE = (
    _one_of("own_password", YES, NO, meaning="whether members may use their own password in mail programs"),
    _one_of(
        "submit.sent_copy",
        NO,
        YES,
        meaning="whether a mail sent by SMTP is also put into the Sent folder, where its program has not put it",
    ),
    _one_of("mta_sts", "none", "testing", "enforce", meaning="the MTA-STS policy that we publish for our domains"),
    _one_of("dkim.sign", YES, NO, meaning="whether mail that leaves is signed with the keys of its domain"),
    _one_of("check.spf_fail", *_FAILING, meaning="mail from a host that SPF forbids"),
    _one_of("check.dkim_fail", *_FAILING, meaning="mail with signatures none of which is right"),
    _one_of(
        "check.dmarc_fail",
        "published",
        *_FAILING,
        meaning="mail that fails DMARC; `published`: what the domain in From asks for, quarantine being `junk`",
    ),
    _domains(
        "check.arc_trusted",
        most=_DOMAINS_MOST,
        meaning="forwarders whose ARC seals we believe: what passed DMARC there passes here",
    ),
    _one_of(
        "check.greylist",
        NO,
        YES,
        meaning="whether unknown senders are asked to come again after five minutes (RFC 6647)",
    ),
    _domains("check.dnsbl", most=_ZONES_MOST, meaning="DNS blocklists of addresses; mail from a listed one is refused"),
    Policy("check.rspamd", "", "URL", "an rspamd to ask about each mail, such as `http://127.0.0.1:11333`", _url),
    Policy("check.clamav", "", "host:port", "a clamd to ask about each mail; mail with a virus is refused", _place),
    _one_of(
        "check.down",
        "accept",
        "later",
        meaning="mail while rspamd or clamd does not answer: accepted unchecked, or asked to come later",
    ),
    _number(
        "mailbox.public_most",
        3,
        least=0,
        most=_PUBLIC_MOST,
        meaning="how many public mailboxes there may be, those that are disabled among them; 0: any number",
    ),
    *(
        _number(
            f"bin.{source}_days",
            30,
            least=1,
            most=_DAYS_MOST,
            meaning=f"how many days {what} is kept in the recycle bin before it is purged",
        )
        for source, what in (
            ("deleted_member", "the mailbox of a member who was removed"),
            ("unbound", "a mailbox that was taken from a member who stays"),
            ("recycled_public", "a public mailbox that was removed"),
        )
    ),
)
CATALOGUE: Mapping[str, Policy] = {one.name: one for one in _CATALOGUE}


def get(tx: Tx, name: str) -> str:
    """The value of one policy, its default included. `name` must be one of the catalogue's."""
    value = queries.policies.get(tx, name)
    return CATALOGUE[name].default if value is None else value


def is_on(tx: Tx, name: str) -> bool:
    """Whether a policy of yes and no says yes."""
    return get(tx, name) == YES


def shown(tx: Tx) -> Mapping[str, str]:
    """All policies with their values, in the catalogue's order."""
    set_ = queries.policies.every(tx)
    return {name: set_.get(name, policy.default) for name, policy in CATALOGUE.items()}


def change(tx: Tx, by: Actor, name: str, value: str) -> None:
    """Decide one. Raises `NoPermission`, `InvalidValue`."""
    rights.over_all(by)
    policy = CATALOGUE.get(name)
    if policy is None:
        raise InvalidValue(name=name, reason=f"no such policy; there are: {', '.join(CATALOGUE)}")
    try:
        canonical = policy.check(value.strip())
    except ValueError as fault:
        raise InvalidValue(name=name, reason=str(fault)) from fault
    before = get(tx, name)
    queries.policies.change(tx, name, canonical)
    audit.record(tx, by, "policy.change", name, before={"value": before}, after={"value": canonical})


def items(value: str) -> tuple[str, ...]:
    """The parts of a value that is a list."""
    return tuple(value.split(",")) if value else ()

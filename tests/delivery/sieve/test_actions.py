# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a script can want done with a mail, by the RFCs' rules."""

from __future__ import annotations

import pytest

from mailroom.core.clock import DAY, HOUR, SECOND
from mailroom.delivery.sieve.run import Filed, Outcome
from tests.delivery.sieve.scripts import outcome

KEPT = Filed()
A, B = Filed("A"), Filed("B")

WANTED = {
    # RFC 5228 §2.10.2: without a word, the mail is kept
    "": Outcome(),
    "# nothing\r\n/* at\nall */": Outcome(),
    "keep;": Outcome(),
    "keep; keep;": Outcome(),
    "stop; discard;": Outcome(),
    "discard;": Outcome(()),
    "discard; keep;": Outcome((KEPT,)),
    "keep; discard;": Outcome((KEPT,)),
    'fileinto "A";': Outcome((A,)),
    'fileinto "inbox";': Outcome((KEPT,)),
    'fileinto "A"; fileinto "A"; fileinto "B";': Outcome((A, B)),
    'fileinto "A"; keep;': Outcome((A, KEPT)),
    'discard; fileinto "A";': Outcome((A,)),
    'redirect "zoe@out.example";': Outcome((), ("zoe@out.example",)),
    'redirect "zoe@out.example"; redirect "zoe@out.example"; keep;': Outcome((KEPT,), ("zoe@out.example",)),
    # RFC 3894
    'fileinto :copy "A";': Outcome((A, KEPT)),
    'redirect :copy "zoe@out.example";': Outcome((KEPT,), ("zoe@out.example",)),
    'redirect :copy "zoe@out.example"; discard;': Outcome((), ("zoe@out.example",)),
    # RFC 5490 §3.2
    'fileinto :create "New/Er";': Outcome((Filed("New/Er", (), creates=True),)),
    # control: RFC 5228 §3.1
    'if false { discard; } elsif true { fileinto "A"; } else { fileinto "B"; }': Outcome((A,)),
    'if false { discard; } elsif false { fileinto "A"; } else { fileinto "B"; }': Outcome((B,)),
    'if true { fileinto "A"; stop; } fileinto "B";': Outcome((A,)),
    'if true { if true { fileinto "A"; } fileinto "B"; }': Outcome((A, B)),
    'IF Header :CONTAINS "subject" "shop" { FileInto "A"; }': Outcome((A,)),
    # RFC 5429
    'reject "No.";': Outcome((), rejection="No."),
    "ereject text:\r\nNo.\r\n..really\r\n.\r\n;": Outcome((), rejection="No.\r\n.really\r\n"),
    # RFC 5232
    'keep :flags "\\\\Seen";': Outcome((Filed("", ("\\Seen",)),)),
    'setflag ["\\\\Seen", "a b"]; fileinto "A";': Outcome((Filed("A", ("\\Seen", "a", "b")),)),
    'addflag "a"; addflag ["A", "b"]; removeflag "B";': Outcome((Filed("", ("A",)),)),
    'addflag "a"; fileinto :flags "" "A";': Outcome((A,)),
    'addflag "a"; fileinto :copy "A"; setflag "";': Outcome((Filed("A", ("a",)), KEPT)),
    'addflag "v" ["a", "b"]; removeflag "v" "a"; if hasflag "v" "b" { keep :flags "${v} c"; }': Outcome(
        (Filed("", ("b", "c")),)
    ),
    'addflag "a b"; if hasflag :count "eq" :comparator "i;ascii-numeric" "2" { discard; }': Outcome(()),
    'addflag "$Label1"; if not hasflag :contains "label" { discard; }': Outcome((Filed("", ("$Label1",)),)),
    # RFC 5229
    'set "a" "A"; fileinto "${a}${none}${}${A";': Outcome((Filed("A${}${A"),)),
    'set "A" "x"; set "b" "${a}Y"; fileinto "${B}";': Outcome((Filed("xY"),)),
    'set :upper :lowerfirst "a" "hello"; fileinto "${a}";': Outcome((Filed("hELLO"),)),
    'set :length "a" "报价!"; fileinto "${a}";': Outcome((Filed("3"),)),
    'set :quotewildcard "a" "*?\\\\"; fileinto "${a}";': Outcome((Filed("\\*\\?\\\\"),)),
    'if header :matches "subject" "* [*]  offer*" { fileinto "${2}/${1}"; }': Outcome((Filed("Shop/报价"),)),
    'if header :matches "x-two" "?w?" { fileinto "${1}-${2}-${0}-${3}"; }': Outcome((Filed("t-o-two-"),)),
    'if header :matches "x-two" "t*" { } if header :matches "x-no" "*" { } fileinto "${1}";': Outcome((Filed("wo"),)),
    'if string :matches "a-b-c" "*-*" { fileinto "${1}|${2}"; }': Outcome((Filed("a|b-c"),)),
    'set "a" "zoe"; redirect "${a}@out.example";': Outcome((), ("zoe@out.example",)),
}


@pytest.mark.parametrize("script", WANTED)
def test_it_wants(script: str) -> None:
    assert outcome(script) == WANTED[script]


def test_without_variables_a_dollar_is_a_dollar() -> None:
    assert outcome('require "fileinto"; fileinto "${a}";') == Outcome((Filed("${a}"),))


def test_a_vacation() -> None:
    found = outcome('vacation :days 3 :subject "S" :addresses ["a@x.example"] :handle "h" "Away.";')
    assert found.filed == (KEPT,)
    assert found.vacation is not None
    vacation = found.vacation
    assert (vacation.reason, vacation.period, vacation.subject) == ("Away.", 3 * DAY, "S")
    assert (vacation.addresses, vacation.handle, vacation.is_mime) == (("a@x.example",), "h", False)


@pytest.mark.parametrize(
    ("period", "expected"),
    [
        ("", 7 * DAY),
        (":days 0", DAY),
        (":days 9999", 365 * DAY),
        (":seconds 0", HOUR),
        (":seconds 90", HOUR),
        (":seconds 3601", 3601 * SECOND),
    ],
)
def test_how_long_a_vacation_is_silent(period: str, expected: int) -> None:
    found = outcome(f'vacation {period} "Away.";')
    assert found.vacation is not None
    assert found.vacation.period == expected


FAULTS = {
    "rejected and filed": 'reject "No."; fileinto "A";',
    "rejected and kept": 'reject "No."; keep;',
    "rejected and sent on": 'reject "No."; redirect "zoe@out.example";',
    "rejected and replied to": 'reject "No."; vacation "Away.";',
    "rejected twice": 'reject "No."; reject "No!";',
    "two vacations": 'vacation "Away."; vacation "Still.";',
    "six redirects": "".join(f'redirect "z{number}@out.example";' for number in range(6)),
    "many folders": "".join(f'fileinto "f{number}";' for number in range(30)),
    "many flags": "".join(f'addflag "f{number}";' for number in range(40)),
    "many variables": "".join(f'set "v{number}" "x";' for number in range(200)),
    "no address": 'set "a" "zoe"; redirect "${a}";',
    "a long string": 'set "a" "' + "x" * 4000 + '"; fileinto "' + "${a}" * 20 + '";',
    "a long pattern": f'if header :matches "subject" "{"a" * 3000}" {{ discard; }}',
}


@pytest.mark.parametrize("case", FAULTS)
def test_what_cannot_be_followed_leaves_the_mail_in_the_inbox(case: str) -> None:
    found = outcome(FAULTS[case])
    assert found.fault
    assert found == Outcome(fault=found.fault)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a script can ask of a mail, line by line of the RFCs: the test, and whether it is true of `scripts.MAIL`."""

from __future__ import annotations

import pytest

from tests.delivery.sieve.scripts import holds

TRUE = [
    # RFC 5228 §5
    "true",
    "not false",
    "not not true",
    "allof(true, not false, anyof(false, true))",
    'exists "subject"',
    'exists ["Subject", "X-EMPTY"]',
    "size :over 100",
    "size :under 1K",
    "not size :under 1",
    # header: RFC 5228 §5.7, §2.7
    'header "x-spam-score" "007"',
    'header :is ["x-no", "X-Two"] ["nine", "two"]',
    'header :is "x-empty" ""',
    'header :contains "x-empty" ""',
    'header :contains "SUBJECT" "shop"',
    'header :comparator "i;octet" :contains "subject" "Shop"',
    'header :contains "subject" "报价 [shop]"',
    'header :is "subject" "报价 [shop]  offer *?\\\\ 12"',
    'header :matches "subject" "*[shop]*"',
    'header :matches "subject" "?? [shop]*"',
    'header :matches "subject" "*\\\\*\\\\?\\\\\\\\ 12"',
    'header :matches "subject" "*"',
    'header :matches "x-empty" "*"',
    'header :matches "x-two" "t*e"',
    'header :matches "x-two" "o?e"',
    # address: RFC 5228 §5.1, §2.7.4
    'address "from" "bob.li+work@out.example"',
    'address :all :is "from" "BOB.LI+WORK@OUT.EXAMPLE"',
    'address :localpart "from" "bob.li+work"',
    'address :domain ["to", "cc"] "out.example"',
    'address :localpart "cc" ["yan", "nobody"]',
    'address :is :comparator "i;octet" :domain "from" "Out.Example"',
    # subaddress: RFC 5233
    'address :user "from" "bob.li"',
    'address :detail "from" "work"',
    'envelope :detail "to" "shop"',
    'envelope :user "to" "amy"',
    # envelope: RFC 5228 §5.4
    'envelope "from" "bob.li+work@out.example"',
    'envelope :domain "to" "corp.example"',
    'envelope :localpart ["from", "to"] "amy+shop"',
    # relational: RFC 5231
    'header :count "eq" "x-two" "3"',
    'header :count "ge" :comparator "i;ascii-numeric" "received" ["2"]',
    'header :count "lt" "x-no" "1"',
    'address :count "eq" ["to", "cc"] "4"',
    'header :value "gt" :comparator "i;ascii-numeric" "x-spam-score" "5"',
    'header :value "le" :comparator "i;ascii-numeric" "x-spam-score" "7"',
    'header :value "eq" :comparator "i;ascii-numeric" "x-spam-score" "7x"',
    'header :comparator "i;ascii-numeric" "x-spam-score" "7"',
    'header :value "lt" :comparator "i;ascii-numeric" "x-spam-score" "seven"',
    'header :value "ne" "x-spam-score" "7"',
    'header :value "gt" "x-two" "three"',
    'header :count "gt" "from" "0"',
    # index: RFC 5260 §6
    'header :index 2 "x-two" "two"',
    'header :index 1 :last "x-two" "three"',
    'header :index 3 :last :is "x-two" "one"',
    'address :index 1 :domain "to" "out.example"',
    # date: RFC 5260 §4, §5
    'date :originalzone "date" "date" "2025-06-01"',
    'date "date" "date" "2025-06-02"',
    'date :zone "+0800" "date" "hour" "12"',
    'date :zone "-0500" "date" "iso8601" "2025-06-01T23:30:00-05:00"',
    'date "date" "std11" "Mon, 02 Jun 2025 04:30:00 +0000"',
    'date "date" "weekday" "1"',
    'date :originalzone "date" "zone" "-0500"',
    'date "date" "julian" "60828"',
    'date :value "ge" "date" "year" "2025"',
    'date "date" "month" ["05", "06"]',
    'date "date" "day" "02"',
    'date "date" "minute" "30"',
    'date "date" "time" "04:30:00"',
    'date :index 1 "received" "hour" "08"',
    'date :index 1 :last :originalzone "received" "second" "05"',
    'currentdate "date" "2025-06-15"',
    'currentdate :zone "+0930" "time" "00:36:40"',
    'currentdate :value "ge" "hour" "09"',
    'currentdate "weekday" "0"',
    # body: RFC 5173
    'body :contains "我的中文"',
    'body :text :contains "café"',
    'body :raw :contains "ztK1xNbQzsQ="',
    'body :content "text/plain" :matches "我*"',
    'body :content ["application", "image"] :contains "secret"',
    'body :content "" :contains "secret"',
    # variables: RFC 5229 §5
    'string "a" ["b", "A"]',
    'string :count "eq" ["a", "b"] "2"',
    'string :matches "${none}" ""',
    # mailbox: RFC 5490 §3.1
    'mailboxexists ["inbox", "Work"]',
    'mailboxexists "Work/A"',
]
FALSE = [
    "false",
    "not true",
    "allof(true, false)",
    "anyof(false, false)",
    'exists ["subject", "x-no"]',
    "size :over 1M",
    "size :over 1G",
    "size :under 10",
    'header "x-no" ""',
    'header :is "x-two" "tw"',
    'header :contains "x-no" ""',
    'header :comparator "i;octet" :contains "subject" "shop"',
    'header :matches "subject" "shop"',
    'header :matches "x-two" "o?"',
    'header :matches "x-two" "*n"',
    'header :matches "x-two" "t*h"',
    'header :matches "subject" "\\\\**"',
    'address "from" "bob.li@out.example"',
    'address :domain "from" "example"',
    'address "x-no" "a"',
    'address :detail "to" ""',
    'envelope :detail "from" "shop"',
    'header :count "gt" "x-two" "3"',
    'header :value "gt" :comparator "i;ascii-numeric" "x-spam-score" "7"',
    'header :value "gt" "x-no" "0"',
    'header :comparator "i;ascii-numeric" "x-spam-score" "8"',
    'header :index 4 "x-two" "three"',
    'header :index 1 :last "x-two" "one"',
    'header :index 4 :last "x-two" "one"',
    'date "date" "date" "2025-06-01"',
    'date "subject" "year" "2025"',
    'date "x-no" "year" "2025"',
    'body :contains "secret"',
    'body :content "image" :contains "secret"',
    'body "café"',
    'string "a" "b"',
    'mailboxexists "Nowhere"',
    'mailboxexists ["INBOX", "Nowhere"]',
    'hasflag "a"',
]


@pytest.mark.parametrize("test", TRUE)
def test_it_is_true(test: str) -> None:
    assert holds(test)


@pytest.mark.parametrize("test", FALSE)
def test_it_is_false(test: str) -> None:
    assert not holds(test)


@pytest.mark.parametrize(
    ("test", "is_so"),
    [
        ('envelope "from" ""', True),
        ('envelope :domain "from" ""', True),
        ('envelope :contains "from" ""', True),
        ('envelope :detail "from" ""', True),
        ('envelope "from" "a@x.example"', False),
    ],
)
def test_the_null_sender(test: str, *, is_so: bool) -> None:
    assert holds(test, sender="") is is_so


@pytest.mark.parametrize(
    ("test", "mail", "is_so"),
    [
        ('address "from" "a@x.example"', "From: not an address\r\n\r\n", False),
        ('address :localpart "from" ""', "From: <a>\r\n\r\n", True),
        ('date "date" "year" "2025"', "Date: tomorrow\r\n\r\n", False),
        ('date "date" "year" "9999"', "Date: Mon, 40 Foo 99999 99:99:99\r\n\r\n", False),
        ('date :zone "+1400" "date" "year" "0001"', "Date: Fri, 31 Dec 9999 23:59:59 -1200\r\n\r\n", False),
        ('body :contains ""', "", True),
        ('body :text :contains "x"', "Content-Type: text/plain; charset=nonsense\r\n\r\nx", True),
        ('header :contains "subject" "�"', "Subject: =?gb2312?B?/////w==?=\r\n\r\n", True),
        ("size :under 1", "", True),
    ],
)
def test_mails_that_are_no_mails(test: str, mail: str, *, is_so: bool) -> None:
    assert holds(test, mail=mail) is is_so


def test_only_the_beginning_of_a_large_body_is_looked_at() -> None:
    mail = "Subject: x\r\n\r\n" + "a" * 60_000 + " early " + "b" * 60_000 + " late"
    assert holds('body :contains "early"', mail=mail)
    assert not holds('body :contains "late"', mail=mail)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What is a script and what is not; nothing that anybody uploads takes long or falls over."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.core.errors import InvalidValue
from mailroom.delivery.sieve import grammar
from tests.delivery.sieve.scripts import ALL, MAIL, outcome
from tests.delivery.sieve.test_actions import FAULTS, WANTED
from tests.delivery.sieve.test_tests import FALSE, TRUE

REFUSED = {
    "no semicolon": "keep",
    "an unknown command": "explode;",
    "an unknown test": "if explode { keep; }",
    "an unknown extension": 'require "regex";',
    "an extension not required": 'require "copy"; fileinto "A";',
    "an argument's extension not required": 'require "fileinto"; fileinto :copy "A";',
    "a folder made without its extension": 'require "fileinto"; fileinto :create "A";',
    "a comparator not required": 'if header :comparator "i;ascii-numeric" "a" "1" { keep; }',
    "an unknown comparator": 'if header :comparator "i;basic" "a" "1" { keep; }',
    "a part of a number": ALL + 'if header :contains :comparator "i;ascii-numeric" "a" "1" { keep; }',
    "an unknown relation": ALL + 'if header :value "xx" "a" "1" { keep; }',
    "require too late": 'keep; require "fileinto";',
    "else without if": "else { keep; }",
    "elsif after else": "if true { keep; } else { keep; } elsif true { keep; }",
    "an open block": "if true { keep;",
    "an open string": 'redirect "a',
    "an open comment": "keep; /* a",
    "a block too many": "keep; }",
    "a test as a command": 'header "a" "b";',
    "a command as a test": "if keep { stop; }",
    "no block": "if true keep;",
    "a missing argument": "redirect;",
    "an argument too many": 'keep "a";',
    "a number for a string": "redirect 12;",
    "a negative number": "if size :over -1 { keep; }",
    "no address": 'redirect "nobody";',
    "no envelope part": ALL + 'if envelope "auth" "x" { keep; }',
    "no date part": ALL + 'if currentdate "age" "1" { keep; }',
    "no zone": ALL + 'if currentdate :zone "CET" "hour" "1" { keep; }',
    "no variable": ALL + 'set "1a" "x";',
    "a variable in another place": ALL + 'set "a.b" "x";',
    "flags in a variable without variables": 'require "imap4flags"; addflag "v" "a";',
    "index 0": ALL + 'if header :index 0 "a" "b" { keep; }',
    "last without index": ALL + 'if header :last "a" "b" { keep; }',
    "two ways to match": 'if header :is :contains "a" "b" { keep; }',
    "no folder": ALL + 'fileinto "";',
    "too large": "#" + "x" * grammar.SCRIPT_MOST,
    "a NUL": "keep;\0",
    "too deep": "if true {" * 40 + "keep;" + "}" * 40,
    "too deep a test": "if " + "not " * 40 + "true { keep; }",
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_with_a_reason(case: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        grammar.parse(REFUSED[case])
    assert str(refused.value).startswith("script: ")
    assert len(str(refused.value)) < 300


def test_the_reason_names_the_line() -> None:
    with pytest.raises(InvalidValue, match="line 3"):
        grammar.parse("keep;\r\n\r\nexplode;\r\n")


HOSTILE = {
    "nots": "if " + "not " * 15_000 + "true { keep; }",
    "blocks": "if true {" * 6_000,
    "closed blocks": "if true {" * 6_000 + "}" * 6_000,
    "brackets": "(" * 60_000,
    "lists": '[ "a", ' * 8_000,
    "quotes": '"' * 60_000,
    "backslashes": '"' + "\\" * 60_000,
    "comments": "/*" * 30_000,
    "texts": "text:\r\n" * 8_000,
    "commands": "keep;" * 13_000,
    "strings": 'if header "a" [' + '"b",' * 15_000 + '"c"] { keep; }',
    "tests": "if anyof(" + "true," * 12_000 + "true) { keep; }",
    "numbers": "if size :over " + "9" * 60_000 + " { keep; }",
    "stars": 'if header :matches ["subject", "received"] "' + "*a" * 900 + '" { discard; }',
    "marks": 'if body :matches "*' + "?" * 1900 + 'z" { discard; }',
    "many patterns": 'if body :matches ["'
    + '", "'.join("*" + "?" * 100 + f"{number}z" for number in range(400))
    + '"] { keep; }',
    "doubling": 'set "a" "xx";' + 'set "a" "${a}${a}${a}${a}";' * 2_000,
    "expansions": 'set "a" "' + "x" * 3000 + '";' + 'if string "${a}${a}${a}" "b" { stop; }' * 1_400,
}


@pytest.mark.parametrize("case", HOSTILE)
def test_nothing_takes_long(case: str) -> None:
    mail = MAIL.replace("Subject: ", "Subject: " + "a" * 20_000) + "x" * 60_000
    began = time.process_time()
    with contextlib.suppress(InvalidValue):
        outcome(HOSTILE[case], mail=mail)
    assert time.process_time() - began < 3


PIECES = sorted(
    {
        *(word for script in (*WANTED, *FAULTS.values()) for word in script.split()),
        *(word for test in (*TRUE, *FALSE) for word in f"if {test} {{ stop; }}".split()),
        *["{", "}", "(", ")", "[", "]", ",", ";", '"', "\\", "#", "/*", "*/", "text:", ".", ":x", "1K", "\r\n"],
    }
)


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=30).map(" ".join))
def test_a_jumble_is_followed_or_refused(script: str) -> None:
    try:
        found = outcome(script)
    except InvalidValue:
        return
    assert found.filed or found.redirects or found.rejection is not None or "discard" in script.lower()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([*WANTED, *FAULTS.values()]), st.binary(max_size=300), st.text(max_size=30))
def test_no_mail_makes_a_script_fall_over(script: str, mail: bytes, sender: str) -> None:
    found = outcome(script, mail=mail.decode("latin-1"), sender=sender)
    assert found.filed or found.redirects or found.rejection is not None or "discard" in script

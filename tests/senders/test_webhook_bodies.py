# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The three formats of a push, octet by octet, and whatever a mail may hold carried through them."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from mailroom.senders.webhook.bodies import ELEMENTS, FORMATS

MAIL: dict[str, str | int] = {
    "to": "amy@corp.example",
    "msgid": "<20240501.1@out.example>",
    "sender": "bounce@out.example",
    "from": "Bob Li <bob@out.example>",
    "subject": "报价 Q2",
    "body": "Hi Amy,\nplease find …",
    "attachnum": 2,
    "attachlist": "quote.pdf||terms.docx",
}

texts = st.text(st.characters(codec="utf-8"), max_size=60)
pushes = st.fixed_dictionaries(dict.fromkeys(ELEMENTS, texts) | {"attachnum": st.integers(0, 999)})


def encode(form: str, content: dict[str, Any]) -> bytes:
    return FORMATS[form].encode(content)


def test_json() -> None:
    assert FORMATS["json"].media_type == "application/json; charset=utf-8"
    assert encode("json", MAIL).decode() == (
        '{"to":"amy@corp.example","msgid":"<20240501.1@out.example>","sender":"bounce@out.example",'
        '"from":"Bob Li <bob@out.example>","subject":"报价 Q2","body":"Hi Amy,\\nplease find …","attachnum":2,'
        '"attachlist":"quote.pdf||terms.docx"}'
    )


def test_xml() -> None:
    assert FORMATS["xml"].media_type == "application/xml; charset=utf-8"
    assert encode("xml", MAIL).decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        "<Request><To>amy@corp.example</To><MsgId>&lt;20240501.1@out.example&gt;</MsgId>"
        "<Sender>bounce@out.example</Sender><From>Bob Li &lt;bob@out.example&gt;</From><Subject>报价 Q2</Subject>"
        "<Body>Hi Amy,\nplease find …</Body><AttachNum>2</AttachNum>"
        "<AttachList>quote.pdf||terms.docx</AttachList></Request>"
    )


def test_form() -> None:
    assert FORMATS["form"].media_type == "application/x-www-form-urlencoded; charset=utf-8"
    assert encode("form", MAIL).decode() == (
        "wm_to=amy%40corp.example&wm_msgid=%3C20240501.1%40out.example%3E&wm_sender=bounce%40out.example"
        "&wm_from=Bob+Li+%3Cbob%40out.example%3E&wm_subject=%E6%8A%A5%E4%BB%B7+Q2"
        "&wm_body=Hi+Amy%2C%0Aplease+find+%E2%80%A6&wm_attachnum=2&wm_attachlist=quote.pdf%7C%7Cterms.docx"
    )


def test_fields_keep_their_order_and_strangers_stay_out() -> None:
    shuffled = dict(reversed(MAIL.items())) | {"password": "no"}
    assert encode("json", shuffled) == encode("json", MAIL)
    assert encode("xml", shuffled) == encode("xml", MAIL)
    assert encode("form", shuffled) == encode("form", MAIL)


def test_empty_fields_are_there() -> None:
    empty = dict.fromkeys(ELEMENTS, "") | {"attachnum": 0}
    assert encode("json", empty).decode().endswith('"attachnum":0,"attachlist":""}')
    assert encode("xml", empty).decode().endswith("<AttachNum>0</AttachNum><AttachList></AttachList></Request>")
    assert encode("form", empty).decode().endswith("wm_attachnum=0&wm_attachlist=")


def test_what_xml_cannot_hold_is_left_out() -> None:
    assert (
        "<Subject>ab&amp;]]&gt;c&#13;\t\n</Subject>"
        in encode("xml", MAIL | {"subject": "a\x00\x08\x0b\x1fb&]]>c\r\t\n\ufffe\uffff"}).decode()
    )


def test_half_a_character_becomes_the_replacement_character() -> None:
    halved = MAIL | {"subject": "x\ud83dy\udcff"}
    assert '"subject":"x\ufffdy\ufffd"' in encode("json", halved).decode()
    assert "<Subject>x\ufffdy\ufffd</Subject>" in encode("xml", halved).decode()
    assert "wm_subject=x%EF%BF%BDy%EF%BF%BD&" in encode("form", halved).decode()


@given(pushes)
def test_json_comes_back_as_it_went(push: dict[str, Any]) -> None:
    assert json.loads(encode("json", push).decode()) == push


@given(st.fixed_dictionaries(dict.fromkeys(ELEMENTS, st.text(st.characters(exclude_categories=[]), max_size=60))))
def test_xml_always_parses_and_loses_only_what_xml_forbids(push: dict[str, str]) -> None:
    request = ET.fromstring(encode("xml", push))
    assert [child.tag for child in request] == list(ELEMENTS.values())
    assert [child.text or "" for child in request] == [as_xml_can(push[key]) for key in ELEMENTS]


@given(pushes)
def test_a_form_comes_back_as_it_went(push: dict[str, Any]) -> None:
    body = encode("form", push).decode("ascii")
    assert " " not in body
    assert parse_qsl(body, keep_blank_values=True, strict_parsing=True, errors="strict") == [
        (f"wm_{key}", str(push[key])) for key in ELEMENTS
    ]


def as_xml_can(text: str) -> str:
    """XML 1.0 §2.2, read character by character."""
    kept = ("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text)
    return "".join(
        character
        for character in kept
        if character in "\t\n\r"
        or "\x20" <= character <= "\ud7ff"
        or "\ue000" <= character <= "\ufffd"
        or character >= "\U00010000"
    )

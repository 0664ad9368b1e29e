# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Reports on the delivery of a mail as others write them, standard or not, read as well as can be. Pure.

Many systems report in prose of their own. What is common to them is looked for, never a certain program: addresses that
stand out, codes beside them, the words that all of them use, and the header of the mail that they return.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from mailroom.mime import charset, headers, preview
from mailroom.mime.dsn import Action, Fate
from mailroom.mime.reasons import Reason, classify
from mailroom.mime.scan import Part

Read = Callable[[int, int], bytes]

_TEXT_MOST: Final = 64 * 1024  # octets of each part that are read
_FATES_MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class Report:
    """What somebody says became of a mail. Empty texts are not known."""

    fates: tuple[Fate, ...]
    message_id: str  # of the mail, with its angle brackets
    envelope_id: str
    returned: bytes = b""  # the mail's header block, or what there is of it


def parse(part: Part, read: Read) -> Report | None:
    """The report in a mail; none in a mail that is none. `read` gives octets of the mail by offsets; never raises."""
    fields = headers.read(part.header)
    parts = tuple(part.walk())
    about, returned = _standard(parts, read)
    if not about and not _is_report(fields):
        return None
    text = preview.body_text(part, read, enough=_TEXT_MOST)
    if about:
        about = [_explained(fate, text) for fate in about]
    else:
        raw = read(part.body_start, min(part.body_end, part.body_start + _TEXT_MOST))
        about = [fate for fate in map(_fate, _split(raw)) if fate]  # in a mail that is not put together as it should be
    if not about:
        about, quoted = _prose(fields, text)
        returned = returned or quoted
    if not about:
        return None
    envelope_id = next((found for found in _envelope_ids(parts, read) if found), "")
    return Report(tuple(about[:_FATES_MOST]), _message_id(fields, returned), envelope_id, returned)


def _standard(parts: Sequence[Part], read: Read) -> tuple[list[Fate], bytes]:
    """The fates in the parts that standards define, and the header of the mail that is returned."""
    fates: list[Fate] = []
    returned = b""
    for part in parts:
        match part.content_type:
            case "message/delivery-status" | "message/global-delivery-status":
                fates += filter(None, (_fate(block) for block in _blocks(part, read)))
            case "message/feedback-report":  # RFC 5965
                fates += _complaints(part, read)
            case "message/rfc822" | "message/global" if part.children and not returned:
                returned = part.children[0].header
            case "text/rfc822-headers" | "message/global-headers" if not returned:
                returned = preview.decoded(part, read, limit=_TEXT_MOST)
    if not returned and any(fate.reason is Reason.COMPLAINT for fate in fates):
        returned = next((part.header for part in parts[1:] if b"essage-" in part.header), b"")
    known = headers.read(returned)
    if any(not fate.recipient for fate in fates):  # many complaints are silent about whom they come from
        to = _addresses(headers.decode(known.first("to") or b""))
        fates = [fate if fate.recipient else replace(fate, recipient=to[0] if to else "") for fate in fates]
    return fates, returned


def _blocks(part: Part, read: Read) -> Iterator[headers.Headers]:
    octets = preview.decoded(part, read, limit=_TEXT_MOST)
    if part.children and not octets.strip():
        octets = read(part.body_start, min(part.body_end, part.body_start + _TEXT_MOST))
    yield from _split(octets)


def _split(octets: bytes) -> Iterator[headers.Headers]:
    for block in re.split(rb"\r?\n(?:[ \t]*\r?\n)+", octets.strip()):
        yield headers.read(block)


def _envelope_ids(parts: Sequence[Part], read: Read) -> Iterator[str]:
    for part in parts:
        if part.content_type in {"message/delivery-status", "message/global-delivery-status"}:
            for block in _blocks(part, read):
                yield headers.decode(block.first("original-envelope-id") or b"")


_TYPED: Final = re.compile(r"\A[\w.-]{1,30}\s*;\s*")
_STATUS: Final = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d]|\.\d)")


def _fate(block: headers.Headers) -> Fate | None:
    final, original = (_recipient(block.first(name)) for name in ("final-recipient", "original-recipient"))
    x_actual = _recipient(block.first("x-actual-recipient"))
    if not (final or original or x_actual):
        return None
    said = headers.decode(block.first("diagnostic-code") or b"")
    diagnostic = _TYPED.sub("", said)
    action = headers.decode(block.first("action") or b"").lower().partition(" ")[0]
    status = _STATUS.search(headers.decode(block.first("status") or b""))
    known = Action(action) if action in list(Action) else Action.FAILED
    code = _better(status[1] if status else "", diagnostic)
    reason = Reason.OTHER if known not in {Action.FAILED, Action.DELAYED} else classify(code, diagnostic)
    at = next((one for one in (final, x_actual, original) if "@" in one), final or original)
    return Fate(at, known, code, diagnostic, original, reason)


def _better(status: str, diagnostic: str) -> str:
    """The status, or one in the words if that says more (many systems write 5.0.0 for everything)."""
    if status and not status.endswith(".0.0"):
        return status
    said = _STATUS.search(diagnostic)
    return said[1] if said else status


def _recipient(raw: bytes | None) -> str:
    text = _TYPED.sub("", headers.decode(raw or b"")).strip(" <>\"'")
    found = _addresses(text)
    return found[0] if found else text


def _complaints(part: Part, read: Read) -> Iterator[Fate]:
    for block in _blocks(part, read):
        kind = headers.decode(block.first("feedback-type") or b"").lower()
        if not kind or kind in {"not-spam", "auth-failure", "opt-out-list"}:
            continue
        names = ("original-rcpt-to", "removal-recipient")
        found = [_recipient(raw) for name in names for raw in block.all(name)]
        for recipient in found or [""]:
            yield Fate(recipient, Action.DELIVERED, "", kind, "", Reason.COMPLAINT)


_FROM: Final = re.compile(
    r"mailer-?daemon|postmaster|mail delivery|delivery system|mail administrator|\bmta\b|ndr ", re.IGNORECASE
)
_SUBJECT: Final = re.compile(
    r"deliver|return|undeliv|failure|fail(?:ed|ing)|bounce|rejected|refused|non.?remis|unzustell|配信|エラー|退信|失败|"
    r"mail (?:system )?error|warning: (?:message|could)|problem|delayed|unknown|could not|unable to|not sent|notifi",
    re.IGNORECASE,
)
_ADDRESS: Final = re.compile(r"[\w!#$%&'*+/=?^`{|}~.-]{1,64}@[\w.-]{1,255}")
_FIELD: Final = re.compile(r"[!-9;-~]{1,60}:(?:\s|\Z)")
_OF_A_HEADER: Final = frozenset(
    {"received", "from", "to", "subject", "date", "message-id", "return-path", "mime-version", "x-mailer", "reply-to"}
)
_NOT_THE_ONE: Final = re.compile(
    r"(?:sent by|sender|mail from|envelope-from|from|postmaster|contact|help|support)\W*\Z", re.IGNORECASE
)
_AROUND: Final = 12  # lines after an address that are about it
_NEAR_MOST: Final = 900  # characters of them
_BEFORE: Final = 40  # characters before an address that say whose it is
_LINES_MOST: Final = 2000
_LINE_MOST: Final = 2000  # characters
_WHOLE_MOST: Final = 8000  # likewise
_IS_ID: Final = re.compile(r"(?:message-?id|\bid)\W*\Z", re.IGNORECASE)


def _is_reply(fields: headers.Headers) -> bool:
    """Somebody is on holiday."""
    by_itself = (fields.first("auto-submitted") or b"").lower().startswith(b"auto-replied")
    precedence = (fields.first("precedence") or b"").lower().strip() in {b"auto_reply", b"list"}
    return (by_itself or precedence) and not fields.first("x-failed-recipients") and not _speaks_of_failure(fields)


def _speaks_of_failure(fields: headers.Headers) -> bool:
    return bool(_SUBJECT.search(headers.decode(fields.first("subject") or b"")))


def _is_report(fields: headers.Headers) -> bool:
    if _is_reply(fields):
        return False
    if fields.first("x-failed-recipients") or b"multipart/report" in (fields.first("content-type") or b"").lower():
        return True
    empty = (fields.first("return-path") or b"").strip() == b"<>"
    system = bool(_FROM.search(headers.decode(fields.first("from") or b"")))
    return sum((empty, system, _speaks_of_failure(fields))) >= 2


def _prose(fields: headers.Headers, text: str) -> tuple[list[Fate], bytes]:
    """The fates that a text tells of, and the header of the mail that it quotes."""
    lines = [line[:_LINE_MOST] for line in text.splitlines()[:_LINES_MOST]]
    cut = _quoted_from(lines)
    told, quoted = lines[:cut], lines[cut:]
    header = "\r\n".join(quoted[: _quoted_end(quoted)]).encode("utf-8", "replace")
    found = _standing_out(told, {*_in(fields, "to"), *_in(fields, "from")})
    if not found:
        found = dict.fromkeys(_in(fields, "x-failed-recipients") or _in(headers.read(header), "to")[:1], 0)
    starts = sorted({*found.values(), len(told)})
    whole = f"{' '.join(told)[:_WHOLE_MOST]} {headers.decode(fields.first('subject') or b'')}"
    code, reason = _judged(whole)
    action = _action(whole, code)
    fates = []
    for recipient, start in found.items():
        end = starts[bisect_right(starts, start)] if start < len(told) else start
        near = " ".join(told[start : min(end, start + _AROUND)])[:_NEAR_MOST]
        its_code, its_reason = _judged(near)
        if its_reason is Reason.OTHER:  # what was said before or after all of them
            its_code, its_reason = code, reason
        its_action = action if its_code == code else _action(whole, its_code)
        fates.append(Fate(recipient, its_action, its_code, headers.one_line(near), "", its_reason))
    return fates, header


def _in(fields: headers.Headers, name: str) -> list[str]:
    return _addresses(headers.decode(fields.first(name) or b""))


def _action(text: str, code: str) -> Action:
    waits = code.startswith("4") and _DELAY.search(text) and not _FINAL.search(text)
    return Action.DELAYED if waits else Action.FAILED


def _explained(fate: Fate, text: str) -> Fate:
    """The fate, its reason looked for in the words for people where the words for programs give none."""
    if fate.reason is not Reason.OTHER or fate.action not in {Action.FAILED, Action.DELAYED}:
        return fate
    return replace(fate, reason=_judged(text)[1])


def _judged(text: str) -> tuple[str, Reason]:
    status = _STATUS.search(text)
    code = status[1] if status else _from_reply(text)
    return code, classify(code, text)


_REPLY: Final = re.compile(r"(?<![\d.\-#/:])([45])[0-5]\d(?![\d.:/]|-\d)")
_DELAY: Final = re.compile(
    r"will (?:be retried|keep trying|continue|retry)|delayed|still trying|not yet been|temporar", re.IGNORECASE
)
_FINAL: Final = re.compile(
    r"permanent|giv(?:en|ing) up|has failed|could not be delivered|was not delivered|undeliverable", re.IGNORECASE
)


def _from_reply(text: str) -> str:
    reply = _REPLY.search(text)
    return f"{reply[1]}.0.0" if reply else ""


def _addresses(text: str) -> list[str]:
    return [
        found.rstrip(".")
        for found in _ADDRESS.findall(text)
        if "." in found.rpartition("@")[2] or found.endswith("host")
    ]


def _quoted_from(lines: Sequence[str]) -> int:
    """The line at which the header of the returned mail begins."""
    for number, line in enumerate(lines):
        if _FIELD.match(line) and _is_header(lines[number : number + 40]):
            return number
    return len(lines)


def _is_header(lines: Sequence[str]) -> bool:
    names = set()
    for line in lines:
        if not line.strip():
            break
        if line[0] in " \t":
            continue
        if not _FIELD.match(line):
            break
        names.add(line.partition(":")[0].strip().lower())
    return len(names & _OF_A_HEADER) >= 3 or {"received", "message-id"} <= names


def _quoted_end(lines: Sequence[str]) -> int:
    return next((number for number, line in enumerate(lines) if not line.strip()), len(lines))


def _standing_out(lines: Sequence[str], own: set[str]) -> dict[str, int]:
    """The addresses that a text is about, with their lines: those that begin a line or stand alone in it before those
    in the midst of a sentence, and never the one who is told.
    """
    passed_over = {address.lower() for address in own}
    best: dict[str, int] = {}
    others: dict[str, int] = {}
    for number, line in enumerate(lines):
        for match in _ADDRESS.finditer(line):
            address, before = match[0].rstrip("."), line[max(match.start() - _BEFORE, 0) : match.start()]
            if "." not in address.rpartition("@")[2] or address.lower() in passed_over or _IS_ID.search(before):
                continue
            if not before.strip(" \t<\"'*-|>:=;"):
                best.setdefault(address, number)
            elif not _NOT_THE_ONE.search(before.rstrip(" \t<\"'")):
                others.setdefault(address, number)
        if len(best) > _FATES_MOST or len(others) > _FATES_MOST:
            break
    return best or others


_ID: Final = re.compile(rb"<([^<>\s]{1,500})>")


def _message_id(fields: headers.Headers, returned: bytes) -> str:
    for block, names in ((headers.read(returned), ("message-id",)), (fields, ("in-reply-to", "references"))):
        for name in names:
            if ids := _ID.findall(block.first(name) or b""):
                return f"<{charset.decode(ids[-1], None)}>"
    return ""

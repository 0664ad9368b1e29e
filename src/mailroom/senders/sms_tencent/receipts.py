# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What became of an SMS: told by pushes, or by the answers to PullSmsSendStatusByPhoneNumber."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mailroom.senders import clouds
from mailroom.senders.contract import Account, Call, Forged, Heard, News, Question, Reply, Reported, excerpt

_TAKEN: Final = Reply(body=b'{"result":0,"errmsg":"OK"}', media_type="application/json")
_NONSENSE: Final = Reply(400, b'{"result":1,"errmsg":"not a report"}', "application/json")
_NEWS: Final = {"SUCCESS": News.ARRIVED, "FAIL": News.LOST}


def hear(account: Account, call: Call) -> Heard | Forged:
    """See `Hears`."""
    return clouds.hear(account, call, _read, taken=_TAKEN, nonsense=_NONSENSE)


def read_pulled(answer: Mapping[str, Any], question: Question) -> Reported | None:
    """What the answer to a question says; none: nothing yet."""
    response = answer.get("Response")
    pulled = response.get("PullSmsSendStatusSet") if isinstance(response, dict) else None
    for status in pulled if isinstance(pulled, list) else ():
        if isinstance(status, dict) and status.get("SerialNo") == question.provider_id:
            news = _NEWS.get(str(status.get("ReportStatus")))
            words = excerpt(str(status.get("Description", "")))
            return Reported(question.provider_id, news, text=words, address=question.address) if news else None
    return None


def _read(report: Mapping[str, Any]) -> Reported | None:
    said = [report.get(name) for name in ("sid", "nationcode", "mobile", "report_status")]
    if not all(isinstance(one, str) for one in said) or said[3] not in _NEWS:
        return None
    return Reported(
        excerpt(report["sid"]),
        _NEWS[report["report_status"]],
        excerpt(str(report.get("errmsg", ""))),
        excerpt(str(report.get("description", ""))),
        excerpt(f"+{report['nationcode']}{report['mobile']}"),
    )

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What became of an SMS: told by pushes (SmsReport), or by the answers to QuerySendDetails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mailroom.senders import china, clouds
from mailroom.senders.contract import Account, Call, Forged, Heard, News, Question, Reply, Reported, excerpt

_TAKEN: Final = Reply(body='{"code":0,"msg":"接收成功"}'.encode(), media_type="application/json; charset=utf-8")
_NONSENSE: Final = Reply(400, b'{"code":1,"msg":"not a report"}', "application/json")
# SendStatus of QuerySendDetails; 1 is still on its way.
_STATUS: Final = {"2": News.LOST, "3": News.ARRIVED}


def hear(account: Account, call: Call) -> Heard | Forged:
    """See `Hears`."""
    return clouds.hear(account, call, _read, taken=_TAKEN, nonsense=_NONSENSE)


def read_detail(details: Mapping[str, Any], question: Question) -> Reported | None:
    """What the answer to a question says; none: nothing yet."""
    within = details.get("SmsSendDetailDTOs")
    found = within.get("SmsSendDetailDTO") if isinstance(within, dict) else None
    detail = found[0] if isinstance(found, list) and found else None
    news = _STATUS.get(str(detail.get("SendStatus"))) if isinstance(detail, dict) else None
    if news is None or not isinstance(detail, dict):
        return None
    return Reported(question.provider_id, news, excerpt(str(detail.get("ErrCode", ""))), address=question.address)


def _read(report: Mapping[str, Any]) -> Reported | None:
    id_, number = report.get("biz_id"), report.get("phone_number")
    if not isinstance(id_, str) or not isinstance(number, str):
        return None
    return Reported(
        excerpt(id_),
        News.ARRIVED if str(report.get("success")).lower() == "true" else News.LOST,
        excerpt(str(report.get("err_code", ""))),
        excerpt(str(report.get("err_msg", ""))),
        excerpt(china.number(number)),
    )

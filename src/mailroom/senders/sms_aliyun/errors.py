# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What Alibaba Cloud's codes mean (help.aliyun.com, "API error codes" of the SMS service)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from mailroom.core.clock import HOUR, MINUTE, SECOND
from mailroom.senders.china import midnight, month_end
from mailroom.senders.contract import Scope, TryLater, Why
from mailroom.senders.verdicts import ACCOUNT, AGAIN, BUSY, CONTENT, GONE, LOST, NO, OPTED_OUT, Spent, Table

# A number has had its share of the minute, the day or else the hour: only the words say of which.
SHARE: Final = "isv.BUSINESS_LIMIT_CONTROL"
SHARES: Final = (("分钟级", "minute"), ("minute", "minute"), ("天级", "day"), ("day", "day"))

TABLE: Final = Table(
    {
        "isp.SYSTEM_ERROR": AGAIN,
        "Throttling*": replace(BUSY, after=5 * SECOND),
        "ServiceUnavailable*": BUSY,
        SHARE: TryLater("", "", after=HOUR, why=Why.QUOTA),
        f"{SHARE}/minute": TryLater("", "", after=MINUTE, why=Why.QUOTA),
        f"{SHARE}/day": Spent(midnight, Scope.RECIPIENT),
        "isv.DAY_LIMIT_CONTROL": Spent(midnight),
        "isv.MONTH_LIMIT_CONTROL": Spent(month_end),
        "isv.MOBILE_NUMBER_ILLEGAL": GONE,
        "isv.MOBILE_COUNT_OVER_LIMIT": NO,
        "isv.BLACK_KEY_CONTROL_LIMIT": OPTED_OUT,
        "isv.PARAM_LENGTH_LIMIT": CONTENT,
        "isv.PARAM_NOT_SUPPORT_URL": CONTENT,
        "isv.TEMPLATE_MISSING_PARAMETERS": CONTENT,
        "isv.TEMPLATE_PARAMS_ILLEGAL": CONTENT,
        "isv.INVALID_JSON_PARAM": CONTENT,
        "isv.INVALID_PARAMETERS": CONTENT,
        "isv.SMS_CONTENT_ILLEGAL": CONTENT,
        "isv.SMS_SIGN*": ACCOUNT,
        "isv.SMS_TEMPLATE_ILLEGAL": ACCOUNT,
        "isv.OUT_OF_SERVICE": ACCOUNT,
        "isv.AMOUNT_NOT_ENOUGH": ACCOUNT,
        "isv.ACCOUNT_*": ACCOUNT,
        "isv.PRODUCT_UN_SUBSCRIPT": ACCOUNT,
        "isv.DENY_IP_RANGE": ACCOUNT,
        "isp.RAM_PERMISSION_DENY": ACCOUNT,
        "NoPermission": ACCOUNT,
        "Forbidden*": ACCOUNT,
        "SignatureDoesNotMatch": ACCOUNT,
        "IncompleteSignature": ACCOUNT,
        "InvalidAccessKeyId*": ACCOUNT,
        # The clock of this machine is wrong.
        "InvalidTimeStamp*": ACCOUNT,
        # We never use one twice: something between us repeated the call, and the first may have been taken.
        "SignatureNonceUsed": LOST,
    },
    other=NO,
)

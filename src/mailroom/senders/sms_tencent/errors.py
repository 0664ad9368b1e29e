# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What Tencent Cloud's codes mean (cloud.tencent.com/document/api/382/52075), at either of the two places of errors."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from mailroom.core.clock import HOUR, SECOND
from mailroom.senders.china import midnight
from mailroom.senders.contract import Scope, TryLater, Why
from mailroom.senders.verdicts import ACCOUNT, AGAIN, BUSY, CONTENT, GONE, LOST, NO, OPTED_OUT, Spent, Table


def _eight(now: int) -> int:
    """Until eight in the morning in China, when marketing may be sent."""
    return midnight(now - 8 * HOUR)


_BUSY: Final = replace(BUSY, after=5 * SECOND)
_ENOUGH_FOR_TODAY: Final = Spent(midnight, Scope.RECIPIENT)
_ALL_FOR_TODAY: Final = Spent(midnight)

TABLE: Final = Table(
    {
        # An answer was lost behind their door: nobody knows whether the SMS goes out.
        "InternalError.Timeout": LOST,
        "InternalError.SendAndRecvFail": LOST,
        "InternalError.ParseBackendResponseFail": LOST,
        "InternalError*": AGAIN,
        # The clock of this machine is wrong.
        "InternalError.RequestTimeException": ACCOUNT,
        "RequestLimitExceeded*": _BUSY,
        "LimitExceeded.GlobalSmsSendingRateLimit": _BUSY,
        "LimitExceeded.DeliveryFrequencyLimit": replace(AGAIN, after=30 * SECOND),
        "LimitExceeded.PhoneNumberThirtySecondLimit": replace(AGAIN, after=30 * SECOND),
        "LimitExceeded.PhoneNumberOneHourLimit": TryLater("", "", after=HOUR, why=Why.QUOTA),
        "LimitExceeded.PhoneNumberDailyLimit": _ENOUGH_FOR_TODAY,
        "LimitExceeded.PhoneNumberSameContentDailyLimit": _ENOUGH_FOR_TODAY,
        "LimitExceeded.AppDailyLimit": _ALL_FOR_TODAY,
        "LimitExceeded.AppMainlandChinaDailyLimit": _ALL_FOR_TODAY,
        "LimitExceeded.AppGlobalDailyLimit": _ALL_FOR_TODAY,
        "LimitExceeded.DailyLimit": _ALL_FOR_TODAY,
        "FailedOperation.MarketingSendTimeConstraint": Spent(_eight),
        "InvalidParameterValue.IncorrectPhoneNumber": GONE,
        "FailedOperation.PhoneNumberParseFail": GONE,
        "UnsupportedOperation*": GONE,
        "FailedOperation.PhoneNumberInBlacklist": OPTED_OUT,
        "FailedOperation.ContainSensitiveWord": CONTENT,
        "InvalidParameterValue.TemplateParameterFormatError": CONTENT,
        "InvalidParameterValue.TemplateParameterLengthLimit": CONTENT,
        "InvalidParameterValue.ProhibitedUseUrlInTemplateParameter": CONTENT,
        "InvalidParameterValue.ContentLengthLimit": CONTENT,
        "FailedOperation.SignatureIncorrectOrUnapproved": ACCOUNT,
        "FailedOperation.MissingSignature": ACCOUNT,
        "FailedOperation.MissingTemplate": ACCOUNT,
        "FailedOperation.MissingTemplateToModify": ACCOUNT,
        "FailedOperation.Template*": ACCOUNT,
        "InvalidParameterValue.UnsupportedTemplateVariable": ACCOUNT,
        "InvalidParameterValue.Template*": ACCOUNT,
        "InvalidParameterValue.SdkAppIdNotExist": ACCOUNT,
        "FailedOperation.InsufficientBalanceInSmsPackage": ACCOUNT,
        "FailedOperation.ProhibitSubAccountUse": ACCOUNT,
        "UnauthorizedOperation*": ACCOUNT,
        "AuthFailure*": ACCOUNT,
    },
    other=NO,
)

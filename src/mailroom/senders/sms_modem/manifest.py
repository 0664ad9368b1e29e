# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a modem sender needs, and how persistent it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mailroom.core.clock import DAY, MINUTE, SECOND
from mailroom.senders.contract import Field, Manifest, Pace, Shape, Words

PORTS_MOST: Final = 16
_EVERY: Final = 6 * SECOND  # what one modem needs for one message, at best


def devices(settings: Mapping[str, str]) -> tuple[str, ...]:
    """The devices of an account, each once."""
    named = (name.strip() for name in settings.get("port", "").split(","))
    return tuple(dict.fromkeys(name for name in named if name))


def _pace(settings: Mapping[str, str]) -> Pace | None:
    modems = max(len(devices(settings)), 1)
    most = settings.get("per_day", "")
    if not (most.isascii() and most.isdecimal() and int(most[:9])):
        return Pace(_EVERY // modems, modems)
    # So many at once and the others over the day: in no 24 hours more than the cards may send.
    burst, rest = modems * ((int(most[:9]) + 1) // 2), modems * (int(most[:9]) // 2)
    return Pace(max(DAY // max(rest, 1), _EVERY // modems), burst)


MANIFEST: Final = Manifest(
    kind="sms_modem",
    title=Words("SMS by GSM modem", "短信猫（GSM 调制解调器）"),
    fields=(
        Field(
            name="port",
            shape=Shape.TEXT,
            title=Words("Device", "设备"),
            help=Words(
                "The modem's serial line, such as /dev/ttyUSB0 or /dev/serial/by-id/…; several, separated by commas, "
                "share the work.",
                "调制解调器的串口，例如 /dev/ttyUSB0 或 /dev/serial/by-id/…；多个以逗号分隔，分担发送。",
            ),
            required=True,
        ),
        Field(
            name="pin",
            shape=Shape.SECRET,
            title=Words("PIN", "PIN 码"),
            help=Words(
                "Of the SIM cards, if they ask for one. A wrong one is tried once and not again until it is changed.",
                "SIM 卡要求时使用。错误的 PIN 只尝试一次，修改之前不再尝试。",
            ),
        ),
        Field(
            name="report",
            shape=Shape.CHOICE,
            title=Words("Delivery reports", "状态报告"),
            help=Words(
                "Ask the network to tell when a message has arrived; some networks charge for it.",
                "要求网络报告短信是否送达；部分运营商会收费。",
            ),
            choices=("yes", "no"),
            default="yes",
        ),
        Field(
            name="per_day",
            shape=Shape.TEXT,
            title=Words("Messages a day", "每日条数"),
            help=Words(
                "What one SIM card may send in a day (UTC), each part of a long message counted. Empty: no limit.",
                "每张 SIM 卡每天（UTC）可发送的条数，长短信按拆分条数计算。留空则不限。",
            ),
        ),
        Field(
            name="max_parts",
            shape=Shape.TEXT,
            title=Words("Parts of a message", "每条短信最多拆分"),
            help=Words("A longer text is cut.", "更长的内容会被截断。"),
            default="3",
            advanced=True,
        ),
        Field(
            name="smsc",
            shape=Shape.TEXT,
            title=Words("Message centre", "短信中心"),
            help=Words(
                "Its number, such as +8613800100500. Empty: the one that the SIM card knows.",
                "短信中心号码，例如 +8613800100500。留空则使用 SIM 卡内置的号码。",
            ),
            advanced=True,
        ),
        Field(
            name="baud",
            shape=Shape.CHOICE,
            title=Words("Baud rate", "波特率"),
            help=Words("USB modems take any.", "USB 调制解调器可用任意值。"),
            choices=("9600", "19200", "38400", "57600", "115200", "230400", "460800"),
            default="115200",
            advanced=True,
        ),
    ),
    retries=(MINUTE,),
    jitter=0.2,
    timeout=4 * MINUTE,
    concurrency=4,
    pace=_pace,
    reach="sms",
    receipt=True,
)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a gateway's profile consists of."""

from __future__ import annotations

from typing import Final

from mailroom.core.clock import HOUR, MINUTE, SECOND
from mailroom.senders.contract import Field, Manifest, Pace, Shape, Words

MANIFEST: Final = Manifest(
    kind="sms_gateway",
    title=Words("SMS: HTTP gateway", "短信：HTTP 网关"),
    fields=(
        Field(
            name="url",
            shape=Shape.URL,
            title=Words("URL", "地址"),
            help=Words(
                "Where each SMS is sent to. It may hold {mobile} and the like, but not in its host.",
                "发送短信的地址；主机名以外可含 {mobile} 等变量。",
            ),
            required=True,
        ),
        Field(
            name="method",
            shape=Shape.CHOICE,
            title=Words("Method", "请求方法"),
            help=Words("GET puts the parameters into the URL.", "GET 将参数置于地址中。"),
            choices=("POST", "GET"),
            default="POST",
        ),
        Field(
            name="body",
            shape=Shape.CHOICE,
            title=Words("Body", "请求体格式"),
            help=Words("How the body of a POST is written.", "POST 请求体的格式。"),
            choices=("form", "json", "xml", "raw"),
            default="form",
        ),
        Field(
            name="charset",
            shape=Shape.CHOICE,
            title=Words("Charset", "字符集"),
            help=Words(
                "Of the call, its escapes and digests, and of the answer.", "请求、转义、摘要及应答所用的字符集。"
            ),
            choices=("utf-8", "gbk"),
            default="utf-8",
        ),
        Field(
            name="params",
            shape=Shape.TEXT,
            title=Words("Parameters", "参数"),
            help=Words(
                "One name=value a line. In values: {mobile} {content} {sign} {account} {password} {ts} {ts:ms} "
                "{ts:%Y%m%d%H%M%S} {uuid} {id}, the note's {count} {fromname} {subject} {date} {code} ..., and "
                "{md5(...)} {sha1(...)} {sha256(...)} {hmac_sha256(key,text)} {b64(...)} {upper(...)} {lower(...)} "
                "{url(...)}, with such values inside. {id} and {uuid} stay the same when an SMS is tried again.",
                "每行一个“名称=值”。值中可用 {mobile} {content} {sign} {account} {password} {ts} {ts:ms} "
                "{ts:%Y%m%d%H%M%S} {uuid} {id}，通知变量 {count} {fromname} {subject} {date} {code} 等，以及函数 "
                "{md5(...)} {sha1(...)} {sha256(...)} {hmac_sha256(密钥,文本)} {b64(...)} {upper(...)} {lower(...)} "
                "{url(...)}，可嵌套。重试同一短信时 {id} 与 {uuid} 不变。",
            ),
        ),
        Field(
            name="raw_body",
            shape=Shape.TEXT,
            title=Words("Body as it stands", "请求体原文"),
            help=Words(
                "Instead of parameters, for json, xml and raw; values are escaped as json and xml demand.",
                "用于 json、xml、raw，代替参数；变量按 json、xml 规则转义。",
            ),
        ),
        Field(
            name="headers",
            shape=Shape.TEXT,
            title=Words("Headers", "请求头"),
            help=Words("One Name: value a line, with values as above.", "每行一个“名称: 值”，可用上述变量。"),
            advanced=True,
        ),
        Field(
            name="account",
            shape=Shape.TEXT,
            title=Words("Account", "账号"),
            help=Words("{account}", "{account}"),
        ),
        Field(
            name="password",
            shape=Shape.SECRET,
            title=Words("Password", "密码"),
            help=Words("{password}", "{password}"),
        ),
        Field(
            name="sign",
            shape=Shape.TEXT,
            title=Words("Signature", "短信签名"),
            help=Words("Without 【】.", "不含【】。"),
        ),
        Field(
            name="sign_place",
            shape=Shape.CHOICE,
            title=Words("Place of the signature", "签名位置"),
            help=Words("“none”: the gateway adds it, or {sign} does.", "选 “none” 则由网关或 {sign} 添加。"),
            choices=("before", "after", "none"),
            default="before",
        ),
        Field(
            name="phone",
            shape=Shape.CHOICE,
            title=Words("Form of numbers", "号码格式"),
            help=Words(
                "e164: +8613900000001; bare86: 13900000001, others with their country code; digits: 8613900000001.",
                "e164：+8613900000001；bare86：13900000001，其他国家带国家码；digits：8613900000001。",
            ),
            choices=("bare86", "e164", "digits"),
            default="bare86",
        ),
        Field(
            name="max_parts",
            shape=Shape.TEXT,
            title=Words("Parts at most", "最多条数"),
            help=Words("What is longer is cut.", "超出部分将被截断。"),
            default="1",
        ),
        Field(
            name="success_status",
            shape=Shape.TEXT,
            title=Words("Status of success", "成功状态码"),
            help=Words("A pattern for the HTTP status.", "匹配 HTTP 状态码的正则表达式。"),
            default="20[0-9]",
            advanced=True,
        ),
        Field(
            name="success",
            shape=Shape.TEXT,
            title=Words("Rule of success", "成功规则"),
            help=Words(
                "“regex: ^0,”, “json: data.code == 0” or “xpath: ./result == 0”; with ==, !=, <, <=, >, >= or ~ (a "
                "pattern). An answer that does not fit is a failure.",
                "“regex: ^0,”、“json: data.code == 0” 或 “xpath: ./result == 0”；可用 ==、!=、<、<=、>、>=、~（正则）。"
                "不符合即为失败。",
            ),
            required=True,
        ),
        Field(
            name="id",
            shape=Shape.TEXT,
            title=Words("Where the ID is", "短信编号位置"),
            help=Words(
                "“regex: msgid=(\\w+)”, “json: data.msgid” or “xpath: ./msgid”: what receipts call the SMS.",
                "“regex: msgid=(\\w+)”、“json: data.msgid” 或 “xpath: ./msgid”：状态报告中的短信编号。",
            ),
        ),
        Field(
            name="errors",
            shape=Shape.TEXT,
            title=Words("Errors", "错误对照"),
            help=Words(
                "One “pattern -> class [seconds]” a line, for the answer, or “status 4.. -> class” for its status; the "
                "first that fits counts. Classes: gone, opted_out, content, refused, later, busy (whole account), "
                "share (of the recipient), quota (of the account), account (an administrator is told), unknown.",
                "每行一个“正则 -> 类别 [秒]”匹配应答，或“status 4.. -> 类别”匹配状态码；取首个匹配。"
                "类别：gone 空号、opted_out 退订、content 内容、refused 拒绝、later 稍后、busy 整个账户稍后、"
                "share 号码限额、quota 账户限额、account 账户故障（通知管理员）、unknown 结果未知。",
            ),
        ),
        Field(
            name="rate",
            shape=Shape.TEXT,
            title=Words("Messages a second", "每秒条数"),
            help=Words("Less than the gateway allows.", "应低于网关允许的速率。"),
            default="10",
            advanced=True,
        ),
        Field(
            name="utc_offset",
            shape=Shape.TEXT,
            title=Words("Time zone", "时区"),
            help=Words("In which {ts:...} is written.", "{ts:...} 所用的时区。"),
            default="+08:00",
            advanced=True,
        ),
        Field(
            name="receipts",
            shape=Shape.CHOICE,
            title=Words("Receipts", "状态报告"),
            help=Words(
                "push: the gateway calls /callbacks/<sender>/<key>; pull: it is asked.",
                "push：网关调用 /callbacks/<发送账户>/<密钥>；pull：由本服务器查询。",
            ),
            choices=("none", "push", "pull"),
            default="none",
        ),
        Field(
            name="callback_key",
            shape=Shape.SECRET,
            title=Words("Key of the callback address", "回调地址密钥"),
            help=Words("For push.", "用于 push。"),
        ),
        Field(
            name="pull_url",
            shape=Shape.URL,
            title=Words("URL of receipts", "状态报告查询地址"),
            help=Words(
                "For pull, with {account} {password} {ts} and functions; with {id} or {mobile} it is asked for each "
                "SMS.",
                "用于 pull，可用 {account} {password} {ts} 及函数；含 {id} 或 {mobile} 时逐条查询。",
            ),
            advanced=True,
        ),
        Field(
            name="receipt_list",
            shape=Shape.TEXT,
            title=Words("Where receipts are", "状态报告列表位置"),
            help=Words(
                "The path of the list, or the name of the form's field that holds it. Empty: the whole is one, or "
                "a list.",
                "列表的路径，或包含列表的表单字段名。留空则整体为一条或列表。",
            ),
            advanced=True,
        ),
        Field(
            name="receipt_fields",
            shape=Shape.TEXT,
            title=Words("Fields of a receipt", "状态报告字段"),
            help=Words(
                "One name=path a line: id, mobile, status, code, text.",
                "每行一个“名称=路径”：id、mobile、status、code、text。",
            ),
            default="id=msgid\nmobile=mobile\nstatus=status",
            advanced=True,
        ),
        Field(
            name="receipt_arrived",
            shape=Shape.TEXT,
            title=Words("Arrived", "已送达"),
            help=Words("A pattern for the status.", "匹配状态的正则表达式。"),
            default="DELIVRD",
            advanced=True,
        ),
        Field(
            name="receipt_lost",
            shape=Shape.TEXT,
            title=Words("Lost", "未送达"),
            help=Words(
                "Likewise; what neither fits is not final.",
                "同上；两者均不匹配则尚无结果。",
            ),
            default="UNDELIV|EXPIRED|REJECTD|DELETED|FAIL",
            advanced=True,
        ),
        Field(
            name="receipt_reply",
            shape=Shape.TEXT,
            title=Words("Reply to a push", "推送应答"),
            help=Words("What the gateway wants to hear.", "网关期望的应答内容。"),
            default="OK",
            advanced=True,
        ),
    ),
    retries=(MINUTE,),
    jitter=0.2,
    timeout=10 * SECOND,
    concurrency=10,
    pace=lambda settings: Pace(every=SECOND // int(settings.get("rate") or "10"), burst=1),
    asks=(MINUTE, 5 * MINUTE, HOUR),
    reach="sms",
    receipt=True,
)

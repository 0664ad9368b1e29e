# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The settings of new-mail notices, as `mailroom notify settings` names them (spec 1.2): some of our own, and the
accounts with the providers, whose fields are those of their kinds' manifests. Each kind has a sender of its own, so
that what waits for one goes out there whatever is chosen later. A setting changed is heeded from the next attempt on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mailroom.core.errors import InvalidAddress, InvalidValue
from mailroom.core.secrets import Secret
from mailroom.core.text import N_
from mailroom.directory import audit, members, rights
from mailroom.directory.model import Actor
from mailroom.directory.names import canonical_domain
from mailroom.messaging import senders
from mailroom.messaging.model import Sender, SenderState
from mailroom.messaging.senders import Health, Senders
from mailroom.notify import contents, patterns, queries
from mailroom.notify.model import Way
from mailroom.senders.contract import Field, SenderKind, Shape
from mailroom.storage.ports import Tx

PUSH, PUSH_KIND = "push", "webhook"  # the code of the sender behind the push URL, and its kind
YES, NO, NONE = "yes", "no", "none"
LISTED = "listed"
HIDDEN = "***"  # a secret that is set, as it is shown; given as a value it stays what it is
_LONGEST = 16 * 1024
_MOST_A_DAY = 10_000
# Our keys, and what the kind of the push URL calls them.
_PUSH = {"push_url": "url", "push_format": "format", "push_verify_tls": "verify_tls", "push_secret": "secret"}
# The kinds that can be chosen as the SMS gateway.
_PREFIX = re.compile(r"\+[1-9][0-9]{0,14}")
_GATEWAYS = {
    "http": "sms_gateway",
    "aliyun": "sms_aliyun",
    "tencent": "sms_tencent",
    "twilio": "sms_twilio",
    "smpp": "sms_smpp",
}
_GATEWAY = "sms_gateway"
# Whose fields stand behind these names.
_ACCOUNTS = {
    "gsm_modem": "sms_modem",
    "service_account": "wechat",
    "wecom": "wecom",
    "dingtalk": "dingtalk",
    "feishu": "feishu",
}
NOBODY = N_("user_scope is `listed` and user_list is empty: nobody is permitted notices.")


@dataclass(frozen=True, slots=True)
class _Setting:
    """One of our own. `check` gives a value in its canonical form; it raises `InvalidValue`."""

    default: str
    check: Callable[[str, str], str]


def _chosen(text: str, choices: Collection[str]) -> str:
    """A value where there is a choice: of yes and no also as programs say it."""
    return {"true": YES, "false": NO}.get(text.lower(), text) if set(choices) == {YES, NO} else text


def _choice(*values: str) -> _Setting:
    def check(name: str, text: str) -> str:
        chosen = _chosen(text, values)
        if chosen not in values:
            raise InvalidValue(name=name, reason=f"must be one of {', '.join(values)}")
        return chosen

    return _Setting(values[0], check)


def _number(default: int, *, least: int, most: int) -> _Setting:
    def check(name: str, text: str) -> str:
        if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most):
            raise InvalidValue(name=name, reason=f"must be a number from {least} to {most}")
        return str(int(text))

    return _Setting(str(default), check)


def _patterns(name: str, text: str) -> str:
    return ",".join(patterns.canonical(patterns.split(text), name=name))


def _prefixes(name: str, text: str) -> str:
    prefixes = list(dict.fromkeys(patterns.split(text)))
    if not all(_PREFIX.fullmatch(one) for one in prefixes):
        raise InvalidValue(name=name, reason="must be beginnings of numbers such as +86, joined by commas")
    return ",".join(prefixes)


def _domains(name: str, text: str) -> str:
    try:
        return ",".join(dict.fromkeys(canonical_domain(one) for one in patterns.split(text)))
    except InvalidAddress as wrong:
        raise InvalidValue(name=name, reason=f"{wrong.about['address']} is no domain name") from wrong


def _content(name: str, text: str) -> str:
    contents.ask(name, text)
    return text


_SETTINGS: Mapping[str, _Setting] = {
    "enabled": _choice(NO, YES),
    "max_per_day": _number(10, least=0, most=_MOST_A_DAY),
    "mobile_transport": _choice(NONE, "sms_gateway", "gsm_modem"),
    "sms_gateway.provider": _choice(*_GATEWAYS),
    "wechat_mode": _choice(NONE, "service_account", "wecom"),
    "dingtalk.enabled": _choice(NO, YES),
    "feishu.enabled": _choice(NO, YES),
    "user_scope": _choice("all", LISTED),
    "user_list": _Setting("", _patterns),
    "content_sms": _Setting("", _content),
    "content_wecom": _Setting("", _content),
    "content_dingtalk": _Setting("", _content),
    "content_feishu": _Setting("", _content),
    "sms_segments": _number(1, least=1, most=3),
    "sms_prefixes": _Setting("", _prefixes),
    "push_domains": _Setting("", _domains),
}


@dataclass(frozen=True, slots=True)
class Rules:
    """What is set, all but the accounts."""

    values: Mapping[str, str]

    @property
    def is_on(self) -> bool:
        """The master switch of all ways but the push URL."""
        return self.values["enabled"] == YES

    def kind(self, way: Way) -> str | None:
        """The sender kind that is chosen for a way, whether or not the master switch is on."""
        values = self.values
        match way:
            case Way.SMS:
                gateway = _GATEWAYS[values["sms_gateway.provider"]]
                return {NONE: None, "sms_gateway": gateway, "gsm_modem": "sms_modem"}[values["mobile_transport"]]
            case Way.WECHAT:
                return "wechat" if values["wechat_mode"] == "service_account" else None
            case Way.WECOM:
                return "wecom" if values["wechat_mode"] == "wecom" else None
            case _:
                return way.value if values[f"{way.value}.enabled"] == YES else None

    def finishes(self, way: Way) -> bool:
        """Whether what waits for a way still goes out: also when another way was chosen in its place, but not when it
        was switched off.
        """
        both = (Way.WECHAT, Way.WECOM)
        return self.is_on and any(self.kind(one) for one in (both if way in both else (way,)))

    @property
    def most_a_day(self) -> int:
        """How many SMS a member may be told by in a day; 0: however many."""
        return int(self.values["max_per_day"])

    @property
    def permits_all(self) -> bool:
        """Whether everybody may be told on his phone, not only who is listed."""
        return self.values["user_scope"] != LISTED

    def lists(self, addresses: Sequence[str]) -> bool:
        """Whether one of these addresses is on the list of users."""
        listed = self.values["user_list"].split(",")
        return any(patterns.match(listed, one) for one in addresses)

    def content(self, way: Way) -> str:
        """The administrator's words for a way; "": ours."""
        return self.values.get(f"content_{way.value}", "")

    def reaches(self, number: str) -> bool:
        """Whether SMS may go to a number."""
        return number.startswith(tuple(self.values["sms_prefixes"].split(",")))

    @property
    def segments(self) -> int:
        """Of how many parts an SMS may be."""
        return int(self.values["sms_segments"])


def rules(tx: Tx) -> Rules:
    """What is set."""
    return Rules({name: one.default for name, one in _SETTINGS.items()} | dict(queries.settings.every(tx)))


def sender(tx: Tx, kind: str) -> Sender | None:
    """The sender of a kind, once it has been set up."""
    return senders.by_code(tx, code_of(kind))


def code_of(kind: str) -> str:
    """The code of a kind's sender."""
    return PUSH if kind == PUSH_KIND else f"notice-{kind}"


def kind_of(code: str) -> str | None:
    """Which kind with people at its other end the sender with that code is of; none of any other."""
    return next((kind for kind in kinds() if code_of(kind) == code), None)


def key(kind: str, name: str) -> str:
    """What we call a field of a kind's account."""
    if kind == PUSH_KIND:
        return next((ours for ours, theirs in _PUSH.items() if theirs == name), name)
    prefix = next((prefix for prefix, one in _ACCOUNTS.items() if one == kind), _GATEWAY)
    return f"{prefix}.{name}"


def ask(kind: SenderKind, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> None:
    """Whether an account of the kind can work. Raises `InvalidValue`, by the name of our key, and `EgressRefused`."""
    try:
        kind.check(settings, secrets)
    except InvalidValue as wrong:
        name = key(kind.manifest.kind, str(wrong.about["name"]))
        raise InvalidValue(name=name, reason=wrong.about["reason"]) from wrong


def way_of(code: str, kind: str) -> Way | None:
    """Which way a sender is, by its code and its kind; none of the push URL, or of one that is not ours."""
    if code != code_of(kind):
        return None
    if kind in {*_GATEWAYS.values(), "sms_modem"}:
        return Way.SMS
    return next((way for way in Way if way.value == kind), None)


def kinds() -> Iterator[str]:
    """Every kind that has people at its other end."""
    yield from _GATEWAYS.values()
    yield from _ACCOUNTS.values()


def push_sender(tx: Tx) -> Sender | None:
    """The sender behind the push URL, once one has been set."""
    return senders.by_code(tx, PUSH)


def pushes(sender: Sender) -> bool:
    """Whether new mail is to be pushed. A sender that was disabled for failing still collects its queue."""
    return bool(sender.settings.get("url"))


def pushes_for(tx: Tx, address: str) -> bool:
    """Whether new mail to an address is pushed, as far as its domain goes."""
    domains = rules(tx).values["push_domains"]
    return not domains or address.rpartition("@")[2] in domains.split(",")


@dataclass(frozen=True, slots=True)
class _Account:
    """One kind's account: its sender, and the names of its fields among our keys."""

    kind: str
    keys: Mapping[str, Field]


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """Shows and changes the settings."""

    senders: Senders

    def show(self, tx: Tx) -> Mapping[str, str]:
        """Every setting as text; a secret that is set is `HIDDEN`. Of the SMS gateways it shows the chosen one."""
        set_ = rules(tx)
        shown = dict(set_.values)
        for account in self._accounts(set_):
            sender_ = sender(tx, account.kind)
            held = self.senders.secrets(sender_) if sender_ else {}
            for key, field in account.keys.items():
                if field.shape is Shape.SECRET:
                    shown[key] = HIDDEN if field.name in held else ""
                else:
                    shown[key] = (sender_.settings.get(field.name) if sender_ else "") or field.default
        return shown

    def show_to(self, tx: Tx, by: Actor) -> Mapping[str, str]:
        """The same, for administrators of the whole organisation. Raises `NoPermission`."""
        rights.over_all(by)
        return self.show(tx)

    def health(self, tx: Tx) -> Mapping[str, tuple[Health, str]]:
        """How the senders that have been set up are, by their codes, and what is wrong with them."""
        found = (sender(tx, kind) for kind in (*kinds(), PUSH_KIND))
        return {one.code: (senders.health(one), one.reason) for one in found if one is not None}

    def warnings(self, tx: Tx) -> Sequence[str]:
        """What is allowed, and hardly meant."""
        values = rules(tx).values
        return [NOBODY] if values["user_scope"] == LISTED and not values["user_list"] else []

    def change_all(self, tx: Tx, by: Actor, values: Mapping[str, str]) -> None:
        """Set some, all of them or none; "" is the default, `HIDDEN` the secret that is set, and an empty `push_url`
        switches the push off. What is entered must be right; what an account lacks may follow, as long as nothing goes
        out through it. Raises `NoPermission`, `InvalidValue`, `UnknownVariable`, `EgressRefused`.
        """
        rights.over_all(by)
        if not values:
            return
        members.lock_organisation(tx)
        before, shown = rules(tx), self.show(tx)
        for name, value in values.items():
            if name in _SETTINGS:
                _keep(tx, name, value)
        after = rules(tx)
        accounts = {key: account for account in self._accounts(after) for key in account.keys}
        for name in values:
            if name not in accounts and name not in _SETTINGS:
                raise InvalidValue(name=name, reason="there is no such setting")
        unchanged = self.show(tx)
        for account in {one.kind: one for key, one in accounts.items() if key in values}.values():
            given = {key: values[key] for key in account.keys if key in values}
            # What was shown and comes back sets nothing up.
            if not given.items() <= unchanged.items() or sender(tx, account.kind) is not None:
                self._save(tx, account, given)
        for account in self._accounts(after):
            if account.kind in _used(after):
                self._ask_whole(tx, account)
                if account.kind not in _used(before):
                    senders.enable(tx, code_of(account.kind))
        now = self.show(tx)
        audit.record(
            tx,
            by,
            "notify.settings",
            "",
            before={key: shown.get(key, "") for key in values},
            after={key: now[key] for key in values},
        )

    def _accounts(self, set_: Rules) -> Iterator[_Account]:
        """The accounts that can be configured at present."""
        fields = {field.name: field for field in self.senders.kind(PUSH_KIND).manifest.fields}
        yield _Account(PUSH_KIND, {ours: fields[theirs] for ours, theirs in _PUSH.items()})
        chosen = {_GATEWAY: _GATEWAYS[set_.values["sms_gateway.provider"]]} | _ACCOUNTS
        for prefix, kind in chosen.items():
            if kind in self.senders.kinds:
                manifest = self.senders.kind(kind).manifest
                yield _Account(kind, {f"{prefix}.{field.name}": field for field in manifest.fields})

    def _save(self, tx: Tx, account: _Account, values: Mapping[str, str]) -> None:
        kept = senders.hold(tx, code_of(account.kind))
        settings = dict(kept.settings) if kept else {}
        secrets = self.senders.secrets(kept) if kept else {}
        for key, value in values.items():
            field = account.keys[key]
            if field.shape is not Shape.SECRET:
                settings[field.name] = _chosen(value.strip(), field.choices) or field.default
            elif value == HIDDEN:
                continue
            elif value:
                secrets[field.name] = Secret(value)
            else:
                secrets.pop(field.name, None)
        self.senders.save(
            tx,
            code=code_of(account.kind),
            name=self.senders.kind(account.kind).manifest.title.en,
            kind=account.kind,
            settings=settings,
            secrets=secrets,
            state=self._state(account, settings, secrets, entered={key for key, value in values.items() if value}),
        )

    def _state(
        self, account: _Account, settings: Mapping[str, str], secrets: Mapping[str, Secret], *, entered: Collection[str]
    ) -> SenderState:
        try:
            ask(self.senders.kind(account.kind), settings, secrets)
        except InvalidValue as wrong:
            if wrong.about["name"] in entered:
                raise
            return SenderState.DISABLED
        is_off = account.kind == PUSH_KIND and not settings.get("url")
        return SenderState.DISABLED if is_off else SenderState.ACTIVE

    def _ask_whole(self, tx: Tx, account: _Account) -> None:
        kept = sender(tx, account.kind)
        kind = self.senders.kind(account.kind)
        ask(kind, kept.settings if kept else {}, self.senders.secrets(kept) if kept else {})


def _keep(tx: Tx, name: str, value: str) -> None:
    one = _SETTINGS[name]
    if "\0" in value or len(value) > _LONGEST:
        raise InvalidValue(name=name, reason="is too long, or not text")
    canonical = one.check(name, value.strip()) if value.strip() else one.default
    if canonical == one.default:
        queries.settings.unset(tx, name)
    else:
        queries.settings.change(tx, name, canonical)


def _used(set_: Rules) -> frozenset[str]:
    """The kinds that notices go out by."""
    return frozenset(kind for way in Way if set_.is_on and (kind := set_.kind(way)))

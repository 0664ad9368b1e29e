# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The settings of new-mail notices, as `mailroom notify settings` names them (spec 1.2). They configure one sender, the
push URL; a setting changed is heeded from the next attempt on, queued notices included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mailroom.core.errors import InvalidValue
from mailroom.core.secrets import Secret
from mailroom.messaging import senders
from mailroom.messaging.model import Sender, SenderState
from mailroom.messaging.senders import Senders
from mailroom.storage.ports import Tx

PUSH = "push"  # the code of the sender behind the push URL
KIND = "webhook"

# Our keys, and what the sender kind calls them.
_SETTINGS = {"push_url": "url", "push_format": "format", "push_verify_tls": "verify_tls"}
_SECRETS = {"push_secret": "secret"}
_OURS = {theirs: ours for ours, theirs in (_SETTINGS | _SECRETS).items()}
KEYS = (*_SETTINGS, *_SECRETS)
_DEFAULTS = {"push_url": "", "push_format": "json", "push_verify_tls": "yes", "push_secret": ""}


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """Shows and changes the settings."""

    senders: Senders

    def show(self, tx: Tx) -> Mapping[str, str]:
        """Every setting as text; a secret that is set shows as `***`."""
        sender = push_sender(tx)
        if sender is None:
            return dict(_DEFAULTS)
        values = {key: sender.settings.get(name) or _DEFAULTS[key] for key, name in _SETTINGS.items()}
        held = self.senders.secrets(sender)
        return values | {key: "***" if name in held else "" for key, name in _SECRETS.items()}

    def change(self, tx: Tx, key: str, value: str) -> None:
        """Set one. An empty `push_url` switches the push off. Raises `InvalidValue`, `EgressRefused`."""
        if key not in KEYS:
            raise InvalidValue(name=key, reason=f"no such setting; there are: {', '.join(KEYS)}")
        sender = senders.hold(tx, PUSH)
        settings = dict(sender.settings) if sender else {"url": "", "format": "json", "verify_tls": "yes"}
        secrets = self.senders.secrets(sender) if sender else {}
        if key in _SETTINGS:
            settings[_SETTINGS[key]] = value.strip()
        elif value:
            secrets[_SECRETS[key]] = Secret(value)
        else:
            secrets.pop(_SECRETS[key], None)
        self._check(settings, secrets)
        self.senders.save(
            tx,
            code=PUSH,
            name="Push URL",
            kind=KIND,
            settings=settings,
            secrets=secrets,
            state=SenderState.ACTIVE if settings["url"] else SenderState.DISABLED,
        )

    def _check(self, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> None:
        """Also while there is no URL, and in our own words."""
        try:
            self.senders.kind(KIND).check(settings, secrets)
        except InvalidValue as refused:
            name = str(refused.about["name"])
            raise InvalidValue(name=_OURS.get(name, name), reason=refused.about["reason"]) from refused


def push_sender(tx: Tx) -> Sender | None:
    """The sender behind the push URL, once one has been set."""
    return senders.by_code(tx, PUSH)


def pushes(sender: Sender) -> bool:
    """Whether new mail is to be pushed. A sender that was disabled for failing still collects its queue."""
    return bool(sender.settings["url"])

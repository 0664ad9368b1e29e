# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Sends by one HTTP call, which the account's profile describes down to its signature.

Gateways know no key against repeats that could be relied upon: after an answer that was lost nothing is sent again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mailroom.core import clock as system
from mailroom.core.clock import Clock
from mailroom.core.secrets import Secret
from mailroom.senders import sms, template
from mailroom.senders.contract import (
    Account,
    Call,
    Forged,
    Heard,
    Manifest,
    Outcome,
    Parcel,
    Question,
    Reported,
    SenderKind,
    Tools,
    require,
)
from mailroom.senders.http import Answer, Http, NoAnswer, unheard
from mailroom.senders.note import Note
from mailroom.senders.sms_gateway import answers, documents, profile, receipts
from mailroom.senders.sms_gateway.manifest import MANIFEST
from mailroom.senders.sms_gateway.profile import Request
from mailroom.senders.verdicts import NO_NUMBER

# What `check` writes a call with, to see that it can be written.
_TRIAL = Parcel("rcp_trial", "+8613900000001", Note(text="x").content(), 1, 1_772_323_200_000)


@dataclass(frozen=True, slots=True)
class Gateway:
    """The sender kind `sms_gateway`."""

    http: Http
    clock: Clock = system.now
    manifest: Manifest = MANIFEST

    def check(self, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> None:
        """See `SenderKind`."""
        self.manifest.check(settings, secrets)
        sms.number_of(self.manifest.value(settings, "rate"), "rate", most=1000)
        account = Account("trial", settings, secrets)
        urls = {"url": profile.render(account, _TRIAL).url}
        if profile.read(settings).receipts.pull:
            urls["pull_url"] = profile.render_pull(account, id="1", number=_TRIAL.address, now=_TRIAL.now)
        for name, url in urls.items():
            self.http.check(url, name=name)
        if self.manifest.value(settings, "receipts") == "push":
            require(["callback_key"], settings, secrets)

    def render(self, account: Account, parcel: Parcel) -> Request:
        """The call that `send` would make, for a dry run; give it an account whose password may be seen."""
        return profile.render(account, parcel)

    async def send(self, account: Account, parcel: Parcel) -> Outcome:
        """See `SenderKind`."""
        if not sms.digits(parcel.address):
            return NO_NUMBER
        said = await self._call(profile.render(account, parcel))
        if isinstance(said, NoAnswer):
            return unheard(said, idempotent=False)
        return answers.outcome(profile.read(account.settings), said, now=parcel.now, hide=account.secrets.values())

    def hear(self, account: Account, call: Call) -> Heard | Forged:
        """See `Hears`."""
        return receipts.hear(account, call)

    async def ask(self, account: Account, questions: Sequence[Question]) -> Sequence[Reported]:
        """See `Asks`. A gateway that hands out all receipts it has is asked once; others once for each SMS."""
        pulls = profile.read(account.settings).receipts
        if pulls.way != "pull":
            return ()
        if not {"id", "mobile"}.intersection(template.holes(pulls.pull)):
            return await self._pull(account, questions[0], about=None) or () if questions else ()
        told: list[Reported] = []
        for question in questions:
            found = await self._pull(account, question, about=question)
            if found is None:
                break  # nor will it have an answer for the others
            told += found
        return told

    async def close(self) -> None:
        """See `SenderKind`. The connections are those of `Http`."""

    async def _call(self, request: Request) -> Answer | NoAnswer:
        timeout = self.manifest.timeout
        if request.method == "GET":
            return await self.http.get(request.url, headers=request.headers, timeout=timeout)
        return await self.http.post(request.url, request.body, headers=request.headers, timeout=timeout)

    async def _pull(self, account: Account, question: Question, *, about: Question | None) -> Sequence[Reported] | None:
        """What one answer says; none: there was none."""
        url = profile.render_pull(account, id=question.provider_id, number=question.address, now=self.clock())
        said = await self.http.get(url, timeout=self.manifest.timeout)
        if isinstance(said, NoAnswer):
            return None
        if not said.whole or said.status // 100 != 2:
            return ()
        described = profile.read(account.settings)
        document = documents.read(said.body.decode(described.charset, "replace"), described.charset)
        return receipts.reported(described, document, about) if document else ()


def open_kind(tools: Tools) -> SenderKind:
    """The kind, for the catalogue."""
    return Gateway(tools.http)

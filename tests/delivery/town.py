# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""An organisation that mail comes to, with groups and rules: what tests of posting begin with and look at."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import bindparam, select, update

from mailroom.core.ids import ContentId, MailboxId, Modseq
from mailroom.delivery import rules
from mailroom.delivery.accept import Acceptance
from mailroom.delivery.posting import Local
from mailroom.delivery.rules import AutoReply, Forwarding
from mailroom.directory import addresses, groups
from mailroom.directory.model import SYSTEM, AddressRole, Allow, Group
from mailroom.events import outbox
from mailroom.mailboxes import folders, read
from mailroom.mailboxes.model import Content
from mailroom.storage import schema
from mailroom.storage.ports import Store, Tx
from tests import make

_LEFT = (
    select(schema.recipients.c.address, schema.messages.c.content)
    .join(schema.messages, schema.messages.c.id == schema.recipients.c.message_id)
    .order_by(schema.recipients.c.id)
)
_REFS = select(schema.contents.c.id, schema.contents.c.refs)
_BREAK = update(schema.scripts).where(schema.scripts.c.mailbox_id == bindparam("which")).values(text='require "later";')
_SHOWN = select(schema.mails.c.content_id)
_OUT = select(schema.outgoing.c.content_id)


@dataclass(frozen=True, slots=True)
class Town:
    """The organisation, and its front door."""

    store: Store
    acceptance: Acceptance
    made: make.Organisation

    async def send(self, *to: str, mail: bytes | None = None, sender: str = "bob@out.example") -> None:
        """A mail from outside, as by SMTP."""
        octets = make.mail(sender=sender or "daemon@out.example", to=", ".join(to)) if mail is None else mail
        await make.delivered(self.acceptance, octets, *to, sender=sender)

    async def group(self, local: str, *members: str, allow: Allow = Allow.ANYONE, senders: Sequence[str] = ()) -> Group:
        """A group at corp.example."""

        def work(tx: Tx) -> Group:
            address = addresses.parse_new(f"{local}@{make.DOMAIN}")
            with self._there(tx, members):
                return groups.create(
                    tx,
                    SYSTEM,
                    self.made.id,
                    address,
                    name=local.capitalize(),
                    members=members,
                    allow=allow,
                    senders=senders,
                )

        return await self.store.write(work)

    async def forward(self, who: str, *to: str, keeps: bool = True) -> None:
        """A mailbox forwards."""

        def work(tx: Tx) -> None:
            with self._there(tx, to):
                rules.forward(tx, self.made.mailboxes[who], Forwarding(to, keeps))

        await self.store.write(work)

    @contextlib.contextmanager
    def _there(self, tx: Tx, texts: Sequence[str]) -> Iterator[None]:
        """While an address of ours is named somebody has it, though it may be given up afterwards."""
        named = dict.fromkeys(addresses.parse(text) for text in texts)
        lent = [one for one in named if one.domain == make.DOMAIN and addresses.resolve(tx, one) is None]
        holder = next(iter(self.made.mailboxes.values()))
        for one in lent:
            addresses.take(tx, one, holder, AddressRole.ALIAS)
        yield
        for one in lent:
            addresses.release(tx, one, holder)

    async def reply(self, who: str, text: str = "I am away.", **more: Any) -> None:
        """A mailbox replies by itself."""
        await self.store.write(lambda tx: rules.reply(tx, self.made.mailboxes[who], AutoReply(text, **more)))

    async def filter(self, who: str, script: str) -> None:
        """A mailbox has a script."""

        def work(tx: Tx) -> None:
            rules.put(tx, self.made.mailboxes[who], "main", script)
            rules.activate(tx, self.made.mailboxes[who], "main")

        await self.store.write(work)

    async def break_script(self, who: str) -> None:
        """A mailbox's script is one that this release does not understand."""
        await self.store.write(lambda tx: tx.run(_BREAK, which=self.made.mailboxes[who]))

    async def mails(self, who: str, folder: str = "INBOX") -> list[Content]:
        """What lies in a folder, the oldest first."""

        def look(tx: Tx) -> list[Content]:
            found = folders.by_name(tx, self.made.mailboxes[who], folder)
            if found is None:
                return []
            changes = read.changes(tx, found.id, since=Modseq(0))
            assert found.mails == len(changes.changed)
            return [read.content(tx, mail.content_id) for mail in changes.changed]

        return await self.store.read(look)

    async def kept(self) -> dict[str, int]:
        """How many mails lie in the inboxes of those who have any."""
        found = {who: len(await self.mails(who)) for who in self.made.mailboxes}
        return {who: count for who, count in found.items() if count}

    async def left(self) -> list[tuple[str, dict[str, Any]]]:
        """What is on its way to others: each address, and the mail's envelope and more."""
        rows = await self.store.read(lambda tx: tx.all(_LEFT))
        return [(row[0], json.loads(row[1])) for row in rows]

    async def text(self, content: Content | int) -> str:
        """A mail's octets."""
        content_id = content.id if isinstance(content, Content) else ContentId(content)
        return (await make.octets_of(self.acceptance.letters.bodies, content_id)).decode()

    def plain(self, who: str) -> Local:
        """Somebody whose mailbox has no rules."""
        return Local(self.made.mailboxes[who], has_rules=False)

    async def told(self) -> list[MailboxId]:
        """The mailboxes of the facts that mail arrived."""
        claimed = await self.store.write(lambda tx: outbox.claim(tx, lease="test", until=tx.now + 1, limit=20_000))
        return [each.fact.mailbox_id for each in claimed if hasattr(each.fact, "mailbox_id")]

    async def is_counted(self) -> bool:
        """Every content counts just the mails that show it and the outbox's messages that carry it."""

        def count(tx: Tx) -> bool:
            holders = [row[0] for row in (*tx.all(_SHOWN), *tx.all(_OUT))]
            return all(refs == holders.count(content_id) > 0 for content_id, refs in tx.all(_REFS))

        return await self.store.read(count)

    async def held(self) -> int:
        """How many mails the outbox holds."""
        return len(await self.store.read(lambda tx: tx.all(_OUT)))


async def found(store: Store, folder: Path, *people: str) -> Town:
    """A town with these people in it."""
    acceptance = make.acceptance(store, folder)
    made = await make.organisation(store, people=people or ("amy", "bob", "carol", "dave"))
    return Town(store, acceptance, made)

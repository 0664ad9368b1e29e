# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mail to others from the outbox to its end: what is kept until then, who is told what, and what comes back."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select

from mailroom.core import ids
from mailroom.core.clock import DAY, HOUR, MINUTE
from mailroom.core.errors import InvalidValue, NotQueued, NotResendable
from mailroom.core.ids import RecipientId
from mailroom.core.secrets import Secret
from mailroom.delivery import bounces, outgoing
from mailroom.delivery.letters import written
from mailroom.delivery.posting import Addressee, Envelope, Posting
from mailroom.delivery.returns import Returns
from mailroom.directory import addresses, groups
from mailroom.directory.model import SYSTEM, Allow
from mailroom.events import outbox
from mailroom.events.facts import MailArrived, RecipientSettled, SenderDisabled
from mailroom.mailboxes import fetch, quota, read
from mailroom.mailboxes.model import MailboxStatus
from mailroom.messaging import receipts, send, senders
from mailroom.messaging.dispatch import Dispatch
from mailroom.messaging.model import Entry
from mailroom.mime import bounce
from mailroom.mime.bounce import Report
from mailroom.mime.dsn import Action
from mailroom.mime.scan import scan
from mailroom.runtime.reactions import Reaction
from mailroom.runtime.workers import Delays, React
from mailroom.senders.contract import Refused, Sent, TryLater
from mailroom.senders.email.manifest import MANIFEST
from mailroom.storage import schema
from mailroom.storage.ports import Store, Tx
from tests import make
from tests.messaging import kinds
from tests.messaging.kinds import Answer, Told
from tests.stores import Watch

AMY = "amy@corp.example"
BOB, EVE = "bob@out.example", "eve@far.example"
NO = Refused("550", "5.1.1 no such user (mx.out.example)")
LATER = TryLater("451", "4.4.1 no answer (mx.out.example)")
TAKEN = Sent("id", "250", "2.0.0 ok", told=True)
UNTOLD = dataclasses.replace(TAKEN, told=False)
MAIL = make.mail(sender="Amy <amy@corp.example>", to=BOB, message_id="<m1@corp.example>", subject="你好")


def parse(octets: bytes) -> Report | None:
    return bounce.parse(scan(octets), lambda start, end: octets[start:end])


@dataclass
class Desk:
    """Amy's organisation, and an outside world that answers as it is told."""

    store: Store
    made: make.Organisation
    posting: Posting
    returns: Returns
    kind: Told
    dispatch: Dispatch
    react: React
    watch: Watch

    async def post(self, *to: str | Addressee, sender: str = AMY, mail: bytes = MAIL, ret: str = "") -> None:
        addressees = tuple(Addressee(one) if isinstance(one, str) else one for one in to)
        envelope = Envelope(sender, addressees, ret=ret)
        await self.store.write(lambda tx: self.posting.post(tx, written(mail), envelope))

    def told(self, **answers: Answer) -> None:
        """What the servers of bob and eve answer."""
        names = {"bob": BOB, "eve": EVE}
        self.kind.answers = {names[name]: [answer] for name, answer in answers.items()}

    async def round(self) -> None:
        """Send what is due, and react to what came of it."""
        await kinds.round_(self.dispatch)
        while await self.react.once():
            pass

    async def inbox(self, name: str = "amy") -> Sequence[bytes]:
        """The mails that have come, the newest first."""

        def look(tx: Tx) -> Sequence[bytes]:
            folder = make.folder(tx, self.made.mailboxes[name])
            found = [one.mail.content_id for one in read.headlines(tx, folder.id, limit=100)]
            bodies = fetch.bodies(tx, found)
            return [bodies[one] for one in found]

        return await self.store.read(look)

    async def reports(self) -> list[list[tuple[str, Action, str]]]:
        """What amy has been told: recipient, action and status, a list for each report."""
        reports = [report for one in await self.inbox() if (report := parse(one))]
        return [[(fate.recipient, fate.action, fate.status) for fate in report.fates] for report in reports]

    async def count(self, table: str) -> int:
        return len(await self.store.read(lambda tx: tx.all(select(schema.metadata.tables[table].c[0]))))

    async def entries(self) -> list[Entry]:
        return await kinds.entries(self.store)


@pytest.fixture
async def desk(store: Store, watch: Watch, tmp_path: Path) -> Desk:
    kind = Told(dataclasses.replace(MANIFEST, fields=kinds.MANIFEST.fields))
    posting = make.posting()
    returns = Returns("mx.corp.example", posting)
    reactions = {
        RecipientSettled: (Reaction("return", returns.settled),),
        MailArrived: (Reaction("bounce", bounces.arrived),),
        SenderDisabled: (),
    }
    return Desk(
        store,
        await make.organisation(store),
        posting,
        returns,
        kind,
        kinds.dispatch(store, kinds.senders(tmp_path, kind), watch),
        React(store, reactions, ids.new),
        watch,
    )


async def test_what_is_sent_is_kept_until_everybody_has_ended(desk: Desk) -> None:
    await desk.post(BOB, EVE)
    desk.told(bob=TAKEN, eve=LATER)
    await desk.round()
    assert (await desk.count("outgoing"), await desk.count("contents")) == (1, 1)
    desk.watch.now += HOUR
    await desk.round()
    assert (await desk.count("outgoing"), await desk.count("contents")) == (0, 0)
    assert {entry.address: entry.state.value for entry in await desk.entries()} == {BOB: "sent", EVE: "sent"}
    assert await desk.inbox() == []


async def test_what_nobody_has_to_hear_of_is_over_with_the_attempt_that_ends_it(desk: Desk) -> None:
    await desk.post(BOB, EVE)
    await desk.post(BOB)
    desk.kind.answers = {BOB: [TAKEN, TAKEN], EVE: [LATER, TAKEN]}
    await kinds.round_(desk.dispatch)
    assert (await desk.count("outgoing"), await desk.count("contents"), await desk.count("facts")) == (1, 1, 0)
    desk.watch.now += HOUR
    await kinds.round_(desk.dispatch)
    assert (await desk.count("outgoing"), await desk.count("contents"), await desk.count("facts")) == (0, 0, 0)


async def test_a_mail_is_kept_until_the_sender_has_heard_of_everybody(desk: Desk) -> None:
    await desk.post(BOB, EVE)
    desk.told(bob=NO, eve=TAKEN)
    await kinds.round_(desk.dispatch)
    assert (await desk.count("outgoing"), await desk.count("facts")) == (1, 1)
    await desk.round()
    assert (await desk.count("outgoing"), await desk.count("facts")) == (0, 0)
    assert await desk.reports() == [[(BOB, Action.FAILED, "5.1.1")]]


async def test_a_small_mail_goes_with_its_parcel_and_a_large_one_is_read_where_it_lies(
    desk: Desk, tmp_path: Path
) -> None:
    await desk.post(BOB)
    acceptance = make.acceptance(desk.store, tmp_path)
    with acceptance.spool() as spool:
        spool.write(make.mail(size=100_000))
        envelope = Envelope(AMY, (Addressee(EVE),))
        await acceptance.accept(envelope, spool)
    await desk.round()
    small, large = sorted(desk.kind.parcels, key=lambda one: one.address)
    assert small.octets is not None
    assert (small.address, small.octets()) == (BOB, MAIL)
    assert (large.address, large.octets) == (EVE, None)


async def test_a_copy_that_somebody_here_has_stays(desk: Desk) -> None:
    await desk.post(BOB, "carol@corp.example")
    await desk.round()
    assert (await desk.count("outgoing"), await desk.count("contents")) == (0, 1)
    assert await desk.inbox("carol") == [MAIL]


async def test_the_kind_is_given_what_it_needs(desk: Desk) -> None:
    await desk.post(Addressee(BOB, notify=frozenset({"SUCCESS", "DELAY"}), orcpt="rfc822;b@x"), ret="FULL")
    await desk.round()
    [parcel] = desk.kind.parcels
    assert parcel.address == BOB
    assert parcel.options == {"notify": ["DELAY", "SUCCESS"], "orcpt": "rfc822;b@x"}
    assert {**parcel.content, "mail": 0} == {
        "mail": 0,
        "from": AMY,
        "size": len(MAIL),
        "utf8": False,
        "eight_bit": parcel.content["eight_bit"],
        "prefix": "",
        "ret": "FULL",
        "envid": "",
    }


class TestWhoIsTold:
    async def test_of_a_failure_once(self, desk: Desk) -> None:
        await desk.post(BOB, EVE)
        desk.told(bob=NO, eve=LATER)
        await desk.round()
        await desk.round()
        assert await desk.reports() == [[(BOB, Action.FAILED, "5.1.1")]]
        [octets] = await desk.inbox()
        assert b"In-Reply-To: <m1@corp.example>" in octets
        assert b"Auto-Submitted: auto-replied" in octets

    async def test_of_several_failures_at_once_in_one_report(self, desk: Desk) -> None:
        await desk.post(BOB, EVE)
        desk.told(bob=NO, eve=NO)
        await desk.round()
        assert await desk.reports() == [[(BOB, Action.FAILED, "5.1.1"), (EVE, Action.FAILED, "5.1.1")]]

    async def test_of_a_mail_that_was_tried_for_five_days(self, desk: Desk) -> None:
        await desk.post(BOB)
        desk.kind.answers = {BOB: [LATER] * 99}
        began = desk.watch.now
        for _ in range(len(MANIFEST.retries) + 1):
            await desk.round()
            [entry] = await desk.entries()
            desk.watch.now = entry.next_at or desk.watch.now
        assert len(desk.kind.parcels) == len(MANIFEST.retries) + 1
        assert 4 * DAY < desk.watch.now - began < 5.5 * DAY
        assert await desk.reports() == [[(BOB, Action.FAILED, "5.4.7")]]

    async def test_in_the_mail_itself_if_he_wants_it(self, desk: Desk) -> None:
        await desk.post(BOB, ret="FULL")
        desk.told(bob=NO)
        await desk.round()
        [octets] = await desk.inbox()
        assert b"see you.\r\n" in octets

    async def test_not_if_he_does_not_want_it(self, desk: Desk) -> None:
        await desk.post(Addressee(BOB, notify=frozenset({"NEVER"})), Addressee(EVE, notify=frozenset({"SUCCESS"})))
        desk.told(bob=NO, eve=NO)
        await desk.round()
        assert await desk.inbox() == []
        assert await desk.count("outgoing") == 0

    async def test_of_success_if_he_asked_and_nobody_else_tells(self, desk: Desk) -> None:
        asked = frozenset({"SUCCESS"})
        await desk.post(Addressee(BOB, notify=asked), Addressee(EVE, notify=asked))
        desk.told(bob=UNTOLD, eve=TAKEN)
        await desk.round()
        assert await desk.reports() == [[(BOB, Action.RELAYED, "2.0.0")]]
        assert await desk.count("outgoing") == 0

    async def test_nobody_of_a_mail_from_nobody(self, desk: Desk) -> None:
        await desk.post(BOB, sender="")
        desk.told(bob=NO)
        await desk.round()
        assert await desk.count("contents") == 0

    async def test_others_by_mail_from_nobody(self, desk: Desk) -> None:
        await desk.post(BOB, sender=EVE)
        desk.told(bob=NO)
        await desk.round()
        await desk.round()
        assert [(parcel.address, parcel.content["from"]) for parcel in desk.kind.parcels] == [
            (BOB, EVE),
            (EVE, ""),
        ]
        assert await desk.count("outgoing") == 0

    async def test_nobody_when_he_has_no_room(self, desk: Desk) -> None:
        await desk.post(BOB)
        await desk.store.write(lambda tx: quota.change(tx, SYSTEM, desk.made.mailboxes["amy"], quota=1))
        desk.told(bob=NO)
        await desk.round()
        assert await desk.inbox() == []
        assert await desk.count("outgoing") == 0

    async def test_nobody_of_a_group_without_anybody_and_nothing_is_held_up_by_it(self, desk: Desk) -> None:
        await desk.store.write(
            lambda tx: quota.change_status(tx, SYSTEM, desk.made.mailboxes["carol"], MailboxStatus.DISABLED)
        )
        address = addresses.parse_new("none@corp.example")
        await desk.store.write(
            lambda tx: groups.create(
                tx,
                SYSTEM,
                desk.made.id,
                address,
                name="None",
                members=["carol@corp.example"],
                allow=Allow.ANYONE,
                senders=(),
            )
        )
        await desk.post(BOB, sender="none@corp.example")
        await desk.post(EVE, mail=make.mail(message_id="<m2@corp.example>"))
        desk.kind.answers = {BOB: [LATER], EVE: [LATER]}
        await desk.round()
        desk.watch.now += 5 * HOUR
        assert await desk.store.write(desk.returns.late) == 2
        assert await desk.reports() == [[(EVE, Action.DELAYED, "4.4.1")]]
        desk.told(bob=NO)
        await desk.round()
        assert (await desk.count("outgoing"), await desk.count("facts")) == (0, 0)

    async def test_of_a_delay_after_four_hours_once(self, desk: Desk) -> None:
        delays = Delays(desk.store, desk.returns)
        never = Addressee("c@far.example", notify=frozenset({"FAILURE"}))
        await desk.post(BOB, EVE, never)
        desk.kind.answers = {BOB: [LATER] * 99, "c@far.example": [LATER] * 99}
        await desk.round()
        desk.watch.now += 4 * HOUR
        assert await desk.store.write(delays.returns.late) == 0
        desk.watch.now += MINUTE
        assert await desk.store.write(delays.returns.late) == 1
        assert await desk.store.write(delays.returns.late) == 0
        assert await desk.reports() == [[(BOB, Action.DELAYED, "4.4.1")]]
        [octets] = await desk.inbox()
        assert b"Will-Retry-Until" in octets

    async def test_in_a_transaction_with_the_note_that_it_is_done(self, desk: Desk) -> None:
        await desk.post(BOB)
        desk.told(bob=NO)
        await kinds.round_(desk.dispatch)
        fact = RecipientSettled(
            recipient_id=RecipientId(1), message_id=(await desk.entries())[0].message_id, state="failed"
        )

        def dies(tx: Tx) -> None:
            desk.returns.settled(tx, fact)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await desk.store.write(dies)
        assert await desk.inbox() == []
        await desk.round()
        assert len(await desk.inbox()) == 1


class TestWhatComesBack:
    async def bounce(self, desk: Desk, octets: bytes, *, sender: str = "") -> None:
        await desk.post(Addressee(AMY), sender=sender, mail=octets)
        await desk.round()

    def code(self, desk: Desk, address: str = BOB) -> str:
        """What the mail to him bore."""
        return next(parcel.code for parcel in desk.kind.parcels if parcel.address == address)

    def report(self, *lines: str, envid: str = "", code: str = "") -> bytes:
        field = f"X-Mailroom-Recipient: {code}\r\n" if code else ""
        return make.multipart(
            ([], "Not delivered."),
            (
                ["Content-Type: message/delivery-status"],
                f"Original-Envelope-Id: {envid}\r\nReporting-MTA: dns; x\r\n\r\n" + "\r\n".join(lines) + "\r\n",
            ),
            (["Content-Type: text/rfc822-headers"], f"{field}Message-ID: <m1@corp.example>\r\n"),
            kind="report",
        )

    async def state(self, desk: Desk, address: str = BOB) -> tuple[str, str]:
        [found] = [(entry.state.value, entry.reason) for entry in await desk.entries() if entry.address == address]
        return found

    async def test_changes_what_became_of_the_recipient(self, desk: Desk) -> None:
        await desk.post(BOB, EVE)
        await desk.round()
        lines = (f"Final-Recipient: rfc822;{BOB.upper()}", "Action: failed", "Status: 5.2.2")
        await self.bounce(desk, self.report(*lines, code=self.code(desk)))
        assert await self.state(desk) == ("undelivered", "5.2.2 mailbox_full:")
        assert await self.state(desk, EVE) == ("sent", "")
        [entry] = [entry for entry in await desk.entries() if entry.address == BOB]
        assert entry.provider_id == "id"
        assert len(await desk.inbox()) == 1  # the report itself, and none of ours

    @pytest.mark.parametrize("by", ["envid", "code"])
    async def test_is_known_by_our_own_code_wherever_the_mail_went(self, desk: Desk, by: str) -> None:
        await desk.post(BOB, EVE)
        await desk.round()
        lines = ("Final-Recipient: rfc822;robert@elsewhere.example", "Action: failed", "Status: 5.1.1")
        await self.bounce(desk, self.report(*lines, **{by: self.code(desk)}))
        assert (await self.state(desk))[0] == "undelivered"

    @pytest.mark.parametrize("action", ["failed", "delivered"])
    async def test_from_who_has_not_had_the_mail_is_not_believed(self, desk: Desk, action: str) -> None:
        await desk.post(BOB)
        await desk.round()
        for code in ("", "msg_guessed"):
            lines = (f"Final-Recipient: rfc822;{BOB}", f"Action: {action}", "Status: 5.1.1")
            await self.bounce(desk, self.report(*lines, envid=code, code=code))
        assert await self.state(desk) == ("sent", "")

    async def test_of_a_mail_that_others_like_us_have_sent_on_is_known_all_the_same(self, desk: Desk) -> None:
        await desk.post(BOB)
        await desk.round()
        lines = (f"Final-Recipient: rfc822;{BOB}", "Action: failed", "Status: 5.2.2")
        theirs = "msg_theirs\r\nX-Mailroom-Recipient: "
        await self.bounce(desk, self.report(*lines, code=theirs + self.code(desk)))
        assert (await self.state(desk))[0] == "undelivered"

    async def test_keeps_nobody_from_hearing_that_it_failed(self, desk: Desk) -> None:
        await desk.post(BOB)
        desk.told(bob=NO)
        await kinds.round_(desk.dispatch)
        lines = (f"Final-Recipient: rfc822;{BOB}", "Action: delivered", "Status: 2.0.0")
        report = written(self.report(*lines, code=self.code(desk)))
        await desk.store.write(lambda tx: desk.posting.post(tx, report, Envelope("", (Addressee("bob@corp.example"),))))
        facts = await desk.store.write(lambda tx: outbox.claim(tx, lease="x", until=tx.now + 1, limit=9))
        [arrived] = [one.fact for one in facts if isinstance(one.fact, MailArrived)]
        await desk.store.write(lambda tx: bounces.arrived(tx, arrived))
        assert (await self.state(desk))[0] == "failed"
        desk.watch.now += 1
        await desk.round()
        assert await desk.reports() == [[(BOB, Action.FAILED, "5.1.1")]]

    async def test_can_be_good_news(self, desk: Desk) -> None:
        await desk.post(BOB)
        await desk.round()
        lines = (f"Final-Recipient: rfc822;{BOB}", "Action: delivered", "Status: 2.0.0")
        await self.bounce(desk, self.report(*lines, code=self.code(desk)))
        assert await self.state(desk) == ("delivered", "")
        lines = (f"Final-Recipient: rfc822;{BOB}", "Action: failed", "Status: 5.0.0")
        await self.bounce(desk, self.report(*lines, code=self.code(desk)))
        assert (await self.state(desk))[0] == "delivered"  # late and contradictory: the table decides

    @pytest.mark.parametrize("action", ["delayed", "relayed", "expanded"])
    async def test_may_say_nothing_new(self, desk: Desk, action: str) -> None:
        await desk.post(BOB)
        await desk.round()
        lines = (f"Final-Recipient: rfc822;{BOB}", f"Action: {action}", "Status: 4.0.0")
        await self.bounce(desk, self.report(*lines, code=self.code(desk)))
        assert await self.state(desk) == ("sent", "")

    @pytest.mark.parametrize(
        "octets", [MAIL, b"", b"From: MAILER-DAEMON\r\nSubject: failure\r\n\r\n<bob@out.example>: 550 no"]
    )
    async def test_that_speaks_of_no_mail_of_ours_is_just_a_mail(self, desk: Desk, octets: bytes) -> None:
        await desk.post(BOB, mail=make.mail(message_id="<another@corp.example>"))
        await desk.round()
        await self.bounce(desk, octets)
        assert await self.state(desk) == ("sent", "")

    async def test_says_nothing_of_what_was_no_mail(self, desk: Desk) -> None:
        def work(tx: Tx) -> None:
            kinds.enqueue(tx, senders.ensure(tx, code="way", name="A way", kind=outgoing.KIND), "push")

        await desk.store.write(work)
        await desk.round()
        [parcel] = desk.kind.parcels
        await self.bounce(desk, self.report("Final-Recipient: rfc822;push", "Action: failed", envid=parcel.code))
        assert await self.state(desk, "push") == ("sent", "")

    async def test_from_somebody_is_not_believed(self, desk: Desk) -> None:
        await desk.post(BOB)
        await desk.round()
        lines = (f"Final-Recipient: rfc822;{BOB}", "Action: failed", "Status: 5.1.1")
        await self.bounce(desk, self.report(*lines, code=self.code(desk)), sender=EVE)
        assert await self.state(desk) == ("sent", "")


class TestByHand:
    async def test_a_recipient_can_be_given_up_and_the_sender_is_told(self, desk: Desk) -> None:
        await desk.post(BOB)
        [entry] = await desk.entries()
        await desk.store.write(lambda tx: outgoing.cancel(tx, entry.id))
        await desk.round()
        assert desk.kind.parcels == []
        assert await desk.reports() == [[(BOB, Action.FAILED, "5.7.0")]]
        with pytest.raises(NotQueued):
            await desk.store.write(lambda tx: outgoing.cancel(tx, entry.id))

    async def test_a_recipient_can_be_tried_at_once_through_a_way_that_was_disabled(self, desk: Desk) -> None:
        await desk.post(BOB)
        desk.told(bob=LATER)
        await desk.round()
        [entry] = await desk.entries()
        await desk.store.write(lambda tx: outgoing.retry(tx, entry.id))
        await desk.round()
        assert len(desk.kind.parcels) == 2
        with pytest.raises(NotQueued):
            await desk.store.write(lambda tx: outgoing.retry(tx, entry.id))

    async def test_a_mail_that_has_ended_cannot_begin_anew(self, desk: Desk) -> None:
        await desk.post(BOB)
        desk.told(bob=NO)
        await desk.round()
        [entry] = await desk.entries()
        with pytest.raises(NotResendable):
            await desk.store.write(lambda tx: send.resend(tx, entry.id))

    async def test_a_cancelled_attempt_that_arrived_after_all_is_sent(self, desk: Desk) -> None:
        await desk.post(BOB)
        turn = await desk.store.write(lambda tx: desk.dispatch._claim(tx, "lease", desk.dispatch._under_way))
        [(sender, due)] = turn.claimed
        await desk.store.write(lambda tx: outgoing.cancel(tx, due.id))
        attempt = receipts.Attempt(due, "lease", desk.watch.now, 1, TAKEN)
        await desk.store.write(lambda tx: receipts.record(tx, attempt, manifest=MANIFEST, chance=lambda: 0.5))
        assert [entry.state.value for entry in await desk.entries()] == ["sent"]
        assert sender.code == outgoing.SENDER


class TestTheWayOut:
    @pytest.mark.parametrize(
        ("url", "settings", "password"),
        [
            ("", {}, None),
            ("smtp://mx.example", {"host": "mx.example", "port": "587", "encryption": "starttls"}, None),
            (
                "smtps://am%40y:p%3Aw@mx.example:1465",
                {"host": "mx.example", "port": "1465", "encryption": "tls", "user": "am@y"},
                "p:w",
            ),
            (
                "smtp://127.0.0.1:25?encryption=none&from=out@corp.example",
                {"host": "127.0.0.1", "port": "25", "encryption": "none", "from": "out@corp.example"},
                None,
            ),
        ],
    )
    def test_the_setting_is_read(self, url: str, settings: dict[str, str], password: str | None) -> None:
        found, secrets = outgoing.read_smarthost(url)
        assert found == settings
        assert secrets == ({"password": Secret(password)} if password else {})

    @pytest.mark.parametrize("url", ["mx.example", "http://mx.example", "smtp://mx.example:no"])
    def test_what_is_no_smarthost_is_refused(self, url: str) -> None:
        with pytest.raises(InvalidValue):
            outgoing.read_smarthost(url)

    async def test_it_follows_the_setting(self, store: Store, desk: Desk, tmp_path: Path) -> None:
        ways = dataclasses.replace(desk.dispatch.senders)

        def code_and_settings(tx: Tx) -> object:
            sender = senders.by_code(tx, outgoing.SENDER)
            return sender and dict(sender.settings)

        await outgoing.use(store, ways, "")
        assert await store.read(code_and_settings) is None  # made when the first mail leaves
        await desk.post(BOB)
        assert await store.read(code_and_settings) == {}


async def test_a_slow_destination_leaves_places_for_the_others(desk: Desk) -> None:
    await desk.post(*(f"u{number}@slow.example" for number in range(500)), BOB)
    turn = await desk.store.write(lambda tx: desk.dispatch._claim(tx, "lease", desk.dispatch._under_way))
    lanes = [due.lane for _, due in turn.claimed]
    assert lanes.count("out.example") == 1
    assert lanes.count("slow.example") < 2 * MANIFEST.per_lane

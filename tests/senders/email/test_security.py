# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""TLS on the way out: used where it can be had, insisted on where a domain has said so, by MTA-STS or by DANE."""

from __future__ import annotations

import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mailroom.core.clock import DAY
from mailroom.senders.contract import Kept as KeptPolicy
from mailroom.senders.contract import Sent, TryLater
from mailroom.senders.email import dane, sts
from mailroom.senders.email.dane import Tlsa
from mailroom.senders.email.security import Demand, Level, decide
from mailroom.senders.email.sts import Mode, Policy
from tests.senders.email.conftest import NOW, World
from tests.senders.peers import peer, says
from tests.senders.smtp_double import Double, serving

POLICY = "version: STSv1\nmode: enforce\nmx: mx1.out.example\nmx: *.far.example\nmax_age: 604800\n"


class TestOpportunistic:
    async def test_any_certificate_is_better_than_none(self, world: World) -> None:
        async with serving(Double(tls=world.server("someone.else")), port=world.port) as double:
            assert isinstance(await world.send(), Sent)
        assert double.mails[0].secured
        assert double.mails[0].name == "mx1.out.example"

    async def test_where_tls_fails_the_mail_goes_in_the_clear(self, world: World) -> None:
        unfit = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # it has no certificate
        async with serving(Double(tls=unfit), port=world.port) as double:
            assert isinstance(await world.send(), Sent)
        assert not double.mails[0].secured
        assert double.connections == 2

    async def test_a_server_that_takes_its_offer_back_gets_it_in_the_clear(self, world: World) -> None:
        double = Double({"STARTTLS": ["454 4.7.0 not now"]}, tls=world.server("mx1.out.example"))
        async with serving(double, port=world.port):
            assert isinstance(await world.send(), Sent)
        assert not double.mails[0].secured

    async def test_what_was_said_before_tls_does_not_count_as_said_in_it(self, world: World) -> None:
        injected = "220 go ahead\n250 injected"
        double = Double({"STARTTLS": [injected]}, tls=world.server("mx1.out.example"))
        async with serving(double, port=world.port):
            assert isinstance(await world.send(), Sent)
        assert "injected" not in str(double.mails)
        assert double.connections == 2


class TestMtaSts:
    @pytest.fixture
    def record(self, world: World) -> None:
        world.names.put("_mta-sts.out.example", "TXT", '"v=STSv1; id=1;"')
        world.names.put("mta-sts.out.example", "A", "127.0.0.1")

    @asynccontextmanager
    async def published(
        self, world: World, text: str = POLICY, *, name: str = "mta-sts.out.example", status: str = "200 OK"
    ) -> AsyncIterator[None]:
        octets = f"HTTP/1.1 {status}\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n{text}".encode()
        async with peer(says(octets), tls=world.server(name)) as port:
            object.__setattr__(world.kind, "sts", sts.Sts(world.names.resolver, world.kind.sts.http, world.kept, port))
            yield

    @pytest.mark.usefixtures("record")
    async def test_a_right_certificate_is_insisted_on(self, world: World) -> None:
        async with (
            self.published(world),
            serving(Double(tls=world.server("wrong.example")), port=world.port) as wrong,
        ):
            outcome = await world.send()
            assert isinstance(outcome, TryLater)
            assert outcome.text.startswith("4.7.5")
            assert wrong.mails == []
            wrong.tls = world.server("mx1.out.example")
            assert isinstance(await world.send(), Sent)
            assert wrong.mails[0].secured

    @pytest.mark.usefixtures("record")
    async def test_no_tls_is_no_way_out(self, world: World) -> None:
        async with self.published(world), serving(Double(), port=world.port) as double:
            outcome = await world.send()
        assert isinstance(outcome, TryLater)
        assert double.mails == []

    @pytest.mark.usefixtures("record")
    async def test_a_server_that_the_policy_does_not_name_gets_nothing(self, world: World) -> None:
        world.names.put("out.example", "MX", "5 mx.evil.example.", "10 mx1.out.example.")
        world.names.put("mx.evil.example", "A", "127.0.0.2")
        async with (
            self.published(world),
            serving(Double(tls=world.server("mx1.out.example")), port=world.port) as good,
            serving(Double(tls=world.server("mx.evil.example")), host="127.0.0.2", port=world.port) as evil,
        ):
            assert isinstance(await world.send(), Sent)
        assert (len(good.mails), evil.connections) == (1, 0)

    @pytest.mark.usefixtures("record")
    @pytest.mark.parametrize(
        ("text", "name", "status"),
        [
            (POLICY.replace("enforce", "testing"), "mta-sts.out.example", "200 OK"),
            ("version: STSv1\nmode: none\nmax_age: 1\n", "mta-sts.out.example", "200 OK"),
            (POLICY, "wrong.example", "200 OK"),
            (POLICY, "mta-sts.out.example", "301 Moved"),
            ("<html>", "mta-sts.out.example", "200 OK"),
        ],
        ids=["testing", "none", "a policy host with a wrong certificate", "moved", "no policy"],
    )
    async def test_otherwise_it_is_as_if_there_were_none(self, world: World, text: str, name: str, status: str) -> None:
        async with (
            self.published(world, text, name=name, status=status),
            serving(Double(), port=world.port) as double,
        ):
            assert isinstance(await world.send(), Sent)
        assert not double.mails[0].secured

    async def test_who_hides_the_record_does_not_undo_the_policy(self, world: World) -> None:
        policy = sts.read_policy(POLICY)
        assert policy is not None
        world.kept.policies["out.example"] = KeptPolicy("1", policy.to_json(), NOW + DAY)
        async with serving(Double(), port=world.port) as double:
            outcome = await world.send()
        assert isinstance(outcome, TryLater)
        assert double.mails == []

    @pytest.mark.usefixtures("record")
    async def test_a_policy_is_fetched_once_a_day_and_when_its_id_changes(self, world: World) -> None:
        async with self.published(world):
            assert await world.kind.sts.policy("out.example", now=NOW) is not None
        kept = world.kept.policies["out.example"]
        assert (kept.policy_id, kept.expires_at) == ("1", NOW + 7 * DAY)
        assert await world.kind.sts.policy("out.example", now=NOW + DAY - 1) is not None  # nobody listens any more
        async with self.published(world, POLICY.replace("enforce", "testing")):
            tomorrow = await world.kind.sts.policy("out.example", now=NOW + DAY)
        assert tomorrow is not None
        assert tomorrow.mode is Mode.TESTING
        world.names.put("_mta-sts.out.example", "TXT", '"v=STSv1; id=2"')
        async with self.published(world):
            changed = await world.kind.sts.policy("out.example", now=NOW + DAY)
        assert changed is not None
        assert changed.mode is Mode.ENFORCE

    @pytest.mark.parametrize(
        ("texts", "expected"),
        [
            (["v=STSv1; id=20160831085700Z;"], "20160831085700Z"),
            (["v=spf1 -all", "v=STSv1;id=a1"], "a1"),
            (["v=STSv1; id=a", "v=STSv1; id=b"], None),
            (["v=STSv1; id=" + "a" * 33], None),
            (["v=STSv1"], None),
            (["v=STSv10; id=a"], None),
            ([], None),
        ],
    )
    def test_records_are_read(self, texts: list[str], expected: str | None) -> None:
        assert sts.read_record(texts) == expected

    @pytest.mark.parametrize(
        "text",
        [
            "",
            POLICY.replace("STSv1", "STSv2"),
            POLICY.replace("enforce", "enforced"),
            POLICY.replace("604800", "-1"),
            POLICY.replace("604800", "9" * 11),
            "version: STSv1\nmode: enforce\nmax_age: 1\n",
        ],
    )
    def test_what_is_no_policy_is_none(self, text: str) -> None:
        assert sts.read_policy(text) is None

    def test_a_policy_survives_being_kept(self) -> None:
        policy = sts.read_policy(POLICY.replace("\n", "\r\n") + "colour: red\r\n")
        assert policy == Policy(Mode.ENFORCE, ("mx1.out.example", "*.far.example"), 604800)
        assert policy is not None
        assert sts.from_json(policy.to_json()) == policy

    @pytest.mark.parametrize(
        ("host", "expected"),
        [
            ("mx1.out.example", True),
            ("MX1.out.example.", True),
            ("mx2.out.example", False),
            ("a.far.example", True),
            ("a.b.far.example", False),
            ("far.example", False),
        ],
    )
    def test_hosts_are_held_against_its_patterns(self, host: str, *, expected: bool) -> None:
        policy = sts.read_policy(POLICY)
        assert policy is not None
        assert policy.names(host) is expected


def leaf(context: trustme.LeafCert) -> bytes:
    return x509.load_pem_x509_certificate(context.cert_chain_pems[0].bytes()).public_bytes(Encoding.DER)


def key(der: bytes) -> bytes:
    return (
        x509.load_der_x509_certificate(der).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )


class TestDane:
    async def test_only_the_certificate_in_the_dns_will_do(self, world: World) -> None:
        world.names.authentic = True
        certificate = world.authority.issue_cert("anything.example")  # RFC 7672 §3.1.1: its names do not matter
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        digest = hashlib.sha256(key(leaf(certificate))).hexdigest()
        async with serving(Double(tls=context), port=world.port) as double:
            world.names.put(f"_{world.port}._tcp.mx1.out.example", "TLSA", f"3 1 1 {'00' * 32}")
            outcome = await world.send()
            assert isinstance(outcome, TryLater)
            assert outcome.text.startswith("4.7.5")
            world.names.put(f"_{world.port}._tcp.mx1.out.example", "TLSA", f"3 1 1 {digest}")
            assert isinstance(await world.send(), Sent)
        assert len(double.mails) == 1

    async def test_a_dns_that_is_not_sure_says_nothing(self, world: World) -> None:
        world.names.put(f"_{world.port}._tcp.mx1.out.example", "TLSA", f"3 1 1 {'00' * 32}")
        async with serving(Double(), port=world.port):
            assert isinstance(await world.send(), Sent)

    async def test_a_resolver_that_is_not_ours_is_not_believed(self, world: World) -> None:
        world.names.authentic = True
        world.names.put(f"_{world.port}._tcp.mx1.out.example", "TLSA", f"3 1 1 {'00' * 32}")
        object.__setattr__(world.kind.routes, "validates", False)
        async with serving(Double(), port=world.port):
            assert isinstance(await world.send(), Sent)

    async def test_records_that_cannot_be_had_may_be_an_attack(self, world: World) -> None:
        world.names.authentic = True
        world.names.broken.add(f"_{world.port}._tcp.mx1.out.example")
        async with serving(Double(), port=world.port) as double:
            outcome = await world.send()
        assert isinstance(outcome, TryLater)
        assert double.connections == 0

    @pytest.mark.parametrize("selector", [0, 1])
    @pytest.mark.parametrize(("matching", "digest"), [(0, bytes), (1, hashlib.sha256), (2, hashlib.sha512)])
    def test_every_form_of_record_is_understood(
        self, authority: trustme.CA, selector: int, matching: int, digest: Callable[[bytes], object]
    ) -> None:
        der = leaf(authority.issue_cert("mx1.out.example"))
        chosen = digest(key(der) if selector else der)
        octets = chosen if isinstance(chosen, bytes) else chosen.digest()  # type: ignore[attr-defined]  # a hash
        record = Tlsa(3, selector, matching, octets)
        assert record.matches(der)
        assert not record.matches(leaf(authority.issue_cert("mx1.out.example")))
        assert not record.matches(b"no certificate") or selector == 0

    @pytest.mark.parametrize(("name", "expected"), [("mx1.out.example", True), ("mx2.out.example", False)])
    def test_an_anchor_vouches_for_a_name(self, authority: trustme.CA, name: str, *, expected: bool) -> None:
        anchor = x509.load_pem_x509_certificate(authority.cert_pem.bytes()).public_bytes(Encoding.DER)
        chain = [leaf(authority.issue_cert("mx1.out.example")), anchor]
        record = Tlsa(2, 0, 1, hashlib.sha256(anchor).digest())
        now = datetime(2026, 9, 21, tzinfo=UTC)
        assert dane.authentic(chain, [record], names=[name], now=now) is expected
        assert not dane.authentic(chain[:1], [record], names=[name], now=now)
        assert not dane.authentic([b"rubbish", anchor], [record], names=[name], now=now)
        assert not dane.authentic([], [record], names=[name], now=now)

    async def test_the_chain_that_a_server_shows_is_seen_whole(self, world: World) -> None:
        world.names.authentic = True
        anchor = x509.load_pem_x509_certificate(world.authority.cert_pem.bytes()).public_bytes(Encoding.DER)
        certificate = world.authority.issue_cert("mx1.out.example")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with contextlib.ExitStack() as stack:
            pem = stack.enter_context(certificate.private_key_and_cert_chain_pem.tempfile())
            with open(pem, "ab") as file:  # noqa: ASYNC230, PTH123 # a few octets
                file.write(world.authority.cert_pem.bytes())
            context.load_cert_chain(pem)
        record = f"2 0 1 {hashlib.sha256(anchor).hexdigest()}"
        world.names.put(f"_{world.port}._tcp.mx1.out.example", "TLSA", record)
        async with serving(Double(tls=context), port=world.port) as double:
            outcome = await world.send()
        assert isinstance(outcome, Sent)
        assert double.mails[0].secured


TLSA = (Tlsa(3, 1, 1, b"x"),)
ODD = (Tlsa(0, 1, 1, b"x"), Tlsa(3, 9, 1, b"x"))
ENFORCED = Policy(Mode.ENFORCE, ("mx1.out.example",), 1)
TESTED = Policy(Mode.TESTING, ("mx1.out.example",), 1)


@pytest.mark.parametrize(
    ("host", "tlsa", "policy", "expected"),
    [
        ("mx1.out.example", (), None, Demand(Level.MAY)),
        ("mx1.out.example", (), ENFORCED, Demand(Level.VERIFY)),
        ("mx2.out.example", (), ENFORCED, None),
        ("mx2.out.example", (), TESTED, Demand(Level.MAY)),
        ("mx1.out.example", TLSA, None, Demand(Level.DANE, TLSA)),
        ("mx2.out.example", TLSA, ENFORCED, Demand(Level.DANE, TLSA)),
        ("mx1.out.example", ODD, None, Demand(Level.MUST)),
        ("mx1.out.example", ODD + TLSA, None, Demand(Level.DANE, TLSA)),
    ],
)
def test_what_is_asked_of_a_connection(
    host: str, tlsa: tuple[Tlsa, ...], policy: Policy | None, expected: Demand | None
) -> None:
    assert decide(host, tlsa=tlsa, policy=policy) == expected

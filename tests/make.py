# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What tests begin with: mails, and an organisation with people in it. Made through the use cases, as in real life."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from argon2 import PasswordHasher

from mailroom.core import clock, ids
from mailroom.core.clock import Clock
from mailroom.core.ids import FolderId, MailboxId, MemberId, OrganisationId
from mailroom.core.secrets import Secret
from mailroom.core.settings import Limits
from mailroom.delivery.accept import Acceptance
from mailroom.delivery.answers import Writer
from mailroom.delivery.letters import Letters
from mailroom.delivery.posting import Envelope, Posting
from mailroom.delivery.returns import Returns
from mailroom.delivery.signing import Signer
from mailroom.delivery.spool import Spool
from mailroom.delivery.srs import Srs
from mailroom.delivery.submit import Submission
from mailroom.directory import addresses, domains, members
from mailroom.directory.brake import Brake
from mailroom.directory.credentials import Passwords
from mailroom.directory.dkim_keys import DkimKeys
from mailroom.directory.logins import Logins
from mailroom.directory.model import SYSTEM, DomainState, Member, Role, Users
from mailroom.mailboxes import append, contents, create, read
from mailroom.mailboxes.contents import Bodies, Small
from mailroom.mailboxes.model import NO_FLAGS, Flag, Folder, FolderRole, Marks, Placed
from mailroom.mime.scan import scan
from mailroom.mime.structure import summarise
from mailroom.storage.engines import open_blobs
from mailroom.storage.ports import Store, Tx
from mailroom.storage.seal import Seal

DOMAIN = "corp.example"


def mail(
    *,
    subject: str = "Hello",
    sender: str = "Bob Li <bob@out.example>",
    to: str = "amy@corp.example",
    message_id: str = "<1@out.example>",
    more: Sequence[str] = (),
    body: str | bytes = "Hi Amy,\r\nsee you.\r\n",
    size: int = 0,
) -> bytes:
    """A mail. A field given as "" is left out; `more` are further header lines; it is filled up to `size` octets."""
    fields = {"From": sender, "To": to, "Subject": subject, "Message-ID": message_id}
    lines = [*(f"{name}: {value}" for name, value in fields.items() if value), *more]
    octets = "".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape") + b"\r\n"
    octets += body if isinstance(body, bytes) else body.encode()
    missing = max(size - len(octets), 0)
    return octets + (b"0123456789abcdef" * 4 + b"\r\n") * (missing // 66) + b"x" * (missing % 66)


def multipart(*parts: tuple[Sequence[str], str | bytes], kind: str = "mixed", subject: str = "Hello") -> bytes:
    """A mail of several parts, each its header lines and its body."""
    octets = b"".join(
        b"--b\r\n%b\r\n%b\r\n"
        % ("".join(f"{line}\r\n" for line in lines).encode(), body if isinstance(body, bytes) else body.encode())
        for lines, body in parts
    )
    return mail(more=[f"Content-Type: multipart/{kind}; boundary=b"], body=octets + b"--b--\r\n", subject=subject)


@dataclass(frozen=True, slots=True)
class Organisation:
    """An organisation with one domain; the first member is its administrator."""

    id: OrganisationId
    members: Mapping[str, Member]
    mailboxes: Mapping[str, MailboxId]  # by userid, and public ones by local part


def organise(
    tx: Tx,
    *,
    people: Sequence[str] = ("amy", "bob", "carol"),
    public: Mapping[str, Sequence[str]] | None = None,
    domain: str = DOMAIN,
    state: DomainState = DomainState.ACTIVE,
) -> Organisation:
    """An organisation, its members with a mailbox each, and public mailboxes by local part with their users."""
    organisation_id = members.found_organisation(tx, "Corp")
    domains.add(tx, SYSTEM, organisation_id, domain, state=state)
    made: dict[str, Member] = {}
    mailboxes: dict[str, MailboxId] = {}
    for userid in people:
        role = Role.MEMBER if made else Role.ADMINISTRATOR
        made[userid] = members.add(tx, organisation_id, userid, name=userid.capitalize(), password_hash="", role=role)
        mailboxes[userid] = create.personal(tx, SYSTEM, made[userid], addresses.parse_new(f"{userid}@{domain}"))
    for local, users in (public or {}).items():
        address = addresses.parse_new(f"{local}@{domain}")
        mailboxes[local] = create.public(
            tx,
            SYSTEM,
            organisation_id,
            address,
            name=local.capitalize(),
            users=Users(tuple(made[userid] for userid in users)),
        )
    return Organisation(organisation_id, made, mailboxes)


async def organisation(
    store: Store,
    *,
    people: Sequence[str] = ("amy", "bob", "carol"),
    public: Mapping[str, Sequence[str]] | None = None,
    domain: str = DOMAIN,
    state: DomainState = DomainState.ACTIVE,
) -> Organisation:
    """`organise`, in a transaction of its own."""
    return await store.write(lambda tx: organise(tx, people=people, public=public, domain=domain, state=state))


def folder(tx: Tx, mailbox_id: MailboxId, role: FolderRole = FolderRole.INBOX) -> Folder:
    """The mailbox's folder of that role."""
    return next(each for each in read.folders(tx, mailbox_id) if each.role is role)


def appended(
    tx: Tx,
    into: FolderId,
    octets: bytes | None = None,
    *,
    flags: Flag = NO_FLAGS,
    keywords: Sequence[str] = (),
    sent_by: MemberId | None = None,
) -> Placed:
    """A mail put into a folder."""
    octets = mail() if octets is None else octets
    summary = summarise(scan(octets), lambda start, end: octets[start:end])
    content_id = contents.add(tx, Small(octets), summary, size=len(octets), refs=1)
    return append.append(
        tx,
        content_id,
        into=into,
        size=len(octets),
        marks=Marks(flags, frozenset(keywords)),
        internal_date=tx.now,
        sent_by=sent_by,
    )


def logins(store: Store, folder: Path, *, time: Clock = clock.now) -> Logins:
    """Signing in over a store, with its key in a folder. Its hashes are quick, and weak."""
    passwords = Passwords(_hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    return Logins(store, passwords, Seal.open(folder / "secret.key"), Brake(store), time)


async def set_password(logins: Logins, userid: str, password: str) -> None:
    """Give a member a password."""
    kept = await logins.hash(userid, Secret(password))
    await logins.store.write(lambda tx: members.change_password(tx, SYSTEM, members.get(tx, userid).id, kept))


def posting(*, new_id: Callable[[], str] = ids.new) -> Posting:
    """Posting as mx.corp.example, without keys that sign."""
    return Posting(Srs(b"key"), Writer("mx.corp.example", new_id, lambda _, octets: octets), b"another key")


def acceptance(store: Store, folder: Path, *, new_id: Callable[[], str] = ids.new, reserve: int = 0) -> Acceptance:
    """The inbound verb over a store, with its blobs and spools in a folder."""
    spools = folder / "spools"
    spools.mkdir(exist_ok=True)
    bodies = Bodies(store, open_blobs(f"file://{folder}/blobs"))
    letters = Letters(bodies, spools, "mx.corp.example", new_id, reserve)
    post = posting(new_id=new_id)
    return Acceptance(store, letters, post, Returns(letters.hostname, post))


def submission(store: Store, folder: Path) -> Submission:
    """The outbound verb over a store, with its blobs, spools and keys in a folder."""
    inbound = acceptance(store, folder)
    signer = Signer(DkimKeys(store, Seal.open(folder / "secret.key")))
    return Submission(store, inbound.letters, inbound.posting, inbound.returns, signer, Limits())


async def delivered(acceptance: Acceptance, octets: bytes, *to: str, sender: str = "bounce@out.example") -> None:
    """A mail accepted for all addresses, as by SMTP."""
    destinations = [await acceptance.find(address, size=len(octets)) for address in to]
    with Spool(acceptance.letters.folder) as spool:
        spool.write(octets)
        await acceptance.accept(Envelope(sender, tuple(destinations)), spool)


async def delivered_each(acceptance: Acceptance, octets: bytes, *to: str) -> dict[str, str]:
    """A mail accepted for those addresses that take it, as by LMTP; the code of each one's refusal, or ""."""
    destinations = [await acceptance.find(address, size=0) for address in to]
    with Spool(acceptance.letters.folder) as spool:
        spool.write(octets)
        answers = await acceptance.accept_each(Envelope("bounce@out.example", tuple(destinations)), spool)
    return {one.address: refusal.code if refusal else "" for one, refusal in answers.items()}


async def octets_of(bodies: Bodies, content_id: ids.ContentId, start: int = 0, end: int | None = None) -> bytes:
    """A mail's octets, read back."""
    return b"".join([chunk async for chunk in bodies.read(content_id, start, end)])

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What leaves is signed with the keys that others can see."""

from __future__ import annotations

import base64
from functools import partial
from pathlib import Path

from mailroom.core.secrets import Secret
from mailroom.delivery.signing import Signer, author_domain
from mailroom.directory import dkim_keys, domains, policies
from mailroom.directory.dkim_keys import DkimKeys, KeyState
from mailroom.directory.model import SYSTEM
from mailroom.mime import dkim, fields
from mailroom.mime.dkim import Bodies, Code, Forms, Signature
from mailroom.storage.ports import Store
from mailroom.storage.seal import Seal
from tests import make


async def signer(store: Store, folder: Path) -> Signer:
    """An organisation whose domain has active keys."""
    await make.organisation(store)
    keys = DkimKeys(store, Seal.open(folder / "key"))
    for key in await keys.ensure(make.DOMAIN):
        await store.write(partial(dkim_keys.activate, key=key))
    return Signer(keys)


async def verdicts(store: Store, mail: bytes) -> list[Code]:
    """What others make of a mail's signatures."""
    published = {key.name: key.record for key in await store.read(lambda tx: dkim_keys.keys(tx, make.DOMAIN))}
    end = mail.index(b"\r\n\r\n") + 4
    found = fields.split(mail[:end])
    parsed = [one for one in dkim.signatures(found) if isinstance(one, Signature)]
    bodies = Bodies(parsed)
    bodies.feed(mail[end:])
    bodies.finish()
    forms = Forms(found)
    return [
        dkim.verify(one, dkim.key([published[one.key_name].encode()]), forms=forms, bodies=bodies, now=0).code
        for one in parsed
    ]


async def test_a_mail_is_signed_with_every_active_key(store: Store, tmp_path: Path) -> None:
    one = await signer(store, tmp_path)
    for size in (0, 300_000):
        mail = make.mail(sender="Amy <amy@CORP.example>", size=size)
        start = mail.index(b"\r\n\r\n") + 4
        added = await one.sign(mail[:start], lambda start, end, mail=mail: mail[start:end], start, len(mail))  # type: ignore[misc] # of a loop
        assert added.count(b"DKIM-Signature:") == 2
        assert await verdicts(store, added + mail) == [Code.PASS, Code.PASS]
    small = await store.read(lambda tx: one.sign_ours(tx, make.mail(sender="postmaster@corp.example")))
    assert await verdicts(store, small) == [Code.PASS, Code.PASS]


async def test_what_is_not_ours_or_not_to_be_signed_is_left_as_it_is(store: Store, tmp_path: Path) -> None:
    one = await signer(store, tmp_path)
    foreign, ours = make.mail(sender="bob@out.example"), make.mail(sender="amy@corp.example")
    assert await store.read(lambda tx: one.sign_ours(tx, foreign)) == foreign
    two = make.mail(sender="amy@corp.example, bob@out.example")
    assert await store.read(lambda tx: one.sign_ours(tx, two)) == two
    await store.write(lambda tx: policies.change(tx, SYSTEM, "dkim.sign", "no"))
    assert await store.read(lambda tx: one.sign_ours(tx, ours)) == ours
    await store.write(lambda tx: policies.change(tx, SYSTEM, "dkim.sign", "yes"))
    assert await store.read(lambda tx: one.sign_ours(tx, ours)) != ours
    await store.write(lambda tx: domains.disable(tx, SYSTEM, make.DOMAIN))
    assert await store.read(lambda tx: one.sign_ours(tx, ours)) == ours


def test_the_author_is_one() -> None:
    assert author_domain(b"From: Amy <amy@Corp.Example>\r\n\r\n") == "corp.example"
    assert author_domain("From: 李 <li@bücher.example>\r\n\r\n".encode()) == "xn--bcher-kva.example"
    assert author_domain(b"From: a@corp.example\r\nFrom: b@corp.example\r\n\r\n") == ""
    assert author_domain(b"From: a\r\n\r\n") == ""
    assert author_domain(b"Subject: none\r\n\r\n") == ""


async def test_a_private_key_is_sealed(store: Store, tmp_path: Path) -> None:
    one = await signer(store, tmp_path)
    sealed = await store.read(lambda tx: one.keys.signing(tx, make.DOMAIN))
    assert "PRIVATE" not in repr(sealed)
    found = await store.read(lambda tx: dkim_keys.keys(tx, make.DOMAIN))
    assert [key.state for key in found] == [KeyState.ACTIVE] * 2
    pair = dkim_keys.make_pairs()[0]
    assert isinstance(pair.private, Secret)
    assert len(base64.b64decode(pair.public)) == 294

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The certificate: ours at the first start and the same at the second, or the one that the settings name."""

from __future__ import annotations

import asyncio
import ssl
import stat
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from mailroom.core.errors import InvalidValue
from mailroom.core.settings import Settings, Tls
from mailroom.runtime import tls
from mailroom.storage.ports import Store
from mailroom.storage.seal import Seal


def shown(context: ssl.SSLContext, trusted: ssl.SSLContext, name: str) -> bytes:
    """The certificate that a client sees who trusts so and calls by that name."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(to_server, to_client, server_side=True)
    client = trusted.wrap_bio(to_client, to_server, server_hostname=name)
    for one in (client, server, client, server):
        try:
            one.do_handshake()
        except ssl.SSLWantReadError:
            continue
    certificate = client.getpeercert(binary_form=True)
    assert certificate is not None
    return certificate


def test_one_is_made_at_the_first_start_and_kept(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "var", hostname="mx.example")
    first = tls.server_context(settings)
    second = tls.server_context(settings)
    (file,) = (tmp_path / "var/tls").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    trusted = ssl.create_default_context(cafile=str(file))
    assert shown(first, trusted, "mx.example") == shown(second, trusted, "mx.example")
    assert first.minimum_version is ssl.TLSVersion.TLSv1_2


def test_the_settings_may_name_one(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("mail.example")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    both = str(tmp_path / "both.pem")
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    context = tls.server_context(Settings(data=tmp_path / "var", tls=Tls(certificate=both, key=both)))
    assert shown(context, trusted, "mail.example")
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize("named", [Tls(certificate="c.pem"), Tls(certificate="no.pem", key="no.pem")])
def test_a_wrong_setting_is_named(named: Tls, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="tls"):
        tls.server_context(replace(Settings(data=tmp_path), tls=named))


async def test_a_new_certificate_is_shown_and_open_connections_stay(store: Store, tmp_path: Path) -> None:
    authority, both = trustme.CA(), tmp_path / "both.pem"
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    authority.issue_cert("mail.example").private_key_and_cert_chain_pem.write_to_path(both)
    settings = Settings(data=tmp_path / "var", tls=Tls(certificate=str(both), key=str(both)))
    context = tls.server_context(settings)
    certificates = tls.Certificates(settings, store, Seal.open(tmp_path / "secret.key"), context)
    await certificates.begin()
    before = shown(context, trusted, "mail.example")

    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=context)
    reader, writer = await asyncio.open_connection(
        *server.sockets[0].getsockname(), ssl=trusted, server_hostname="mail.example"
    )
    authority.issue_cert("mail.example").private_key_and_cert_chain_pem.write_to_path(both)
    assert await certificates.look()
    assert shown(context, trusted, "mail.example") != before
    writer.write(b"still here\n")
    assert await reader.readline() == b"still here\n"
    writer.close()
    server.close()

    both.write_text("rubbish")
    assert not await certificates.look()
    assert shown(context, trusted, "mail.example")  # the last good one


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.readline())
    await writer.drain()
    writer.close()

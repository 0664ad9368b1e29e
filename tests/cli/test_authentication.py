# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Policies, keys and reports on the command line."""

from __future__ import annotations

import asyncio

from tests import dns
from tests.cli.conftest import Mailroom


def test_policies_are_shown_and_decided(mailroom: Mailroom) -> None:
    assert mailroom("policy", "show", "--json").json["check.greylist"] == "no"
    assert mailroom("policy", "set", "check.greylist", "yes").status == 0
    assert "check.greylist: yes\n" in mailroom("policy", "show").out
    refused = mailroom("policy", "set", "check.greylist", "perhaps")
    assert (refused.status, refused.err) == (1, "invalid_value: check.greylist: must be one of: no, yes\n")


async def test_a_domain_has_keys_from_the_start(mailroom: Mailroom) -> None:
    made = mailroom("init", "--domain", "corp.example", "--password-stdin", "--json", stdin="a long password\n").json
    keys = [record for record in made if "._domainkey." in record["name"]]
    assert [record["value"].partition("p=")[0] for record in keys] == ["v=DKIM1; k=rsa; ", "v=DKIM1; k=ed25519; "]
    assert {
        "type": "TXT",
        "name": "_dmarc.corp.example",
        "value": "v=DMARC1; p=none; rua=mailto:postmaster@corp.example",
    } in made
    shown = mailroom("domain", "records", "corp.example", "--json").json
    assert shown == made
    published = {record["name"].removesuffix(".corp.example"): record["value"] for record in made}
    assert published["_smtp._tls"] == "v=TLSRPTv1; rua=mailto:postmaster@corp.example"
    hosts = {published[name] for name in ("autoconfig", "autodiscover", "mta-sts")}
    assert len(hosts) == 1
    mailroom("policy", "set", "mta_sts", "testing")
    testing = mailroom("domain", "records", "corp.example", "--json").json
    assert [after["name"] for before, after in zip(made, testing, strict=True) if before != after] == [
        "_mta-sts.corp.example"
    ]
    assert [record for record in shown if "._domainkey." in record["name"]] == keys

    async with dns.serving() as names:
        empty = {"MAILROOM_RESOLVER": names.address}
        words = ("domain", "dkim", "corp.example", "--rotate", "--json")
        rotated = (await asyncio.to_thread(mailroom, *words, env=empty)).json
        assert mailroom("domain", "dkim", "none.example", env=empty).err.startswith("not_found:")
    assert [key["state"] for key in rotated] == ["new"] * 4
    assert [key["value"] for key in rotated[:2]] == [record["value"] for record in keys]
    assert len({key["selector"] for key in rotated}) == 4
    assert mailroom("domain", "remove", "corp.example").err.startswith("in_use:")


def test_reports_are_listed(mailroom: Mailroom) -> None:
    mailroom("init", "--domain", "corp.example", "--password-stdin", stdin="a long password\n")
    assert mailroom("domain", "reports", "corp.example", "--json").json == []
    assert mailroom("domain", "reports", "none.example").status == 1

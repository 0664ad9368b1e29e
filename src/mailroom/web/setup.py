# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What machines ask for without signing in: how a mail program is set up, our MTA-STS policy, and the answers that an
ACME server looks for. Nothing here is secret, and nothing tells who has a mailbox.
"""

from __future__ import annotations

import plistlib
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from xml.etree import ElementTree as ET

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mailroom.core.errors import InvalidAddress, TooLarge
from mailroom.core.settings import Settings
from mailroom.directory import certificates, policies, setup
from mailroom.directory.addresses import Address
from mailroom.directory.setup import Server
from mailroom.storage.ports import Store
from mailroom.web.refusals import NoSuchPage

_BODY_MOST: Final = 16 * 1024
# What Outlook asks with; read without an XML parser, which would have to be kept from doing more than this.
_EMAIL: Final = re.compile(rb"<(?:\w+:)?EMailAddress>\s*([^<>&\s]{1,320})\s*<", re.IGNORECASE)
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_OUTLOOK: Final = "http://schemas.microsoft.com/exchange/autodiscover"
# Profiles of one address replace each other on a device.
_PROFILES: Final = uuid.UUID("6f3c1c39-5d0e-4b49-9d0a-6d1a1b3c7a52")


@dataclass(frozen=True, slots=True)
class Setup:
    """The pages."""

    store: Store
    settings: Settings

    def routes(self) -> list[Route]:
        """Where they are; programs spell one of them in three ways."""
        return [
            Route("/.well-known/acme-challenge/{token}", self.acme),
            Route("/.well-known/mta-sts.txt", self.mta_sts),
            Route("/.well-known/autoconfig/mail/config-v1.1.xml", self.mozilla),
            Route("/mail/config-v1.1.xml", self.mozilla),
            *(
                Route(f"/{name}.xml", self.microsoft, methods=["GET", "POST"])
                for name in ("autodiscover/autodiscover", "Autodiscover/Autodiscover", "AutoDiscover/AutoDiscover")
            ),
            Route("/setup/apple.mobileconfig", self.apple),
        ]

    async def acme(self, request: Request) -> Response:
        """The answer to an HTTP-01 challenge (RFC 8555 §8.3)."""
        token = request.path_params["token"]
        answer = await self.store.read(lambda tx: certificates.answer(tx, token)) if _TOKEN.fullmatch(token) else ""
        if not answer:
            raise NoSuchPage
        return Response(answer, media_type="application/octet-stream")

    async def mta_sts(self, request: Request) -> Response:
        """Our policy for the domain in `mta-sts.<domain>` (RFC 8461 §3.2)."""
        domain = (request.url.hostname or "").removeprefix("mta-sts.")
        await self._address(f"postmaster@{domain}")
        mode = await self.store.read(lambda tx: policies.get(tx, "mta_sts"))
        return PlainTextResponse(setup.sts_policy(self.settings, mode))

    async def _address(self, text: str) -> Address:
        try:
            return await self.store.read(lambda tx: setup.address_here(tx, text[:320]))
        except InvalidAddress as not_ours:
            raise NoSuchPage from not_ours

    async def mozilla(self, request: Request) -> Response:
        """Mozilla's autoconfig: for one address, or for the domain in `autoconfig.<domain>`."""
        host = (request.url.hostname or "").removeprefix("autoconfig.")
        address = await self._address(request.query_params.get("emailaddress") or f"postmaster@{host}")
        return _xml(_mozilla(address.domain, setup.servers(self.settings)))

    async def microsoft(self, request: Request) -> Response:
        """Microsoft's autodiscover (POX), for the address in the request."""
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _BODY_MOST:
                raise TooLarge(what="request", limit=_BODY_MOST)
        asked = _EMAIL.search(body)
        named = asked[1].decode("utf-8", "replace") if asked else request.query_params.get("Email", "")
        address = await self._address(named)
        return _xml(_microsoft(str(address), setup.servers(self.settings)))

    async def apple(self, request: Request) -> Response:
        """A profile for iPhones and Macs, for the address in `address`; the device asks for the password itself."""
        address = await self._address(request.query_params.get("address", ""))
        profile = _apple(str(address), setup.servers(self.settings))
        return Response(
            plistlib.dumps(profile),
            media_type="application/x-apple-aspen-config",
            headers={"Content-Disposition": 'attachment; filename="mail.mobileconfig"'},
        )


def _xml(root: ET.Element) -> Response:
    return Response(ET.tostring(root, encoding="utf-8", xml_declaration=True), media_type="text/xml; charset=utf-8")


def _add(parent: ET.Element, name: str, text: str = "", **attributes: str) -> ET.Element:
    child = ET.SubElement(parent, name, attributes)
    child.text = text or None
    return child


def _mozilla(domain: str, servers: Sequence[Server]) -> ET.Element:
    root = ET.Element("clientConfig", version="1.1")
    provider = _add(root, "emailProvider", id=domain)
    _add(provider, "domain", domain)
    _add(provider, "displayName", domain)
    for one in servers:
        name = "outgoingServer" if one.protocol == "smtp" else "incomingServer"
        server = _add(provider, name, type=one.protocol)
        _add(server, "hostname", one.host)
        _add(server, "port", str(one.port))
        _add(server, "socketType", "SSL" if one.tls else "STARTTLS")
        _add(server, "authentication", "password-cleartext")
        _add(server, "username", "%EMAILADDRESS%")
    return root


def _microsoft(address: str, servers: Sequence[Server]) -> ET.Element:
    schema = f"{_OUTLOOK}/outlook/responseschema/2006a"
    root = ET.Element("Autodiscover", xmlns=f"{_OUTLOOK}/responseschema/2006")
    response = _add(root, "Response", xmlns=schema)
    user = _add(response, "User")
    _add(user, "DisplayName", address)
    account = _add(response, "Account")
    _add(account, "AccountType", "email")
    _add(account, "Action", "settings")
    for one in servers:
        protocol = _add(account, "Protocol")
        _add(protocol, "Type", one.protocol.upper())
        _add(protocol, "Server", one.host)
        _add(protocol, "Port", str(one.port))
        _add(protocol, "LoginName", address)
        _add(protocol, "SPA", "off")
        _add(protocol, "SSL", "on" if one.tls else "off")
        if not one.tls:
            _add(protocol, "Encryption", "TLS")
        _add(protocol, "AuthRequired", "on")
        if one.protocol == "smtp":
            _add(protocol, "UsePOPAuth", "off")
    return root


def _apple(address: str, servers: Sequence[Server]) -> dict[str, Any]:
    incoming = next((one for one in servers if one.protocol != "smtp"), None)
    outgoing = next((one for one in servers if one.protocol == "smtp"), None)
    if incoming is None or outgoing is None:
        raise NoSuchPage
    account = {
        "PayloadType": "com.apple.mail.managed",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"mailroom.account.{address}",
        "PayloadUUID": str(uuid.uuid5(_PROFILES, f"account {address}")),
        "PayloadDisplayName": address,
        "EmailAccountType": "EmailTypeIMAP" if incoming.protocol == "imap" else "EmailTypePOP",
        "EmailAccountName": address,
        "EmailAccountDescription": address,
        "EmailAddress": address,
        "OutgoingPasswordSameAsIncomingPassword": True,
    }
    for side, one in (("Incoming", incoming), ("Outgoing", outgoing)):
        account |= {
            f"{side}MailServerHostName": one.host,
            f"{side}MailServerPortNumber": one.port,
            f"{side}MailServerUseSSL": True,  # either way of TLS; the device finds out which
            f"{side}MailServerUsername": address,
            f"{side}MailServerAuthentication": "EmailAuthPassword",
        }
    return {
        "PayloadType": "Configuration",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"mailroom.{address}",
        "PayloadUUID": str(uuid.uuid5(_PROFILES, address)),
        "PayloadDisplayName": address,
        "PayloadContent": [account],
    }

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""One POST to somebody else's server, without trusting it: not with our time, our memory, nor our network; and what
follows for a parcel where nothing, or nothing of the provider's own, comes back.

One deadline over all of it, at most `READ_LIMIT` octets of the answer read, redirects not followed, nothing unpacked,
no cookies, no proxies from the environment. The egress guard sits where sockets are made, so that addresses written
out in a URL and names that change what they resolve to pass it as well.
"""

from __future__ import annotations

import asyncio
import enum
import json
import re
import socket
import ssl
from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp
import dns.asyncresolver
import dns.exception
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

import mailroom
from mailroom.core import log
from mailroom.core.clock import DAY, SECOND
from mailroom.core.errors import EgressRefused, InvalidValue
from mailroom.core.secrets import Secret
from mailroom.senders.contract import Outcome, Refused, Scope, TryLater, Unknown, Why, excerpt
from mailroom.senders.egress import Denied, Egress, is_localhost

READ_LIMIT: Final = 64 * 1024
_LOOPBACK: Final[tuple[tuple[str, int], ...]] = (("::1", socket.AF_INET6), ("127.0.0.1", socket.AF_INET))
TIMEOUT: Final = 10 * SECOND
_LONGEST_WAIT: Final = DAY

_LOG = log.get("http")


class Verify(enum.Enum):
    """How much of a certificate must be right."""

    ALL = enum.auto()
    NOTHING = enum.auto()  # self-signed, expired, another's name: all the same


class Fault(enum.StrEnum):
    """Why there is no answer."""

    INVALID_URL = "invalid_url"
    EGRESS_REFUSED = "egress_refused"
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    CUT_OFF = "cut_off"
    GARBAGE = "garbage"

    @property
    def before_sending(self) -> bool:
        """Certain that nothing reached the receiver."""
        return self in _BEFORE_SENDING


_BEFORE_SENDING: Final = {Fault.INVALID_URL, Fault.EGRESS_REFUSED, Fault.DNS, Fault.CONNECT, Fault.TLS}
# Repeating cannot help; once a person has changed a setting, the dead letter can be sent again.
_FOR_A_PERSON: Final = frozenset({Fault.EGRESS_REFUSED, Fault.INVALID_URL})


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver said. `whole` is false when its body was cut off, by it or by our limits."""

    status: int
    headers: Mapping[str, str]  # names in any case
    body: bytes
    whole: bool = True

    def words(self, hide: Iterable[Secret]) -> str:
        """Its body as it may be kept and shown."""
        return excerpt(self.body.decode("utf-8", "replace"), hide=hide)

    def after(self, now: int) -> int | None:
        """The wait in milliseconds that it asks for."""
        return retry_after(self.headers.get("Retry-After", ""), now)


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """It said nothing that HTTP knows. `text` names the host, never the rest of the URL: that may hold a key."""

    fault: Fault
    text: str


@dataclass(slots=True)
class Http:
    """The connections of this process to other people's servers, shared and kept open. Close it at the end.

    `resolver` replaces the system's, `trust` the certificate authorities that the system had at the start.
    """

    egress: Egress
    resolver: AbstractResolver | None = None
    trust: ssl.SSLContext | None = None
    _session: aiohttp.ClientSession | None = field(default=None, init=False)

    async def post(
        self,
        url: str,
        body: bytes | AsyncIterable[bytes],
        *,
        headers: Mapping[str, str],
        timeout: int = TIMEOUT,  # noqa: ASYNC109  # the deadline is this function's own promise
        verify: Verify = Verify.ALL,
    ) -> Answer | NoAnswer:
        """POST once and return within `timeout` milliseconds, whatever the other side does."""
        return await self._ask("POST", url, body, headers=headers, timeout=timeout, verify=verify)

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: int = TIMEOUT,  # noqa: ASYNC109  # likewise
        verify: Verify = Verify.ALL,
    ) -> Answer | NoAnswer:
        """GET likewise."""
        return await self._ask("GET", url, None, headers=headers or {}, timeout=timeout, verify=verify)

    async def _ask(
        self,
        method: str,
        url: str,
        body: bytes | AsyncIterable[bytes] | None,
        *,
        headers: Mapping[str, str],
        timeout: int,  # noqa: ASYNC109  # likewise
        verify: Verify,
    ) -> Answer | NoAnswer:
        try:
            target = parse_url(url)
        except InvalidValue as fault:
            return NoAnswer(Fault.INVALID_URL, str(fault))
        until = asyncio.get_running_loop().time() + timeout / SECOND
        session = self._session or self._open()
        try:
            async with asyncio.timeout_at(until):
                response = await session.request(
                    method,
                    target,
                    data=body,
                    headers=headers,
                    ssl=(self.trust or True) if verify is Verify.ALL else False,
                    allow_redirects=False,
                )
        except (OSError, ValueError, aiohttp.ClientError) as fault:  # TimeoutError is an OSError
            return _no_answer(target, fault)
        read, whole = await _read(response, until)
        return Answer(response.status, response.headers, read, whole)

    def check(self, url: str, *, name: str = "url") -> None:
        """Refuse a URL, of the setting `name`, that cannot be called. Raises `InvalidValue`, `EgressRefused`."""
        host = parse_url(url, name=name).host or ""
        if not self.egress.permits_host(host):
            raise EgressRefused(host=host)

    async def close(self) -> None:
        """Close all connections. A later `post` opens new ones."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=0,  # each sender's concurrency is the dispatcher's; a queue here would eat the deadline
            resolver=self.resolver,
            socket_factory=self.egress.open_socket,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            auto_decompress=False,  # 64 KiB may unpack to gigabytes
            headers={"User-Agent": f"Mailroom/{mailroom.__version__}", "Accept-Encoding": "identity"},
        )
        # It would GET once more where a kept connection breaks; there are gateways that send an SMS at each GET.
        self._session._retry_connection = False  # noqa: SLF001  # it has no public name
        return self._session


@dataclass(frozen=True, slots=True)
class Resolver(AbstractResolver):
    """Looks names up at a name server of our choice, but for those of this machine."""

    names: dns.asyncresolver.Resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if is_localhost(host):
            found = _LOOPBACK
        else:
            try:
                answers = await self.names.resolve_name(host, family, search=False)
            except (dns.exception.DNSException, ValueError) as fault:
                raise OSError(None, str(fault)) from fault
            found = tuple(answers.addresses_and_families())
        return [
            ResolveResult(hostname=host, host=address, port=port, family=each, proto=0, flags=socket.AI_NUMERICHOST)
            for address, each in found
            if family in {each, socket.AF_UNSPEC}
        ]

    async def close(self) -> None:
        """Nothing is kept open."""


def parse_url(text: str, *, name: str = "url") -> URL:
    """A URL that we are able to call: http or https, with a host and no password. Raises `InvalidValue`, which
    calls it by `name`.
    """
    try:
        url = URL(text)
        port = url.port
    except ValueError:
        raise InvalidValue(name=name, reason="is no URL") from None
    if url.scheme not in {"http", "https"}:
        raise InvalidValue(name=name, reason="must begin with http:// or https://")
    if not url.host or not port:
        raise InvalidValue(name=name, reason="names no host")
    if url.user is not None or url.password is not None:
        raise InvalidValue(name=name, reason="must not hold a user name or a password")
    return url


def octets(value: Mapping[str, Any]) -> bytes:
    """JSON, compact, in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def parsed(said: bytes) -> Any:
    """What JSON says; None where it is none."""
    try:
        return json.loads(said)
    except (ValueError, RecursionError):
        return None


def parsed_object(said: bytes) -> Mapping[str, Any]:
    """The JSON object, if it is one and of at most `READ_LIMIT` octets; else an empty one."""
    found = parsed(said) if len(said) <= READ_LIMIT else None
    return found if isinstance(found, dict) else {}


def fields(answer: Answer) -> Mapping[str, Any]:
    """Those of the JSON object that the answer is; none if it is none, or was cut off."""
    return parsed_object(answer.body) if answer.whole else {}


def text_of(said: Mapping[str, Any], name: str) -> str:
    """The text of that name; "" if there is none."""
    value = said.get(name)
    return value if isinstance(value, str) else ""


def unheard(answer: NoAnswer, *, idempotent: bool) -> Outcome:
    """What follows where a provider did not answer: once it may have heard us, a repeat may be a second message."""
    if answer.fault in _FOR_A_PERSON:
        return Refused(answer.fault.value, excerpt(answer.text))
    if answer.fault.before_sending or idempotent:
        return TryLater(answer.fault.value, excerpt(answer.text), Scope.SENDER)
    return Unknown(answer.fault.value, excerpt(answer.text))


def wordless(answer: Answer, *, now: int, hide: Iterable[Secret], idempotent: bool) -> TryLater | Unknown:
    """What follows from an answer that is not in the provider's own words: 3xx and 4xx are the no of somebody before
    it, which an administrator has to see to; after anything else it may have heard us.
    """
    code, text = str(answer.status), answer.words(hide)
    if 300 <= answer.status < 500 and answer.status != 429:
        return TryLater(code, text, Scope.SENDER, why=Why.ACCOUNT)
    if answer.status == 429 or idempotent:
        return TryLater(code, text, Scope.SENDER, answer.after(now))
    return Unknown(code, text)


def retry_after(value: str, now: int) -> int | None:
    """The wait that a `Retry-After` header asks for, in milliseconds, at most a day; None if it says nothing.

    Seconds or a date (RFC 9110 §10.2.3).
    """
    value = value.strip()
    if re.fullmatch(r"[0-9]+", value):
        seconds = int(value[:9])
        return min(seconds * SECOND, _LONGEST_WAIT)
    try:
        date = parsedate_to_datetime(value)
        asked = int((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None
    return min(max(asked * SECOND - now, 0), _LONGEST_WAIT)


async def _read(response: aiohttp.ClientResponse, until: float) -> tuple[bytes, bool]:
    """The body's beginning. The status has been heard: what goes wrong from here on only shortens the body."""
    read = bytearray()
    try:
        async with asyncio.timeout_at(until):
            while chunk := await response.content.read(READ_LIMIT - len(read)):
                read += chunk
            whole = response.content.at_eof()
    except (OSError, aiohttp.ClientError):  # TimeoutError is an OSError
        whole = False
    if whole:
        response.release()
    else:
        response.close()
    return bytes(read), whole


def _no_answer(target: URL, error: Exception) -> NoAnswer:
    fault, reason = _explain(error)
    where = f"{target.host}:{target.port}"
    if fault is Fault.EGRESS_REFUSED:
        _LOG.warning("egress refused", host=where, setting="egress.allow")
        return NoAnswer(fault, str(EgressRefused(host=where)))
    return NoAnswer(fault, f"{where}: {reason}")


# The first class that fits; `{}` takes the system's own words.
_EXPLANATIONS: Final[tuple[tuple[type[Exception], Fault, str], ...]] = (
    (aiohttp.ClientConnectorDNSError, Fault.DNS, "the name could not be resolved ({})"),
    (aiohttp.ClientConnectorCertificateError, Fault.TLS, "the certificate is not valid ({})"),
    (aiohttp.ClientSSLError, Fault.TLS, "no secure connection ({})"),
    (aiohttp.ClientConnectorError, Fault.CONNECT, "no connection ({})"),
    (TimeoutError, Fault.TIMEOUT, "no answer in time"),
    (aiohttp.InvalidURL, Fault.INVALID_URL, "the host is no name that can be looked up"),
    (aiohttp.ServerDisconnectedError, Fault.CUT_OFF, "the connection was closed before an answer"),
    (OSError, Fault.CUT_OFF, "the connection broke before an answer ({})"),
    (aiohttp.ClientError, Fault.GARBAGE, "what came back is not HTTP"),
    (ValueError, Fault.INVALID_URL, "the host is no name that can be looked up"),  # too long for a DNS query
)


def _explain(error: Exception) -> tuple[Fault, str]:
    cause = getattr(error, "certificate_error", getattr(error, "os_error", error))
    if isinstance(cause, Denied):
        return Fault.EGRESS_REFUSED, ""
    fault, sentence = next((fault, text) for kind, fault, text in _EXPLANATIONS if isinstance(error, kind))
    return fault, sentence.format(getattr(cause, "strerror", None) or cause)

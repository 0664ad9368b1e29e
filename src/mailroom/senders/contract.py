# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a sender kind promises, and the words in which it answers.

A sender kind takes a parcel to a provider and says at once what became of it. What the outside does wrong is an
`Outcome`, never an exception; success is what the provider said, not that a call returned.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable
from urllib.parse import quote

from mailroom.core.errors import InvalidValue
from mailroom.core.secrets import Secret

if TYPE_CHECKING:  # slow to load, and much that does not send reads these values
    import dns.asyncresolver

    from mailroom.senders.http import Http

_ID_MOST = 256  # characters
EXCERPT = 500  # characters of a provider's words that are kept
_LONGEST = 16 * 1024  # characters of a setting
_NO_TEXT = re.compile(r"[\x00\ud800-\udfff]")  # what no store keeps
# By this field a mail bears its parcel's code, so that what is returned of it says of whom it speaks.
CODE_FIELD = "X-Mailroom-Recipient"


class Scope(enum.StrEnum):
    """Whom a failure concerns."""

    RECIPIENT = "recipient"  # this parcel alone
    SENDER = "sender"  # whatever goes out through the same account


class Why(enum.StrEnum):
    """What is behind a failure, where something else follows from it."""

    OTHER = ""
    GONE = "gone"  # nobody is there: whoever gave the address has to give another
    OPTED_OUT = "opted_out"  # somebody is there, and wants nothing more from us
    CONTENT = "content"  # what was to be said
    QUOTA = "quota"  # the account's share of messages is used up for now
    ACCOUNT = "account"  # secret, permission, balance, network: an administrator has to see to it; the queue waits


def _storable(provider_id: str) -> str:
    """A provider's id as every store takes it: one that is longer than any that is known, or no text, by its digest."""
    if len(provider_id) <= _ID_MOST and provider_id.isprintable():
        return provider_id
    return hashlib.sha256(provider_id.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Sent:
    """The provider took the parcel. `provider_id` is the name by which its receipts will speak of it; with `told`
    nobody is to hear of it from us: who sent it did not ask, or the provider has taken that over.
    """

    provider_id: str = ""
    code: str = ""
    text: str = ""
    told: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "provider_id", _storable(self.provider_id))


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider said no, for good. With `Scope.SENDER` the account itself is dead: disable it."""

    code: str
    text: str
    scope: Scope = Scope.RECIPIENT
    why: Why = Why.OTHER


@dataclass(frozen=True, slots=True)
class TryLater:
    """Not now. `after` is the provider's own wish in milliseconds from now; None leaves it to the schedule.

    With `Scope.SENDER` the whole account is to hold back. What fails for `Why.ACCOUNT` or `Why.QUOTA` costs the
    recipient none of its attempts.
    """

    code: str
    text: str
    scope: Scope = Scope.RECIPIENT
    after: int | None = None
    why: Why = Why.OTHER


@dataclass(frozen=True, slots=True)
class Unknown:
    """The parcel may or may not have arrived, and a repeat might be a second one: a person decides."""

    code: str
    text: str


Outcome = Sent | Refused | TryLater | Unknown


@dataclass(frozen=True, slots=True)
class Parcel:
    """One recipient's share of a message, ready to go."""

    code: str  # the recipient's; stays the same over all attempts, so that providers can tell a repeat
    address: str
    content: Mapping[str, Any]  # JSON-like, in the shape that the kind documents
    attempt: int
    now: int
    options: Mapping[str, Any] = field(default_factory=dict)  # this recipient's own; likewise
    octets: Callable[[], bytes] | None = None  # those of the mail, if it is small


@dataclass(frozen=True, slots=True)
class Account:
    """A configured sender: what was entered into the fields of its kind's manifest."""

    code: str
    settings: Mapping[str, str]
    secrets: Mapping[str, Secret]

    def secret(self, name: str) -> Secret:
        """The secret of that name, or an empty one."""
        return self.secrets.get(name, Secret(""))


class Shape(enum.StrEnum):
    """What may be entered into a field."""

    TEXT = "text"
    URL = "url"
    CHOICE = "choice"
    SECRET = "secret"  # noqa: S105  # the name of a shape, not a password


@dataclass(frozen=True, slots=True)
class Words:
    """A text for people, in the languages of the console."""

    en: str
    zh: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One setting of a sender; the console's form, the command line and the documentation are made from it."""

    name: str
    shape: Shape
    title: Words
    help: Words
    required: bool = False
    choices: tuple[str, ...] = ()
    default: str = ""
    advanced: bool = False  # most accounts leave it as it is


@dataclass(frozen=True, slots=True)
class Pace:
    """At most `burst` messages at once, and then one every so many milliseconds."""

    every: int
    burst: int


def _any_pace(_settings: Mapping[str, str]) -> Pace | None:
    return None


def always(_settings: Mapping[str, str]) -> bool:
    """Whatever the settings are."""
    return True


def _never(_settings: Mapping[str, str]) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything about a sender kind that is not code."""

    kind: str  # also the name of its folder
    title: Words
    fields: tuple[Field, ...]
    retries: tuple[int, ...]  # milliseconds before attempt 2, 3 ...; none left: given up
    jitter: float  # share by which each wait may be shorter or longer
    timeout: int  # milliseconds, for one attempt in all
    concurrency: int  # parcels under way at once, for one account
    per_lane: int = 0  # about so many of them for one destination; 0: however many
    # What an account with these settings may send, of all nodes together: less than its provider allows.
    pace: Callable[[Mapping[str, str]], Pace | None] = _any_pace
    asks: tuple[int, ...] = ()  # milliseconds after sending at which `Asks.ask` is called, until there is a receipt
    reach: str = ""  # what its addresses are: email, url, sms, wechat, wecom, dingtalk, feishu
    recall: bool = False  # a message can be taken back
    update: bool = False  # a message can be changed afterwards
    receipt: bool = False  # the provider tells later what became of it
    # With these settings the provider recognises a repeat, or a repeat does less harm than a loss.
    idempotent: Callable[[Mapping[str, str]], bool] = _never

    def check(self, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> None:
        """Raise `InvalidValue` that names the first field which is unknown, missing or not among its choices."""
        fields = {field.name: field for field in self.fields}
        for name in (*settings, *secrets):
            if name not in fields:
                raise InvalidValue(name=name, reason="there is no such setting")
        for name in secrets:
            if fields[name].shape is not Shape.SECRET:
                raise InvalidValue(name=name, reason="is a setting, not a secret")
        for name, value in (*settings.items(), *((name, secret.reveal()) for name, secret in secrets.items())):
            if len(value) > _LONGEST or _NO_TEXT.search(value):
                raise InvalidValue(name=name, reason="is too long, or not text")
        for name, value in settings.items():
            field = fields[name]
            if field.shape is Shape.SECRET:
                raise InvalidValue(name=name, reason="is a secret, not a setting")
            if value and field.choices and value not in field.choices:
                raise InvalidValue(name=name, reason=f"must be one of {', '.join(field.choices)}")
        require((field.name for field in self.fields if field.required), settings, secrets)

    def value(self, settings: Mapping[str, str], name: str) -> str:
        """What the account says in the field, or else the field's default."""
        return settings.get(name) or next(field.default for field in self.fields if field.name == name)


def require(names: Iterable[str], settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> None:
    """Raise `InvalidValue` that names the first of these settings and secrets which is missing."""
    for name in names:
        if not settings.get(name) and name not in secrets:
            raise InvalidValue(name=name, reason="is missing")


class SenderKind(Protocol):
    """The code for one way out."""

    @property
    def manifest(self) -> Manifest:
        """What it is called, needs and can do."""

    def check(self, settings: Mapping[str, str], secrets: Mapping[str, Secret]) -> None:
        """Refuse settings that cannot work, before they are saved. No network.

        Raises `InvalidValue`, or `EgressRefused` for an address that the server may not reach.
        """

    async def send(self, account: Account, parcel: Parcel) -> Outcome:
        """Try once, within the manifest's timeout. Never raises for what the outside does."""

    async def close(self) -> None:
        """Let go of what is kept open between parcels."""


class News(enum.StrEnum):
    """What a receipt says."""

    ARRIVED = "arrived"
    READ = "read"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Reported:
    """A receipt: what became of a parcel that the provider took. `address` tells apart those that share an id."""

    provider_id: str
    news: News
    code: str = ""
    text: str = ""
    address: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "provider_id", _storable(self.provider_id))


@dataclass(frozen=True, slots=True)
class Scanned:
    """Somebody scanned the code that `Links.offer` made for `scene`."""

    scene: str
    address: str
    label: str = ""  # by which he knows himself again


@dataclass(frozen=True, slots=True)
class Left:
    """Whoever has this address is out of our reach from now on: he unfollowed us, or left the organisation."""

    address: str
    why: Why = Why.OPTED_OUT


Event = Reported | Scanned | Left


@dataclass(frozen=True, slots=True)
class Call:
    """A provider calls us, at `/callbacks/<code of the sender>[/<rest>]`."""

    method: str
    rest: str
    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in any case
    body: bytes
    now: int
    url: str  # as the caller wrote it
    peer: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the provider is answered, once the events are durable."""

    status: int = 200
    body: bytes = b""
    media_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Heard:
    """A call that is really the provider's. Of two with the same `id`, "" apart, only the first says anything new."""

    reply: Reply
    events: tuple[Event, ...] = ()
    id: str = ""


@dataclass(frozen=True, slots=True)
class Forged:
    """A call that may be anybody's: answered 403, and nothing follows from it."""

    text: str


def has_key(account: Account, call: Call) -> bool:
    """Whether the call's path ends in the account's secret `callback_key`: for providers that do not sign."""
    key = account.secret("callback_key").reveal()
    return bool(key) and hmac.compare_digest(key.encode("utf-8", "replace"), call.rest.encode("utf-8", "replace"))


@runtime_checkable
class Hears(Protocol):
    """A kind whose provider calls us."""

    def hear(self, account: Account, call: Call) -> Heard | Forged:
        """Look whether the call is the provider's, and what it says. No network; never raises."""


@dataclass(frozen=True, slots=True)
class Question:
    """A parcel whose receipt is awaited."""

    provider_id: str
    address: str
    sent_at: int


@runtime_checkable
class Asks(Protocol):
    """A kind whose provider has to be asked for receipts."""

    async def ask(self, account: Account, questions: Sequence[Question]) -> Sequence[Reported]:
        """What has become of them; nothing of those of which the provider knows nothing yet, or says nothing now."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Where somebody proves which account of the provider is his. With `scan` the URL is shown as a code, and a
    `Scanned` follows; else his browser goes there, and comes back.
    """

    url: str
    scan: bool = False


@dataclass(frozen=True, slots=True)
class Linked:
    """The account that he proved to be his."""

    address: str
    label: str = ""


@runtime_checkable
class Links(Protocol):
    """A kind by which people link their own account at the provider."""

    async def offer(self, account: Account, *, scene: str, back: str) -> Offer | Refused | TryLater:
        """Begin. `scene` is unguessable, of at most 32 letters and digits; `back` is the page of ours to come back to,
        with it as `state`.
        """

    async def linked(self, account: Account, *, said: Mapping[str, str], back: str) -> Linked | Refused | TryLater:
        """Whose browser came back to `back` with the parameters `said`."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, good for so many milliseconds from now."""

    text: Secret
    lasts: int


class Tokens(Protocol):
    """Access tokens, shared by all processes."""

    async def get(
        self,
        key: str,
        fetch: Callable[[], Awaitable[Token | Refused | TryLater]],
        *,
        stale: Secret | None = None,
    ) -> Secret | Refused | TryLater:
        """The token under `key` (kind, account at the provider, and fingerprint of the secret), which one caller at a
        time fetches before the old one ends. `stale`: the provider has just refused this one; it is fetched anew,
        unless somebody has done that meanwhile.
        """


@dataclass(frozen=True, slots=True)
class Kept:
    """An MTA-STS policy that is kept until a time in milliseconds."""

    policy_id: str
    policy: str  # JSON
    expires_at: int


class Policies(Protocol):
    """Where the MTA-STS policies of other domains are kept."""

    async def get(self, domain: str) -> Kept | None:
        """The one that is kept, unless it has expired."""

    async def keep(self, domain: str, kept: Kept) -> None:
        """Keep this one from now on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mails:
    """What sending mail needs beyond the network."""

    octets: Callable[[int], AsyncIterator[bytes]]  # of the mail with that number; raises `Refusal`
    resolver: dns.asyncresolver.Resolver  # nobody else's: answers are remembered in it
    http: Http  # asks the same resolver
    validates: bool  # the resolver is ours, so that its word on DNSSEC counts
    policies: Policies
    trust: ssl.SSLContext  # whom we believe certificates
    hostname: str  # what we call ourselves
    names: frozenset[str]  # all names by which an MX record may mean us
    port: int  # where mail servers listen
    sts_port: int = 443


@dataclass(frozen=True, slots=True)
class Tools:
    """What kinds are built from."""

    http: Http
    mails: Mails
    tokens: Tokens
    # For kinds that hear receipts on a connection of theirs: the account's code, and what was heard. Durable.
    report: Callable[[str, Sequence[Event]], Awaitable[None]]


_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def excerpt(text: str, *, hide: Iterable[Secret] = ()) -> str:
    """A provider's words as they may be kept and shown: one line, at most `EXCERPT` characters, secrets starred."""
    for secret in hide:
        for word in secret.reveal().split():
            text = re.sub("".join(map(_written, word)), "***", text)
    line = _CONTROLS.sub(" ", text).strip()
    return line if len(line) <= EXCERPT else line[: EXCERPT - 1] + "…"


def _written(character: str) -> str:
    """A pattern of the character as it is, and as an echo of a URL or of JSON writes it."""
    if character.isascii() and character.isalnum():
        return character
    return rf"\\?(?:{re.escape(character)}|(?i:{re.escape(quote(character, safe='', errors='replace'))}))"

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""DKIM signatures: made, taken apart and verified (RFC 6376, RFC 8301, RFC 8463), and the same mathematics for ARC.

Pure: who verifies asks the DNS for `key_name`, passes what was found, and feeds the body once to a `Bodies`, however
large it is and however many signatures there are. Whatever a mail holds ends as a `Result`, never as an error.
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from mailroom.mime import fields
from mailroom.mime.fields import Field

SIGNATURES_MOST: Final = 10  # of one mail; of more the rest is not looked at
_TAGS_MOST = 50
_NAMES_MOST = 500  # in h=
_FIELD_MOST = 32 * 1024  # octets of a signature field
_LINES_AT_ONCE = 32 * 1024
_KEY_MOST = 8 * 1024  # octets of a key record
RSA_LEAST, RSA_MOST = 1024, 4096  # bits: RFC 8301 §3.2

_TAG_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_NUMBER = re.compile(r"\d{1,12}", re.ASCII)
# RFC 6376 §3.5: a domain, and a selector of dot-separated labels; `_` occurs in both.
_DOMAIN = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,62})\.)*[a-z0-9_](?:[a-z0-9_-]{0,62})", re.ASCII | re.IGNORECASE)
_FWS = re.compile(r"[ \t\r\n]+")
_B_TAG = re.compile(rb"(?:\A|;)[ \t\r\n]*b[ \t\r\n]*=([^;]*)")


class Code(enum.StrEnum):
    """What came of a signature (RFC 8601 §2.7.1)."""

    NONE = "none"
    PASS = "pass"  # noqa: S105 # a verdict
    FAIL = "fail"
    NEUTRAL = "neutral"
    POLICY = "policy"  # right, but not as we want it
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


class Canon(enum.StrEnum):
    """How much a mail may change on its way (RFC 6376 §3.4)."""

    SIMPLE = "simple"
    RELAXED = "relaxed"


@dataclass(frozen=True, slots=True)
class Signature:
    """A DKIM-Signature field, or one of ARC's two, taken apart."""

    field: Field
    algorithm: str
    domain: str
    selector: str
    value: bytes  # b=
    header_canon: Canon = Canon.RELAXED
    body_canon: Canon = Canon.RELAXED
    body_hash: bytes = b""
    names: tuple[bytes, ...] = ()  # h=, in lower case
    length: int | None = None  # l=
    expires: int | None = None  # x=, seconds
    identity: str = ""  # i=

    @property
    def key_name(self) -> str:
        """Where the DNS has its key (RFC 6376 §3.6.2.1)."""
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def shortened(self) -> str:
        """The beginning of b=, enough to tell signatures apart (RFC 6008)."""
        return base64.b64encode(self.value).decode()[:8]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one signature field, and why. `signature` is missing where the field cannot be read."""

    code: Code
    reason: str = ""
    signature: Signature | None = None


class Bad(Exception):
    """What the outside wrote cannot be used; `code` and the text say how."""

    def __init__(self, reason: str, code: Code = Code.PERMERROR) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


# Taking apart.


def tags(text: str) -> dict[str, str]:
    """A tag list by names, with white space within values kept (RFC 6376 §3.2). Raises `Bad`."""
    found: dict[str, str] = {}
    pieces = text.split(";")
    if len(pieces) > _TAGS_MOST:
        raise Bad("too many tags")
    for piece in pieces:
        if not piece.strip():
            continue
        name, equals, value = piece.partition("=")
        name = name.strip(" \t\r\n")
        if not equals or not _TAG_NAME.fullmatch(name):
            raise Bad("no tag list")
        if name in found:
            raise Bad(f"tag {name} stands twice")
        found[name] = value.strip(" \t\r\n")
    return found


def read_tags(one: Field) -> dict[str, str]:
    """The tags of a signature field. Raises `Bad`."""
    if len(one.raw) > _FIELD_MOST:
        raise Bad("signature too long")
    try:
        return tags(one.value.decode("ascii"))
    except UnicodeDecodeError:
        raise Bad("signature is not ASCII") from None


def signatures(found: Sequence[Field]) -> list[Signature | Result]:
    """The first `SIGNATURES_MOST` DKIM-Signature fields; one that cannot be read is its result already."""
    return [_signature(one) for one in found if one.name == b"dkim-signature"][:SIGNATURES_MOST]


def _signature(one: Field) -> Signature | Result:
    try:
        given = read_tags(one)
        if given.get("v") != "1":
            raise Bad("unknown version")
        return parse(one, given, identity=given.get("i", ""))
    except Bad as bad:
        return Result(bad.code, bad.reason)


def parse(one: Field, given: Mapping[str, str], *, identity: str = "") -> Signature:
    """A signature over header and body; `given` are its tags. Raises `Bad`."""
    header_canon, body_canon = _canons(given.get("c", "simple/simple"))
    names = tuple(name.strip(" \t\r\n").lower().encode() for name in _needed(given, "h").split(":"))
    if len(names) > _NAMES_MOST:
        raise Bad("too many header names")
    if b"from" not in names:
        raise Bad("From is not signed")
    if "dns/txt" not in [way.strip() for way in given.get("q", "dns/txt").split(":")]:
        raise Bad("unknown query method")
    domain = named(given, "d")
    identity = identity or f"@{domain}"
    host = identity.rpartition("@")[2].lower()
    if "@" not in identity or not (host == domain or host.endswith(f".{domain}")):
        raise Bad("i= is not within d=")
    made, expires = _number(given, "t"), _number(given, "x")
    if made is not None and expires is not None and expires <= made:
        raise Bad("expires before it is made")
    return Signature(
        field=one,
        algorithm=algorithm(given),
        domain=domain,
        selector=named(given, "s"),
        value=unbase64(_needed(given, "b")),
        header_canon=header_canon,
        body_canon=body_canon,
        body_hash=unbase64(_needed(given, "bh")),
        names=names,
        length=_number(given, "l"),
        expires=expires,
        identity=identity,
    )


def algorithm(given: Mapping[str, str]) -> str:
    """The value of a=, one that we verify. Raises `Bad`."""
    name = _needed(given, "a")
    if name == "rsa-sha1":  # RFC 8301 §3.1
        raise Bad("SHA-1 proves nothing", Code.NEUTRAL)
    if name not in {"rsa-sha256", "ed25519-sha256"}:
        raise Bad("unknown algorithm")
    return name


def named(given: Mapping[str, str], name: str) -> str:
    """A domain or a selector, in lower case. Raises `Bad`."""
    value = _needed(given, name)
    if len(value) > 253 or not _DOMAIN.fullmatch(value):
        raise Bad(f"{name}= is no name")
    return value.lower()


def unbase64(text: str) -> bytes:
    """Base64 with white space in it. Raises `Bad`."""
    try:
        return base64.b64decode(_FWS.sub("", text), validate=True)
    except (binascii.Error, ValueError):
        raise Bad("no base64") from None


def _needed(given: Mapping[str, str], name: str) -> str:
    value = given.get(name, "")
    if not value:
        raise Bad(f"{name}= is missing")
    return value


def _number(given: Mapping[str, str], name: str) -> int | None:
    value = given.get(name)
    if value is None:
        return None
    if not _NUMBER.fullmatch(value):
        raise Bad(f"{name}= is no number")
    return int(value)


def _canons(text: str) -> tuple[Canon, Canon]:
    header, _, body = text.lower().partition("/")
    try:
        return Canon(header), Canon(body or "simple")
    except ValueError:
        raise Bad("unknown canonicalisation") from None


# Keys.


@dataclass(frozen=True, slots=True)
class Key:
    """A public key as the DNS has it (RFC 6376 §3.6.1)."""

    public: RSAPublicKey | Ed25519PublicKey
    testing: bool = False  # t=y: a signature that is wrong counts as none
    strict: bool = False  # t=s: i= must be d= exactly


def key(records: Iterable[bytes]) -> Key:
    """The key among the TXT records at `key_name`; of several the first that is one. Raises `Bad`."""
    bad = Bad("no key")
    for record in list(records)[:5]:
        try:
            return _key(record)
        except Bad as fault:
            bad = fault
    raise bad


def _key(record: bytes) -> Key:
    if len(record) > _KEY_MOST:
        raise Bad("key record too long")
    try:
        text = record.decode("ascii")
    except UnicodeDecodeError:
        raise Bad("key record is not ASCII") from None
    given = tags(text)
    if given.get("v", "DKIM1") != "DKIM1" or ("v" in given and not text.lstrip().startswith("v")):
        raise Bad("no DKIM key record")
    if "p" not in given:
        raise Bad("no DKIM key record")
    if not given["p"]:
        raise Bad("key revoked")
    # g= of RFC 4871 is no longer looked at (RFC 6376 appendix E).
    if "sha256" not in _words(given.get("h", "sha256")):
        raise Bad("key is not for SHA-256")
    if not {"*", "email"} & _words(given.get("s", "*")):
        raise Bad("key is not for mail")
    flags = _words(given.get("t", ""))
    return Key(_public(given.get("k", "rsa"), given["p"]), testing="y" in flags, strict="s" in flags)


def _words(text: str) -> set[str]:
    return {word.strip(" \t\r\n") for word in text.split(":")}


@lru_cache(maxsize=256)
def _public(kind: str, text: str) -> RSAPublicKey | Ed25519PublicKey:
    octets = unbase64(text)
    try:
        if kind == "ed25519":
            return Ed25519PublicKey.from_public_bytes(octets)
        public = load_der_public_key(octets) if kind == "rsa" else None
    except (ValueError, UnsupportedAlgorithm):
        raise Bad("key cannot be read") from None
    if not isinstance(public, RSAPublicKey):
        raise Bad("unknown kind of key")
    if not RSA_LEAST <= public.key_size <= RSA_MOST:
        raise Bad(f"key of {public.key_size} bits", Code.POLICY)
    return public


# Canonical forms.


def canonical(one: Field, canon: Canon) -> bytes:
    """A header field as it is hashed (RFC 6376 §3.4.1, §3.4.2), with its line end."""
    if canon is Canon.SIMPLE:
        return one.raw
    line = one.value.replace(b"\r\n", b"").replace(b"\n", b"")
    return one.name + b":" + _single_spaced(line).strip(b" ") + b"\r\n"


def _single_spaced(octets: bytes) -> bytes:
    """Each run of spaces and tabs as one space. Halving the runs takes few passes, and they are fast."""
    octets = octets.replace(b"\t", b" ")
    while b"  " in octets:
        octets = octets.replace(b"  ", b" ")
    return octets


class _Body:
    """One canonical form of a body, and a digest for each length of it that a signature names."""

    def __init__(self, canon: Canon) -> None:
        self._relaxed = canon is Canon.RELAXED
        self._carry = b""  # what may still turn out to end a line
        self._empty = 0  # line ends that may turn out to be the last
        self.size = 0
        self.digests: dict[int | None, hashlib._Hash] = {}

    def feed(self, chunk: bytes) -> None:
        octets = self._carry + chunk
        self._carry = b""
        if self._relaxed:
            octets = self._without_spaces(octets)
        self._take(octets)

    def _without_spaces(self, octets: bytes) -> bytes:
        ends = b"\r" if octets.endswith(b"\r") else b""
        whole = octets[: len(octets) - len(ends)]
        kept = whole.rstrip(b" \t")
        self._carry = (b" " if len(kept) < len(whole) else b"") + ends
        return _single_spaced(kept).replace(b" \r\n", b"\r\n")

    def _take(self, octets: bytes) -> None:
        if not octets:
            return
        tail = octets[len(octets.rstrip(b"\r\n")) :]
        # The longest end of it that is line ends only; the last may lack its LF.
        start = max(tail.rfind(b"\r\r"), tail.rfind(b"\n\n")) + 1
        ends = tail[start:].removeprefix(b"\n")
        content = octets[: len(octets) - len(ends)]
        if content:
            self._out_empty()
            self._out(content)
        if ends.endswith(b"\r"):
            self._carry = b"\r" + self._carry
            ends = ends[:-1]
        self._empty += len(ends) // 2

    def _out_empty(self) -> None:
        while self._empty:
            lines = min(self._empty, _LINES_AT_ONCE)
            self._out(b"\r\n" * lines)
            self._empty -= lines

    def _out(self, octets: bytes) -> None:
        for length, digest in self.digests.items():
            if length is None:
                digest.update(octets)
            elif self.size < length:
                digest.update(octets[: length - self.size])
        self.size += len(octets)

    def finish(self) -> None:
        """RFC 6376 §3.4.3: empty lines at the end do not count, but the last line ends with CRLF."""
        if b"\r" in self._carry:
            self._out_empty()
            self._out(self._carry)
        if self.size or not self._relaxed:
            self._out(b"\r\n")


class Bodies:
    """The digests of one body that signatures want; feed it the whole body in chunks, then `finish`."""

    def __init__(self, wanted: Iterable[Signature]) -> None:
        self._bodies: dict[Canon, _Body] = {}
        for one in wanted:
            self.want(one.body_canon, one.length)

    def want(self, canon: Canon, length: int | None = None) -> None:
        """Reckon this one too."""
        body = self._bodies.setdefault(canon, _Body(canon))
        body.digests.setdefault(length, hashlib.sha256())

    @property
    def wanted(self) -> bool:
        """Whether anybody asks for the body at all."""
        return bool(self._bodies)

    def feed(self, chunk: bytes) -> None:
        """Go on with the next octets."""
        for body in self._bodies.values():
            body.feed(chunk)

    def finish(self) -> None:
        """The body has ended."""
        for body in self._bodies.values():
            body.finish()

    def digest(self, canon: Canon, length: int | None = None) -> bytes:
        """The SHA-256 of the canonical body's beginning."""
        return self._bodies[canon].digests[length].digest()

    def size(self, canon: Canon) -> int:
        """Octets of the canonical body."""
        return self._bodies[canon].size


class Forms:
    """The canonical forms of a header's fields, each made once however many signatures cover it."""

    def __init__(self, found: Sequence[Field]) -> None:
        self._by_name: dict[bytes, list[Field]] = {}
        for one in found:
            self._by_name.setdefault(one.name, []).append(one)
        self._made: dict[tuple[int, Canon], bytes] = {}

    def canonical(self, one: Field, canon: Canon) -> bytes:
        """`canonical`, remembered."""
        made = self._made.get((one.start, canon))
        if made is None:
            made = self._made[one.start, canon] = canonical(one, canon)
        return made

    def signed(self, names: Iterable[bytes], canon: Canon) -> Iterable[bytes]:
        """The fields that h= names, of equal names the last first; a name that is used up names nothing (§5.4.2)."""
        left: dict[bytes, int] = {}
        for name in names:
            there = self._by_name.get(name, ())
            index = left.get(name, len(there)) - 1
            if index >= 0:
                yield self.canonical(there[index], canon)
                left[name] = index

    def digest(self, signature: Signature) -> bytes:
        """What a signature over header and body signs (§3.7)."""
        hashed = hashlib.sha256()
        for form in self.signed(signature.names, signature.header_canon):
            hashed.update(form)
        hashed.update(without_value(signature.field, signature.header_canon))
        return hashed.digest()


def without_value(one: Field, canon: Canon) -> bytes:
    """The canonical form of a signature field with an empty b= and without the last line end."""
    value = one.value
    found = _B_TAG.search(value)
    if found is not None:
        value = value[: found.start(1)] + value[found.end(1) :]
    head = one.raw[: len(one.raw) - len(one.value)]
    return canonical(Field(one.name, head + value, one.start), canon).removesuffix(b"\r\n")


# Verifying.


def verify(signature: Signature, key_: Key, *, forms: Forms, bodies: Bodies, now: int) -> Result:
    """What the signature says of the mail; `now` in seconds."""
    try:
        if key_.strict and signature.identity.rpartition("@")[2].lower() != signature.domain:
            raise Bad("key is for d= itself only")
        if signature.expires is not None and signature.expires < now:
            raise Bad("signature has expired", Code.FAIL)
        if bodies.digest(signature.body_canon, signature.length) != signature.body_hash:
            raise Bad("body has changed", Code.FAIL)
        if not proves(signature, key_, forms.digest(signature)):
            raise Bad("header has changed", Code.FAIL)
        size = bodies.size(signature.body_canon)
        if signature.length is not None and signature.length < size:
            # §8.2: whatever follows could have been put there by anybody.
            raise Bad(f"covers {signature.length} of {size} octets of the body", Code.POLICY)
    except Bad as bad:
        # §3.6.1: a signer that tests is treated as one that does not sign.
        return Result(Code.NEUTRAL if key_.testing else bad.code, bad.reason, signature)
    return Result(Code.PASS, "", signature)


def proves(signature: Signature, key_: Key, digest: bytes) -> bool:
    """Whether b= is the key's signature over the digest. Raises `Bad` for a key of another algorithm."""
    is_rsa = isinstance(key_.public, RSAPublicKey)
    if is_rsa is not (signature.algorithm == "rsa-sha256"):
        raise Bad("key is for another algorithm")
    try:
        if isinstance(key_.public, RSAPublicKey):
            key_.public.verify(signature.value, digest, PKCS1v15(), Prehashed(SHA256()))
        else:
            key_.public.verify(signature.value, digest)
    except InvalidSignature:
        return False
    return True


# Signing.

# RFC 6376 §5.4.1. The first are signed once more than they stand, so that none can be added (§8.15).
_OVERSIGNED = (
    b"from to cc subject date message-id reply-to in-reply-to references mime-version content-type "
    b"content-transfer-encoding"
).split()
_SIGNED = (
    b"sender resent-from resent-to resent-cc resent-date resent-message-id "
    b"list-id list-help list-unsubscribe list-unsubscribe-post list-subscribe list-post list-owner list-archive"
).split()


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and where its public half is published."""

    domain: str
    selector: str
    private: RSAPrivateKey | Ed25519PrivateKey = field(repr=False)

    @property
    def algorithm(self) -> str:
        """As a= names it."""
        return "rsa-sha256" if isinstance(self.private, RSAPrivateKey) else "ed25519-sha256"

    def sign(self, digest: bytes) -> bytes:
        """The signature over a digest."""
        if isinstance(self.private, RSAPrivateKey):
            return self.private.sign(digest, PKCS1v15(), Prehashed(SHA256()))
        return self.private.sign(digest)


def sign(header: bytes, body_hash: bytes, key_: SigningKey, *, now: int) -> bytes:
    """The DKIM-Signature field for a mail, relaxed in header and body: put it before the header. `body_hash` is the
    digest of the relaxed body, `now` is in seconds.
    """
    found = fields.split(header)
    there = [one.name for one in found]
    names = [*_OVERSIGNED, *(name for name in (*_OVERSIGNED, *_SIGNED) for _ in range(there.count(name)))]
    text = "; ".join(
        (
            f"v=1; a={key_.algorithm}; c=relaxed/relaxed; d={key_.domain}",
            f"s={key_.selector}; t={now}",
            f"h={_folded(':'.join(name.decode() for name in names), ':')}",
            f"bh={base64.b64encode(body_hash).decode()}",
            "b=",
        )
    )
    unsigned = f"DKIM-Signature: {text}".replace("; ", ";\r\n\t").encode()
    hashed = hashlib.sha256()
    for form in Forms(found).signed(names, Canon.RELAXED):
        hashed.update(form)
    hashed.update(canonical(Field(b"dkim-signature", unsigned, 0), Canon.RELAXED).removesuffix(b"\r\n"))
    value = base64.b64encode(key_.sign(hashed.digest())).decode()
    folded = "\r\n\t ".join(value[start : start + 72] for start in range(0, len(value), 72))
    return unsigned + folded.encode() + b"\r\n"


def _folded(text: str, between: str) -> str:
    lines = [""]
    for piece in text.split(between):
        if len(lines[-1]) + len(piece) > 70:
            lines.append("")
        lines[-1] += piece + between
    return "\r\n\t ".join(lines).removesuffix(between)


def body_digest(chunks: Iterable[bytes]) -> bytes:
    """The digest of a relaxed body, for `sign`."""
    bodies = Bodies(())
    bodies.want(Canon.RELAXED)
    for chunk in chunks:
        bodies.feed(chunk)
    bodies.finish()
    return bodies.digest(Canon.RELAXED)

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Every table, on one page. The same on SQLite and PostgreSQL: integers, text and bytes; times in milliseconds (UTC);
JSON as text. Migrations make it; a test holds the two together.

Identities are never given twice, even after the row has gone: hence AUTOINCREMENT on SQLite.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()

# SQLite numbers rows by itself only in a column whose type is INTEGER.
Number = BigInteger().with_variant(Integer(), "sqlite")


def _id() -> Column[int]:
    return Column("id", Number, primary_key=True, autoincrement=True)


def _of(name: str, table: str) -> Column[int]:
    return Column(name, Number, ForeignKey(f"{table}.id"), nullable=False)


def _maybe_of(name: str, table: str) -> Column[int]:
    return Column(name, Number, ForeignKey(f"{table}.id"), nullable=True)


def _number(name: str, default: int | None = None) -> Column[int]:
    return Column(name, Number, nullable=False, server_default=None if default is None else text(str(default)))


def _time(name: str) -> Column[int]:
    return Column(name, Number, nullable=True)


def _text(name: str, default: str | None = None) -> Column[str]:
    return Column(name, Text, nullable=False, server_default=default)


def _leased() -> list[Column[Any]]:
    """The columns of durable work: see `storage.claim`."""
    return [
        _number("attempts", 0),
        _time("next_at"),  # due from here on; while leased: when the lease ends; none: settled, or given up
        _text("lease", ""),
        _text("previous", ""),  # the lease that ran out before this one; "": the last holder gave it back
    ]


organisations = Table("organisations", metadata, _id(), _text("name"), _number("created_at"), sqlite_autoincrement=True)

domains = Table(
    "domains",
    metadata,
    _id(),
    _of("organisation_id", "organisations"),
    _text("name"),  # lower case, A-labels
    _text("state"),
    _number("created_at"),
    _text("finding", ""),  # of the last look at the MX records, see directory.proof; "": none yet
    _text("seen", "{}"),  # JSON: what that look saw, and by which resolver
    _text("records", "[]"),  # JSON: every record to set, and what the DNS had in its place
    _time("checked_at"),
    _time("check_at"),  # when it is to be looked at again; none: only when somebody asks
    _time("verifying_since"),
    _number("failures", 0),  # looks in a row that have not proven it
    _time("failing_since"),
    UniqueConstraint("organisation_id", "name"),
    Index("domains_check", "check_at"),
    # First to verify wins: a domain works for one organisation only.
    Index(
        "domains_working",
        "name",
        unique=True,
        sqlite_where=text("state IN ('active', 'abnormal')"),
        postgresql_where=text("state IN ('active', 'abnormal')"),
    ),
    sqlite_autoincrement=True,
)

members = Table(
    "members",
    metadata,
    _id(),
    _of("organisation_id", "organisations"),
    _text("userid"),
    _text("name"),
    _text("status"),
    _text("role"),
    _text("password", ""),  # argon2 hash; "" lets nobody in
    Column("scram", LargeBinary, nullable=True),  # the same password for SCRAM, sealed; none: PLAIN only
    _text("language", ""),
    _number("is_creator", 0),  # 1: who founded the organisation; nobody keeps him out
    _number("created_at"),
    # A member who has gone keeps his row, for what he did; his userid is free again.
    Index(
        "members_userid",
        "organisation_id",
        "userid",
        unique=True,
        sqlite_where=text("status <> 'removed'"),
        postgresql_where=text("status <> 'removed'"),
    ),
    Index("members_by_userid", "userid"),
    Index(
        "members_administrators",
        "id",
        sqlite_where=text("role = 'administrator'"),
        postgresql_where=text("role = 'administrator'"),
    ),
    sqlite_autoincrement=True,
)

# Who administers a single domain; an administrator of the whole organisation needs no row.
domain_administrators = Table(
    "domain_administrators",
    metadata,
    _of("member_id", "members"),
    _of("domain_id", "domains"),
    PrimaryKeyConstraint("member_id", "domain_id"),
    Index("domain_administrators_domain", "domain_id"),
)

departments = Table(
    "departments",
    metadata,
    _id(),
    _of("organisation_id", "organisations"),
    _maybe_of("parent_id", "departments"),
    _text("name"),
    _number("is_disabled", 0),  # 1: so are its members' own mailboxes, and those of the departments below it
    _number("created_at"),
    UniqueConstraint("parent_id", "name"),
    Index(
        "departments_top",
        "organisation_id",
        "name",
        unique=True,
        sqlite_where=text("parent_id IS NULL"),
        postgresql_where=text("parent_id IS NULL"),
    ),
    sqlite_autoincrement=True,
)

department_members = Table(
    "department_members",
    metadata,
    _of("department_id", "departments"),
    _of("member_id", "members"),
    PrimaryKeyConstraint("department_id", "member_id"),
    Index("department_members_member", "member_id"),
)

tags = Table(
    "tags",
    metadata,
    _id(),
    _of("organisation_id", "organisations"),
    _text("name"),
    _number("created_at"),
    UniqueConstraint("organisation_id", "name"),
    sqlite_autoincrement=True,
)

tag_members = Table(
    "tag_members",
    metadata,
    _of("tag_id", "tags"),
    _of("member_id", "members"),
    PrimaryKeyConstraint("tag_id", "member_id"),
    Index("tag_members_member", "member_id"),
)

# What programs show to the REST interfaces; the key itself is shown once.
api_keys = Table(
    "api_keys",
    metadata,
    _id(),
    _of("organisation_id", "organisations"),
    _text("name"),
    Column("digest", Text, unique=True, nullable=False),  # SHA-256 of the key
    _text("scope"),  # see directory.api_keys
    _number("created_at"),
    _time("last_used_at"),
    _time("revoked_at"),
    sqlite_autoincrement=True,
)

# Short-lived tokens that a key was exchanged for (`access_token` of the Exmail-shaped API).
api_tokens = Table(
    "api_tokens",
    metadata,
    Column("digest", Text, primary_key=True),
    _of("api_key_id", "api_keys"),
    _number("expires_at"),
    Index("api_tokens_expiry", "expires_at"),
)

# Answers to requests that bore an Idempotency-Key, so that one that is sent again changes nothing twice.
idempotency = Table(
    "idempotency",
    metadata,
    _text("actor"),  # the id of a member, or a keyed digest of what a program shows
    _text("key"),
    _text("request"),  # keyed digest of method, path and body
    Column("answer", LargeBinary, nullable=True),  # sealed: some of it is shown once
    _number("created_at"),
    PrimaryKeyConstraint("actor", "key"),
    Index("idempotency_created", "created_at"),
)

# Who did what, when. Every row holds the hash of the one before it: none can be changed or taken out unseen.
audit = Table(
    "audit",
    metadata,
    _id(),
    _number("at"),
    _text("actor"),  # see directory.model.Actor
    _text("action"),  # such as mailbox.rename
    _text("subject"),  # what it was done to: an address, a userid, a domain ...
    _time("mailbox_id"),  # whose owner may see it; no key, since the row outlives the mailbox
    _text("before", "null"),  # JSON
    _text("after", "null"),  # JSON
    _text("hash"),  # SHA-256, hex, of the previous row's hash and this row
    Index("audit_mailbox", "mailbox_id", "id"),
    Index("audit_action", "action", "id"),
    sqlite_autoincrement=True,
)

# The end of that chain, which one writer at a time holds.
audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=False),
    _text("hash"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token", Text, primary_key=True),  # SHA-256 of what the browser holds
    _of("member_id", "members"),
    _number("created_at"),
    _number("expires_at"),
    Index("sessions_member", "member_id"),
    Index("sessions_expiry", "expires_at"),
)

# The conditions of partial indexes: a query must ask in the same words, or the index is not used.
PUBLIC = text("kind = 'public'")
SHUT = text("status = 'department_disabled'")

mailboxes = Table(
    "mailboxes",
    metadata,
    _id(),
    _of("organisation_id", "organisations"),
    _text("kind"),  # personal | public
    _text("name"),
    _maybe_of("owner_id", "members"),
    _text("status"),
    _number("quota", 0),  # octets; 0 = no limit
    _number("used", 0),
    _number("next_uidvalidity", 1),
    _number("created_at"),
    # A member has one personal mailbox and no more.
    UniqueConstraint("owner_id"),
    Index("mailboxes_public", "id", sqlite_where=PUBLIC, postgresql_where=PUBLIC),
    Index("mailboxes_shut", "id", sqlite_where=SHUT, postgresql_where=SHUT),
    sqlite_autoincrement=True,
)

# The one name-space: whatever answers to an address has its row here.
addresses = Table(
    "addresses",
    metadata,
    Column("address", Text, primary_key=True),  # canonical: lower case, A-labels, no +tag
    _of("domain_id", "domains"),
    _maybe_of("mailbox_id", "mailboxes"),
    _maybe_of("group_id", "groups"),
    _text("role"),  # primary | alias | former (the mailbox's name before it was renamed)
    _number("created_at"),
    CheckConstraint("(mailbox_id IS NULL) <> (group_id IS NULL)", name="addresses_one_holder"),
    Index("addresses_mailbox", "mailbox_id"),
    Index("addresses_group", "group_id"),
    Index("addresses_domain", "domain_id"),
)

# A mailing group: a mail to its address goes to all of its members.
groups = Table(
    "groups",
    metadata,
    _id(),
    _of("organisation_id", "organisations"),
    _text("name"),
    _text("allow"),  # who may send to it: anyone | organisation | members | custom
    _number("created_at"),
    UniqueConstraint("organisation_id", "name"),
    sqlite_autoincrement=True,
)

group_members = Table(
    "group_members",
    metadata,
    _of("group_id", "groups"),
    _text("address"),  # canonical; of ours (mailbox, alias, group) or of anyone; or department:<id>, tag:<id>
    PrimaryKeyConstraint("group_id", "address"),
    Index("group_members_address", "address"),
)

# Who may send to a group whose `allow` is custom.
group_senders = Table(
    "group_senders",
    metadata,
    _of("group_id", "groups"),
    _text("address"),
    PrimaryKeyConstraint("group_id", "address"),
    Index("group_senders_address", "address"),
)

# Passwords for mail programs, each for one mailbox: made by us, shown once, revocable one by one.
client_passwords = Table(
    "client_passwords",
    metadata,
    _id(),
    _of("mailbox_id", "mailboxes"),
    _text("remark"),  # what it is for: "Office PC"
    _text("services"),  # of imap, pop3, smtp, sieve; joined by spaces
    _text("scram"),  # see directory.scram; the password itself is long and random
    _number("created_at"),
    _time("last_used_at"),
    _text("last_used_from", ""),
    Index("client_passwords_mailbox", "mailbox_id"),
    sqlite_autoincrement=True,
)

# Tries to sign in that failed, by user name and by client address, for all nodes.
brakes = Table(
    "brakes",
    metadata,
    Column("key", Text, primary_key=True),  # name:<user name> | address:<network>
    _number("tries"),
    _number("last_at"),
    _number("again_at"),
    Index("brakes_last", "last_at"),
)

# What an administrator has decided for the whole installation; each name's default and meaning: directory.policies.
policies = Table(
    "policies",
    metadata,
    Column("name", Text, primary_key=True),
    _text("value"),
)

# Keys that sign what a domain sends (RFC 6376).
dkim_keys = Table(
    "dkim_keys",
    metadata,
    _id(),
    _of("domain_id", "domains"),
    _text("selector"),
    _text("algorithm"),  # rsa-sha256 | ed25519-sha256
    Column("private_key", LargeBinary, nullable=False),  # PKCS8 PEM, sealed
    _text("public_key"),  # the value of p=
    _text("state"),  # new: to be published; active: signs; retired: published a while longer
    _number("changed_at"),  # when it came into its state
    UniqueConstraint("domain_id", "selector"),
    sqlite_autoincrement=True,
)

# Who uses a public mailbox.
access = Table(
    "access",
    metadata,
    _of("mailbox_id", "mailboxes"),
    _of("member_id", "members"),
    PrimaryKeyConstraint("mailbox_id", "member_id"),
    Index("access_member", "member_id"),
)

access_departments = Table(
    "access_departments",
    metadata,
    _of("mailbox_id", "mailboxes"),
    _of("department_id", "departments"),
    PrimaryKeyConstraint("mailbox_id", "department_id"),
    Index("access_departments_department", "department_id"),
)

access_tags = Table(
    "access_tags",
    metadata,
    _of("mailbox_id", "mailboxes"),
    _of("tag_id", "tags"),
    PrimaryKeyConstraint("mailbox_id", "tag_id"),
    Index("access_tags_tag", "tag_id"),
)

# The recycle bin: whole mailboxes that wait to be purged, and what has become of them. No keys to others: a row
# outlives its mailbox, for the log.
recycled = Table(
    "recycled",
    metadata,
    _id(),
    _of("organisation_id", "organisations"),
    _number("mailbox_id"),
    _text("address"),  # its primary address when it came in
    _text("name"),
    _text("source"),  # deleted_member | unbound | recycled_public
    _text("userid", ""),  # whose it was
    _number("entered_at"),
    _number("purge_at"),
    _number("warned", 0),  # days before the purge that the administrators were last told of; 0: not yet
    _text("state"),  # waiting | restored | purging | expired
    _time("ended_at"),
    Index(
        "recycled_waiting",
        "mailbox_id",
        unique=True,
        sqlite_where=text("state IN ('waiting', 'purging')"),
        postgresql_where=text("state IN ('waiting', 'purging')"),
    ),
    Index("recycled_purge", "state", "purge_at"),
    sqlite_autoincrement=True,
)

# Ownership that has changed hands.
reassignments = Table(
    "reassignments",
    metadata,
    _id(),
    _number("mailbox_id"),
    _text("address"),
    _text("from_userid"),  # "": it was public, or lay in the bin
    _text("to_userid"),  # "": it became public
    _time("displaced_id"),  # the mailbox that had to go to the bin
    _number("at"),
    Index("reassignments_mailbox", "mailbox_id"),
    sqlite_autoincrement=True,
)

# Where the copies of one mailbox lie in another, so that a second backup copies only what is new.
backups = Table(
    "backups",
    metadata,
    _number("source_id"),
    _number("target_id"),
    _number("root_id"),  # the folder in the target
    _number("created_at"),
    PrimaryKeyConstraint("source_id", "target_id"),
    Index("backups_target", "target_id"),
)

# How far each folder has been copied.
backup_marks = Table(
    "backup_marks",
    metadata,
    _number("source_folder_id"),
    _number("target_folder_id"),
    _number("uid"),  # the last that was copied
    PrimaryKeyConstraint("source_folder_id", "target_folder_id"),
    Index("backup_marks_target", "target_folder_id"),
)

# The names of folders that a mail program shows, by the mailbox that was logged in to (RFC 9051 §6.3.7). A name may
# be there without its folder.
subscriptions = Table(
    "subscriptions",
    metadata,
    _of("mailbox_id", "mailboxes"),
    _text("name"),
    PrimaryKeyConstraint("mailbox_id", "name"),
)

folders = Table(
    "folders",
    metadata,
    _id(),
    _of("mailbox_id", "mailboxes"),
    _text("name"),  # the whole path, parts joined by "/"
    _text("role", ""),  # inbox | drafts | sent | junk | trash | archive | ""
    _number("uidvalidity"),
    _number("uidnext", 1),
    _number("modseq", 1),
    _number("mails", 0),
    _number("unseen", 0),
    _number("size", 0),  # octets of all mails
    _number("created_at"),
    UniqueConstraint("mailbox_id", "name"),
    Index(
        "folders_role",
        "mailbox_id",
        "role",
        unique=True,
        sqlite_where=text("role <> ''"),
        postgresql_where=text("role <> ''"),
    ),
    sqlite_autoincrement=True,
)

# The keywords that have been used in a folder. One is the same in any case of letters.
keywords = Table(
    "keywords",
    metadata,
    _of("folder_id", "folders"),
    _text("keyword"),  # lower case, as in mails.keywords
    _text("spelt"),  # as it was first written
    PrimaryKeyConstraint("folder_id", "keyword"),
)

# What a mail says: its octets never change, and every copy of the mail shares them.
contents = Table(
    "contents",
    metadata,
    _id(),
    _number("refs", 0),  # mails that show it
    _number("size"),
    _text("blob", ""),  # where a large body lies; "" for a small one
    _text("message_id"),
    _text("subject"),
    _text("sender"),  # the first From, decoded
    _text("senders", ""),  # all of From, when there are several
    _text("preview"),  # the first 512 code points of the text
    _text("attachments"),  # file names, JSON
    _text("recipients"),  # To, decoded
    _text("cc", ""),
    _text("bcc", ""),
    _time("sent_at"),  # Date
    Column("sent_day", Number, nullable=True),  # the day that Date names in its own zone, from 1970-01-01
    _text("refers_to", ""),  # References, or without any In-Reply-To; joined by spaces
    Column("envelope", LargeBinary, nullable=False),  # as IMAP's ENVELOPE
    Column("bodystructure", LargeBinary, nullable=False),  # as IMAP's BODYSTRUCTURE
    _text("parts"),  # offsets of every part, JSON
    _number("header_size", 0),  # octets of the header block, with the empty line that ends it
    _number("created_at"),
    sqlite_autoincrement=True,
)

# Small bodies lie beside their row (compressed) and share its commit; large ones are blobs, and only their header block
# lies here.
bodies = Table(
    "bodies",
    metadata,
    Column("content_id", Number, ForeignKey("contents.id"), primary_key=True, autoincrement=False),
    Column("octets", LargeBinary, nullable=False),
)

# Likewise.
UNREFERRED = text("refs = 0")

blobs = Table(
    "blobs",
    metadata,
    Column("name", Text, primary_key=True),  # SHA-256, hex
    _number("refs", 0),
    _number("pinned_at"),  # last time that somebody set out to keep it, or to delete it
    _number("doomed", 0),  # 1: being deleted; must not be referred to any more
    Index("blobs_unreferred", "pinned_at", sqlite_where=UNREFERRED, postgresql_where=UNREFERRED),
)

# Likewise. What SEARCH UNSEEN, and EXPUNGE, ask of a large folder.
UNSEEN = text("(flags & 1) = 0")
DELETED = text("(flags & 8) <> 0")

mails = Table(
    "mails",
    metadata,
    _of("folder_id", "folders"),
    _number("uid"),
    _of("content_id", "contents"),
    _number("modseq"),
    _number("flags", 0),  # bits, see mailboxes.model.Flag
    _text("keywords", ""),  # "", or lower case with a space before, between and after: " $forwarded work "
    _number("size"),
    _number("internal_date"),
    _text("envelope_from", ""),
    _maybe_of("sent_by", "members"),  # who sent it, in the Sent folder of a public mailbox
    PrimaryKeyConstraint("folder_id", "uid"),
    Index("mails_modseq", "folder_id", "modseq"),
    Index("mails_content", "content_id"),
    # With the flags: to see that an entry is of an unseen mail SQLite would else look at the mail.
    Index("mails_unseen", "folder_id", "uid", "flags", sqlite_where=UNSEEN, postgresql_where=UNSEEN),
    Index("mails_deleted", "folder_id", "uid", sqlite_where=DELETED, postgresql_where=DELETED),
    sqlite_with_rowid=False,
)

# What has gone from a folder, so that clients can be told (RFC 7162 §3.2.10).
expunged = Table(
    "expunged",
    metadata,
    _of("folder_id", "folders"),
    _number("uid"),
    _number("modseq"),
    PrimaryKeyConstraint("folder_id", "uid"),
    Index("expunged_modseq", "folder_id", "modseq"),
    sqlite_with_rowid=False,
)

# What happened, written in the transaction in which it happened.
facts = Table(
    "facts",
    metadata,
    _id(),
    _text("kind"),
    _text("payload"),  # JSON
    _number("created_at"),
    *_leased(),
    Index("facts_due", "next_at"),
    sqlite_autoincrement=True,
)

# Which reaction to which fact is done. Written in the reaction's own transaction, hence exactly once.
reactions = Table(
    "reactions",
    metadata,
    _of("fact_id", "facts"),
    _text("name"),
    PrimaryKeyConstraint("fact_id", "name"),
    sqlite_with_rowid=False,
)

# Long work with progress: see `events.jobs`.
jobs = Table(
    "jobs",
    metadata,
    _id(),
    _text("kind"),
    _text("task"),  # JSON: what to do
    _text("actor"),
    _text("subject"),  # what it is about, for lists
    _text("state"),  # queued | running | done | failed | cancelled
    _number("finished", 0),  # of `total` steps, mails or whatever the kind counts
    _number("total", 0),
    _text("notes", "{}"),  # JSON: where the work stands
    _text("result", "null"),  # JSON
    _text("reason", ""),  # why it failed: a stable code, then a sentence
    _number("created_at"),
    _time("ended_at"),
    *_leased(),
    Index("jobs_due", "next_at"),
    Index("jobs_created", "created_at"),
    sqlite_autoincrement=True,
)

# A configured way out.
senders = Table(
    "senders",
    metadata,
    _id(),
    Column("code", Text, unique=True, nullable=False),
    _text("name"),
    _text("kind"),
    _text("settings"),  # JSON
    Column("secrets", LargeBinary, nullable=False),  # JSON, sealed
    _text("state"),  # active | disabled
    _text("reason", ""),  # of its last failure, until it works
    _number("failures", 0),  # in a row
    _time("failing_since"),
    _time("paused_until"),
    _time("told_at"),  # when the administrators were last told of that
    _number("faulty", 0),  # 1: it fails until an administrator has seen to it, who has been told
    _number("paced_at", 0),  # the theoretical arrival time of its pace: see messaging.pace
    _number("created_at"),
    sqlite_autoincrement=True,
)

# Mails to others, which are most of what goes out, are on nobody's behalf.
_OF_MAILBOX = text("mailbox_id IS NOT NULL")
_OF_MEMBER = text("member_id IS NOT NULL")
messages = Table(
    "messages",
    metadata,
    _id(),
    Column("msgid", Text, unique=True, nullable=False),
    _text("origin"),  # see messaging.model.Origin
    _text("trace", ""),  # the mail's Message-ID that it tells of
    _text("content"),  # JSON
    _time("mailbox_id"),  # on whose behalf, and to whom: they may have gone since
    _time("member_id"),
    _number("created_at"),
    Index("messages_created", "created_at"),
    Index("messages_mailbox", "mailbox_id", "id", sqlite_where=_OF_MAILBOX, postgresql_where=_OF_MAILBOX),
    Index("messages_member", "member_id", "id", sqlite_where=_OF_MEMBER, postgresql_where=_OF_MEMBER),
    sqlite_autoincrement=True,
)

# Most are not.
_ASKED = text("ask_at IS NOT NULL")
# What is looked at in lists; among mails it would not be found.
_LISTED = text("origin <> 'mail'")
recipients = Table(
    "recipients",
    metadata,
    _id(),
    _of("message_id", "messages"),
    _of("sender_id", "senders"),
    _text("origin"),  # its message's
    Column("code", Text, unique=True, nullable=False),  # given to the provider as the idempotency key
    _text("address"),
    _text("options", "{}"),  # JSON, for the sender kind
    _text("lane", ""),  # the destination, where one that is slow must not hold up the others
    _text("state"),  # see messaging.states
    _text("provider_id", ""),
    _text("reason", ""),
    _number("told", 0),  # 1: who sent the mail knows how it ended here
    _time("sent_at"),
    _time("ask_at"),  # when its provider is asked for the receipt
    _number("asked", 0),  # how often it has been
    _number("created_at"),
    _number("updated_at"),
    *_leased(),
    Index("recipients_due", "sender_id", "next_at", "lane"),
    Index("recipients_message", "message_id", "next_at", "told"),
    Index("recipients_provider", "sender_id", "provider_id"),
    Index("recipients_listed", "id", sqlite_where=_LISTED, postgresql_where=_LISTED),
    Index("recipients_listed_created", "created_at", sqlite_where=_LISTED, postgresql_where=_LISTED),
    Index("recipients_ask", "ask_at", sqlite_where=_ASKED, postgresql_where=_ASKED),
    sqlite_autoincrement=True,
)

attempts = Table(
    "attempts",
    metadata,
    _id(),
    _of("recipient_id", "recipients"),
    _number("number"),
    _number("began_at"),
    _number("took"),  # milliseconds
    _text("outcome"),  # sent | refused | try_later | unknown
    _text("code", ""),  # the provider's own
    _text("detail", ""),
    Index("attempts_recipient", "recipient_id", "number"),
    sqlite_autoincrement=True,
)

receipts = Table(
    "receipts",
    metadata,
    _id(),
    _of("recipient_id", "recipients"),
    _text("says"),  # arrived | read | lost
    _text("code", ""),
    _text("detail", ""),
    _number("received_at"),
    Index("receipts_recipient", "recipient_id"),
    sqlite_autoincrement=True,
)

# Receipts that came before the answer to the request that they are about; kept for a day.
early_receipts = Table(
    "early_receipts",
    metadata,
    _id(),
    _of("sender_id", "senders"),
    _text("provider_id"),
    _text("address", ""),
    _text("says"),
    _text("code", ""),
    _text("detail", ""),
    _number("received_at"),
    Index("early_receipts_provider", "sender_id", "provider_id"),
    Index("early_receipts_received", "received_at"),
    sqlite_autoincrement=True,
)

# Calls of providers that have been heard, for those that come twice; kept for a day.
calls_heard = Table(
    "calls_heard",
    metadata,
    _of("sender_id", "senders"),
    _text("call"),  # SHA-256 of its id
    _number("heard_at"),
    PrimaryKeyConstraint("sender_id", "call"),
    Index("calls_heard_at", "heard_at"),
    sqlite_with_rowid=False,
)

# Access tokens of providers, shared by all processes; one of them at a time fetches.
tokens = Table(
    "tokens",
    metadata,
    Column("key", Text, primary_key=True),
    Column("token", LargeBinary, nullable=True),  # sealed
    _number("fetched_at", 0),
    _number("expires_at", 0),
    _number("fetching_until", 0),
)

# What administrators have set of new-mail notices; each name's default and meaning: notify.settings.
notify_settings = Table("notify_settings", metadata, Column("name", Text, primary_key=True), _text("value"))

# Where a member can be told of new mail: his mobile number (kind sms), and his accounts with the chat providers.
links = Table(
    "links",
    metadata,
    _of("member_id", "members"),
    _text("kind"),  # what sender kinds call their reach
    _text("address"),
    _text("label", ""),  # by which he knows it
    _text("state"),  # valid | broken
    _text("reason", ""),  # why it is broken
    _number("linked_at"),
    _number("free_at", 0),  # before then the next notice waits, and takes up what comes meanwhile
    PrimaryKeyConstraint("member_id", "kind"),
    Index("links_address", "kind", "address"),
)

# Proofs under way: a code that was sent to a number, or a provider's page that a member was sent to. Single use.
link_tickets = Table(
    "link_tickets",
    metadata,
    Column("scene", Text, primary_key=True),  # SHA-256 of what the provider, or the member, is to say
    _of("member_id", "members"),
    _text("kind"),
    _text("address", ""),  # the number to prove, or the account that was proven
    _text("label", ""),
    _text("state"),  # open | found: the member has only to say that it is his | used
    _number("tries", 0),
    _number("created_at"),
    _number("expires_at"),
    Index("link_tickets_member", "member_id", "kind", "created_at"),
    Index("link_tickets_address", "address", "created_at"),
)

# How a member wants to hear of the mails of a mailbox, his own or a public one.
preferences = Table(
    "preferences",
    metadata,
    _of("member_id", "members"),
    Column("mailbox_id", Number, ForeignKey("mailboxes.id", ondelete="CASCADE"), nullable=False),
    _text("only_from", "[]"),  # JSON: patterns of senders; none: all
    _text("quiet", ""),  # "22:00-07:00", in the server's time; "": never
    PrimaryKeyConstraint("member_id", "mailbox_id"),
)

# By which of his links, and the notice that the next mail may still join.
switches = Table(
    "switches",
    metadata,
    _of("member_id", "members"),
    Column("mailbox_id", Number, ForeignKey("mailboxes.id", ondelete="CASCADE"), nullable=False),
    _text("kind"),
    _number("is_on"),
    Column("recipient_id", Number, nullable=True),
    PrimaryKeyConstraint("member_id", "mailbox_id", "kind"),
    Index("switches_mailbox", "mailbox_id"),
)

# The mails that a notice tells of.
notice_mails = Table(
    "notice_mails",
    metadata,
    Column("message_id", Number, ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),
    _number("folder_id"),
    _number("uid"),
    PrimaryKeyConstraint("message_id", "folder_id", "uid"),
    sqlite_with_rowid=False,
)

# How many SMS a member has been told by on a day (days since 1970, in the server's time).
sms_counts = Table(
    "sms_counts",
    metadata,
    _of("member_id", "members"),
    _number("day"),
    _number("count"),
    PrimaryKeyConstraint("member_id", "day"),
    sqlite_with_rowid=False,
)

# Mails on their way out: what the message with the same id carries. The content counts it among its `refs` until all of
# the message's recipients have ended.
outgoing = Table(
    "outgoing",
    metadata,
    Column("message_id", Number, ForeignKey("messages.id"), primary_key=True, autoincrement=False),
    _of("content_id", "contents"),
    _text("envelope_from"),
    _text("ret", ""),  # RET and ENVID of RFC 3461
    _text("envid", ""),
    _maybe_of("sent_by", "members"),
    _number("delay_told", 0),  # 1: the sender knows that it takes long
    _number("created_at"),
    Index("outgoing_created", "created_at"),
    Index("outgoing_content", "content_id"),
)

# How many recipients were written to, or bounces sent back to one, for the limits an hour and a day.
sent_counts = Table(
    "sent_counts",
    metadata,
    _text("who"),  # member:<id> | mailbox:<id> | return:<sender that bounces go back to>
    _number("hour"),  # since 1970
    _number("recipients"),
    PrimaryKeyConstraint("who", "hour"),
)

# Sieve scripts by name (RFC 5804); at most one of a mailbox is active.
scripts = Table(
    "scripts",
    metadata,
    _of("mailbox_id", "mailboxes"),
    _text("name"),
    _text("text"),
    _number("active", 0),
    _number("changed_at"),
    PrimaryKeyConstraint("mailbox_id", "name"),
    Index(
        "scripts_active",
        "mailbox_id",
        unique=True,
        sqlite_where=text("active = 1"),
        postgresql_where=text("active = 1"),
    ),
)

# A mailbox's forwarding and its automatic reply, each one switch and its words.
mailbox_rules = Table(
    "mailbox_rules",
    metadata,
    Column("mailbox_id", Number, ForeignKey("mailboxes.id"), primary_key=True, autoincrement=False),
    _text("forward_to", ""),  # addresses joined by spaces; "": nowhere
    _number("forward_keeps", 1),  # 1: a copy stays
    _number("reply_on", 0),
    _text("reply_subject", ""),
    _text("reply_text", ""),
    _time("reply_from"),
    _time("reply_until"),
)

# To whom a mailbox has replied by itself, so that nobody is told twice in a week (RFC 3834 §2, RFC 5230 §4.2).
replies_sent = Table(
    "replies_sent",
    metadata,
    _of("mailbox_id", "mailboxes"),
    _text("handle"),
    _text("address"),
    _number("sent_at"),
    PrimaryKeyConstraint("mailbox_id", "handle", "address"),
    Index("replies_sent_at", "sent_at"),
)

# Senders that were asked to come again (RFC 6647).
greylist = Table(
    "greylist",
    metadata,
    Column("key", Text, primary_key=True),  # digest of client network, sender and recipient
    _number("first_at"),
    _number("last_at"),
    _number("passed", 0),
    Index("greylist_last", "last_at"),
)

# MTA-STS policies of others, for as long as they asked us to remember them (RFC 8461).
sts_policies = Table(
    "sts_policies",
    metadata,
    Column("domain", Text, primary_key=True),
    _text("policy_id"),
    _text("policy"),  # JSON
    _number("expires_at"),
)

# What others report of mail in our name (DMARC aggregate, RFC 7489 §7.2; TLS-RPT, RFC 8460).
reports = Table(
    "reports",
    metadata,
    _id(),
    _text("kind"),  # dmarc | tls
    _text("domain"),
    _text("reporter"),
    _text("report_id"),
    _number("begins_at"),
    _number("ends_at"),
    _text("report"),  # JSON
    _number("received_at"),
    UniqueConstraint("kind", "reporter", "report_id"),
    Index("reports_domain", "domain", "id"),
    Index("reports_received", "received_at"),
    sqlite_autoincrement=True,
)

# Certificates from an ACME server and the account that gets them, by name; one node at a time renews (RFC 8555).
certificates = Table(
    "certificates",
    metadata,
    Column("name", Text, primary_key=True),
    _text("chain"),  # PEM
    Column("private_key", LargeBinary, nullable=False),  # PEM, sealed
    _number("expires_at"),
    _number("changed_at"),
    _number("renewing_until", 0),  # a node is at it
)

acme_answers = Table(
    "acme_answers",
    metadata,
    Column("token", Text, primary_key=True),
    _text("answer"),
    _number("created_at"),
)

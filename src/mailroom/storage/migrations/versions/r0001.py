# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The schema of the first release."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "acme_answers",
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("token"),
    )
    op.create_table(
        "audit",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("at", _NUMBER, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("mailbox_id", _NUMBER, nullable=True),
        sa.Column("before", sa.Text(), server_default="null", nullable=False),
        sa.Column("after", sa.Text(), server_default="null", nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("audit_action", "audit", ["action", "id"], unique=False)
    op.create_index("audit_mailbox", "audit", ["mailbox_id", "id"], unique=False)
    op.create_table(
        "audit_head",
        sa.Column("id", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "backup_marks",
        sa.Column("source_folder_id", _NUMBER, nullable=False),
        sa.Column("target_folder_id", _NUMBER, nullable=False),
        sa.Column("uid", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("source_folder_id", "target_folder_id"),
    )
    op.create_index("backup_marks_target", "backup_marks", ["target_folder_id"], unique=False)
    op.create_table(
        "backups",
        sa.Column("source_id", _NUMBER, nullable=False),
        sa.Column("target_id", _NUMBER, nullable=False),
        sa.Column("root_id", _NUMBER, nullable=False),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("source_id", "target_id"),
    )
    op.create_index("backups_target", "backups", ["target_id"], unique=False)
    op.create_table(
        "blobs",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("refs", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("pinned_at", _NUMBER, nullable=False),
        sa.Column("doomed", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_index(
        "blobs_unreferred",
        "blobs",
        ["pinned_at"],
        unique=False,
        sqlite_where=sa.text("refs = 0"),
        postgresql_where=sa.text("refs = 0"),
    )
    op.create_table(
        "brakes",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("tries", _NUMBER, nullable=False),
        sa.Column("last_at", _NUMBER, nullable=False),
        sa.Column("again_at", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("brakes_last", "brakes", ["last_at"], unique=False)
    op.create_table(
        "certificates",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("private_key", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", _NUMBER, nullable=False),
        sa.Column("changed_at", _NUMBER, nullable=False),
        sa.Column("renewing_until", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "contents",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("refs", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("size", _NUMBER, nullable=False),
        sa.Column("blob", sa.Text(), server_default="", nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("senders", sa.Text(), server_default="", nullable=False),
        sa.Column("preview", sa.Text(), nullable=False),
        sa.Column("attachments", sa.Text(), nullable=False),
        sa.Column("recipients", sa.Text(), nullable=False),
        sa.Column("cc", sa.Text(), server_default="", nullable=False),
        sa.Column("bcc", sa.Text(), server_default="", nullable=False),
        sa.Column("sent_at", _NUMBER, nullable=True),
        sa.Column("sent_day", _NUMBER, nullable=True),
        sa.Column("refers_to", sa.Text(), server_default="", nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("bodystructure", sa.LargeBinary(), nullable=False),
        sa.Column("parts", sa.Text(), nullable=False),
        sa.Column("header_size", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "facts",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.Column("attempts", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("next_at", _NUMBER, nullable=True),
        sa.Column("lease", sa.Text(), server_default="", nullable=False),
        sa.Column("previous", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("facts_due", "facts", ["next_at"], unique=False)
    op.create_table(
        "greylist",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("first_at", _NUMBER, nullable=False),
        sa.Column("last_at", _NUMBER, nullable=False),
        sa.Column("passed", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("greylist_last", "greylist", ["last_at"], unique=False)
    op.create_table(
        "idempotency",
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("actor", "key"),
    )
    op.create_index("idempotency_created", "idempotency", ["created_at"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("finished", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("total", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("notes", sa.Text(), server_default="{}", nullable=False),
        sa.Column("result", sa.Text(), server_default="null", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.Column("ended_at", _NUMBER, nullable=True),
        sa.Column("attempts", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("next_at", _NUMBER, nullable=True),
        sa.Column("lease", sa.Text(), server_default="", nullable=False),
        sa.Column("previous", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("jobs_created", "jobs", ["created_at"], unique=False)
    op.create_index("jobs_due", "jobs", ["next_at"], unique=False)
    op.create_table(
        "messages",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("msgid", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("trace", sa.Text(), server_default="", nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("mailbox_id", _NUMBER, nullable=True),
        sa.Column("member_id", _NUMBER, nullable=True),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("msgid"),
        sqlite_autoincrement=True,
    )
    op.create_index("messages_created", "messages", ["created_at"], unique=False)
    op.create_index(
        "messages_mailbox",
        "messages",
        ["mailbox_id", "id"],
        unique=False,
        sqlite_where=sa.text("mailbox_id IS NOT NULL"),
        postgresql_where=sa.text("mailbox_id IS NOT NULL"),
    )
    op.create_index(
        "messages_member",
        "messages",
        ["member_id", "id"],
        unique=False,
        sqlite_where=sa.text("member_id IS NOT NULL"),
        postgresql_where=sa.text("member_id IS NOT NULL"),
    )
    op.create_table(
        "notify_settings",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "organisations",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "policies",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "reassignments",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("mailbox_id", _NUMBER, nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("from_userid", sa.Text(), nullable=False),
        sa.Column("to_userid", sa.Text(), nullable=False),
        sa.Column("displaced_id", _NUMBER, nullable=True),
        sa.Column("at", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("reassignments_mailbox", "reassignments", ["mailbox_id"], unique=False)
    op.create_table(
        "reports",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("reporter", sa.Text(), nullable=False),
        sa.Column("report_id", sa.Text(), nullable=False),
        sa.Column("begins_at", _NUMBER, nullable=False),
        sa.Column("ends_at", _NUMBER, nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.Column("received_at", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("kind", "reporter", "report_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("reports_domain", "reports", ["domain", "id"], unique=False)
    op.create_index("reports_received", "reports", ["received_at"], unique=False)
    op.create_table(
        "senders",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("secrets", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("failures", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("failing_since", _NUMBER, nullable=True),
        sa.Column("paused_until", _NUMBER, nullable=True),
        sa.Column("told_at", _NUMBER, nullable=True),
        sa.Column("faulty", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("paced_at", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("code"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "sent_counts",
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("hour", _NUMBER, nullable=False),
        sa.Column("recipients", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("who", "hour"),
    )
    op.create_table(
        "sts_policies",
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("policy_id", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("expires_at", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("domain"),
    )
    op.create_table(
        "tokens",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=True),
        sa.Column("fetched_at", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("expires_at", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("fetching_until", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("organisation_id", _NUMBER, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.Column("last_used_at", _NUMBER, nullable=True),
        sa.Column("revoked_at", _NUMBER, nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "bodies",
        sa.Column("content_id", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("octets", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["content_id"],
            ["contents.id"],
        ),
        sa.PrimaryKeyConstraint("content_id"),
    )
    op.create_table(
        "calls_heard",
        sa.Column("sender_id", _NUMBER, nullable=False),
        sa.Column("call", sa.Text(), nullable=False),
        sa.Column("heard_at", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["sender_id"],
            ["senders.id"],
        ),
        sa.PrimaryKeyConstraint("sender_id", "call"),
        sqlite_with_rowid=False,
    )
    op.create_index("calls_heard_at", "calls_heard", ["heard_at"], unique=False)
    op.create_table(
        "departments",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("organisation_id", _NUMBER, nullable=False),
        sa.Column("parent_id", _NUMBER, nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("is_disabled", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
        ),
        sa.ForeignKeyConstraint(
            ["parent_id"],
            ["departments.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("parent_id", "name"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "departments_top",
        "departments",
        ["organisation_id", "name"],
        unique=True,
        sqlite_where=sa.text("parent_id IS NULL"),
        postgresql_where=sa.text("parent_id IS NULL"),
    )
    op.create_table(
        "domains",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("organisation_id", _NUMBER, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.Column("finding", sa.Text(), server_default="", nullable=False),
        sa.Column("seen", sa.Text(), server_default="{}", nullable=False),
        sa.Column("records", sa.Text(), server_default="[]", nullable=False),
        sa.Column("checked_at", _NUMBER, nullable=True),
        sa.Column("check_at", _NUMBER, nullable=True),
        sa.Column("verifying_since", _NUMBER, nullable=True),
        sa.Column("failures", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("failing_since", _NUMBER, nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("organisation_id", "name"),
        sqlite_autoincrement=True,
    )
    op.create_index("domains_check", "domains", ["check_at"], unique=False)
    op.create_index(
        "domains_working",
        "domains",
        ["name"],
        unique=True,
        sqlite_where=sa.text("state IN ('active', 'abnormal')"),
        postgresql_where=sa.text("state IN ('active', 'abnormal')"),
    )
    op.create_table(
        "early_receipts",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("sender_id", _NUMBER, nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), server_default="", nullable=False),
        sa.Column("says", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), server_default="", nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("received_at", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["sender_id"],
            ["senders.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("early_receipts_provider", "early_receipts", ["sender_id", "provider_id"], unique=False)
    op.create_index("early_receipts_received", "early_receipts", ["received_at"], unique=False)
    op.create_table(
        "groups",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("organisation_id", _NUMBER, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("allow", sa.Text(), nullable=False),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("organisation_id", "name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "members",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("organisation_id", _NUMBER, nullable=False),
        sa.Column("userid", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("password", sa.Text(), server_default="", nullable=False),
        sa.Column("scram", sa.LargeBinary(), nullable=True),
        sa.Column("language", sa.Text(), server_default="", nullable=False),
        sa.Column("is_creator", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "members_administrators",
        "members",
        ["id"],
        unique=False,
        sqlite_where=sa.text("role = 'administrator'"),
        postgresql_where=sa.text("role = 'administrator'"),
    )
    op.create_index("members_by_userid", "members", ["userid"], unique=False)
    op.create_index(
        "members_userid",
        "members",
        ["organisation_id", "userid"],
        unique=True,
        sqlite_where=sa.text("status <> 'removed'"),
        postgresql_where=sa.text("status <> 'removed'"),
    )
    op.create_table(
        "notice_mails",
        sa.Column("message_id", _NUMBER, nullable=False),
        sa.Column("folder_id", _NUMBER, nullable=False),
        sa.Column("uid", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("message_id", "folder_id", "uid"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "reactions",
        sa.Column("fact_id", _NUMBER, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["fact_id"],
            ["facts.id"],
        ),
        sa.PrimaryKeyConstraint("fact_id", "name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "recipients",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("message_id", _NUMBER, nullable=False),
        sa.Column("sender_id", _NUMBER, nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("options", sa.Text(), server_default="{}", nullable=False),
        sa.Column("lane", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("told", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("sent_at", _NUMBER, nullable=True),
        sa.Column("ask_at", _NUMBER, nullable=True),
        sa.Column("asked", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.Column("updated_at", _NUMBER, nullable=False),
        sa.Column("attempts", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("next_at", _NUMBER, nullable=True),
        sa.Column("lease", sa.Text(), server_default="", nullable=False),
        sa.Column("previous", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["messages.id"],
        ),
        sa.ForeignKeyConstraint(
            ["sender_id"],
            ["senders.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("code"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "recipients_ask",
        "recipients",
        ["ask_at"],
        unique=False,
        sqlite_where=sa.text("ask_at IS NOT NULL"),
        postgresql_where=sa.text("ask_at IS NOT NULL"),
    )
    op.create_index("recipients_due", "recipients", ["sender_id", "next_at", "lane"], unique=False)
    op.create_index(
        "recipients_listed",
        "recipients",
        ["id"],
        unique=False,
        sqlite_where=sa.text("origin <> 'mail'"),
        postgresql_where=sa.text("origin <> 'mail'"),
    )
    op.create_index(
        "recipients_listed_created",
        "recipients",
        ["created_at"],
        unique=False,
        sqlite_where=sa.text("origin <> 'mail'"),
        postgresql_where=sa.text("origin <> 'mail'"),
    )
    op.create_index("recipients_message", "recipients", ["message_id", "next_at", "told"], unique=False)
    op.create_index("recipients_provider", "recipients", ["sender_id", "provider_id"], unique=False)
    op.create_table(
        "recycled",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("organisation_id", _NUMBER, nullable=False),
        sa.Column("mailbox_id", _NUMBER, nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("userid", sa.Text(), server_default="", nullable=False),
        sa.Column("entered_at", _NUMBER, nullable=False),
        sa.Column("purge_at", _NUMBER, nullable=False),
        sa.Column("warned", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("ended_at", _NUMBER, nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("recycled_purge", "recycled", ["state", "purge_at"], unique=False)
    op.create_index(
        "recycled_waiting",
        "recycled",
        ["mailbox_id"],
        unique=True,
        sqlite_where=sa.text("state IN ('waiting', 'purging')"),
        postgresql_where=sa.text("state IN ('waiting', 'purging')"),
    )
    op.create_table(
        "tags",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("organisation_id", _NUMBER, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("organisation_id", "name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "api_tokens",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("api_key_id", _NUMBER, nullable=False),
        sa.Column("expires_at", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["api_key_id"],
            ["api_keys.id"],
        ),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("api_tokens_expiry", "api_tokens", ["expires_at"], unique=False)
    op.create_table(
        "attempts",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("recipient_id", _NUMBER, nullable=False),
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("began_at", _NUMBER, nullable=False),
        sa.Column("took", _NUMBER, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), server_default="", nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["recipient_id"],
            ["recipients.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("attempts_recipient", "attempts", ["recipient_id", "number"], unique=False)
    op.create_table(
        "department_members",
        sa.Column("department_id", _NUMBER, nullable=False),
        sa.Column("member_id", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["department_id"],
            ["departments.id"],
        ),
        sa.ForeignKeyConstraint(
            ["member_id"],
            ["members.id"],
        ),
        sa.PrimaryKeyConstraint("department_id", "member_id"),
    )
    op.create_index("department_members_member", "department_members", ["member_id"], unique=False)
    op.create_table(
        "dkim_keys",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("domain_id", _NUMBER, nullable=False),
        sa.Column("selector", sa.Text(), nullable=False),
        sa.Column("algorithm", sa.Text(), nullable=False),
        sa.Column("private_key", sa.LargeBinary(), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("changed_at", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["domain_id"],
            ["domains.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("domain_id", "selector"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "domain_administrators",
        sa.Column("member_id", _NUMBER, nullable=False),
        sa.Column("domain_id", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["domain_id"],
            ["domains.id"],
        ),
        sa.ForeignKeyConstraint(
            ["member_id"],
            ["members.id"],
        ),
        sa.PrimaryKeyConstraint("member_id", "domain_id"),
    )
    op.create_index("domain_administrators_domain", "domain_administrators", ["domain_id"], unique=False)
    op.create_table(
        "group_members",
        sa.Column("group_id", _NUMBER, nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"],
            ["groups.id"],
        ),
        sa.PrimaryKeyConstraint("group_id", "address"),
    )
    op.create_index("group_members_address", "group_members", ["address"], unique=False)
    op.create_table(
        "group_senders",
        sa.Column("group_id", _NUMBER, nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"],
            ["groups.id"],
        ),
        sa.PrimaryKeyConstraint("group_id", "address"),
    )
    op.create_index("group_senders_address", "group_senders", ["address"], unique=False)
    op.create_table(
        "link_tickets",
        sa.Column("scene", sa.Text(), nullable=False),
        sa.Column("member_id", _NUMBER, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), server_default="", nullable=False),
        sa.Column("label", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("tries", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.Column("expires_at", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id"],
            ["members.id"],
        ),
        sa.PrimaryKeyConstraint("scene"),
    )
    op.create_index("link_tickets_address", "link_tickets", ["address", "created_at"], unique=False)
    op.create_index("link_tickets_member", "link_tickets", ["member_id", "kind", "created_at"], unique=False)
    op.create_table(
        "links",
        sa.Column("member_id", _NUMBER, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("linked_at", _NUMBER, nullable=False),
        sa.Column("free_at", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id"],
            ["members.id"],
        ),
        sa.PrimaryKeyConstraint("member_id", "kind"),
    )
    op.create_index("links_address", "links", ["kind", "address"], unique=False)
    op.create_table(
        "mailboxes",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("organisation_id", _NUMBER, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner_id", _NUMBER, nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("quota", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("used", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("next_uidvalidity", _NUMBER, server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"],
            ["members.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("owner_id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "mailboxes_public",
        "mailboxes",
        ["id"],
        unique=False,
        sqlite_where=sa.text("kind = 'public'"),
        postgresql_where=sa.text("kind = 'public'"),
    )
    op.create_index(
        "mailboxes_shut",
        "mailboxes",
        ["id"],
        unique=False,
        sqlite_where=sa.text("status = 'department_disabled'"),
        postgresql_where=sa.text("status = 'department_disabled'"),
    )
    op.create_table(
        "outgoing",
        sa.Column("message_id", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("content_id", _NUMBER, nullable=False),
        sa.Column("envelope_from", sa.Text(), nullable=False),
        sa.Column("ret", sa.Text(), server_default="", nullable=False),
        sa.Column("envid", sa.Text(), server_default="", nullable=False),
        sa.Column("sent_by", _NUMBER, nullable=True),
        sa.Column("delay_told", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["content_id"],
            ["contents.id"],
        ),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["messages.id"],
        ),
        sa.ForeignKeyConstraint(
            ["sent_by"],
            ["members.id"],
        ),
        sa.PrimaryKeyConstraint("message_id"),
    )
    op.create_index("outgoing_content", "outgoing", ["content_id"], unique=False)
    op.create_index("outgoing_created", "outgoing", ["created_at"], unique=False)
    op.create_table(
        "receipts",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("recipient_id", _NUMBER, nullable=False),
        sa.Column("says", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), server_default="", nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("received_at", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["recipient_id"],
            ["recipients.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("receipts_recipient", "receipts", ["recipient_id"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("member_id", _NUMBER, nullable=False),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.Column("expires_at", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id"],
            ["members.id"],
        ),
        sa.PrimaryKeyConstraint("token"),
    )
    op.create_index("sessions_expiry", "sessions", ["expires_at"], unique=False)
    op.create_index("sessions_member", "sessions", ["member_id"], unique=False)
    op.create_table(
        "sms_counts",
        sa.Column("member_id", _NUMBER, nullable=False),
        sa.Column("day", _NUMBER, nullable=False),
        sa.Column("count", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id"],
            ["members.id"],
        ),
        sa.PrimaryKeyConstraint("member_id", "day"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tag_members",
        sa.Column("tag_id", _NUMBER, nullable=False),
        sa.Column("member_id", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id"],
            ["members.id"],
        ),
        sa.ForeignKeyConstraint(
            ["tag_id"],
            ["tags.id"],
        ),
        sa.PrimaryKeyConstraint("tag_id", "member_id"),
    )
    op.create_index("tag_members_member", "tag_members", ["member_id"], unique=False)
    op.create_table(
        "access",
        sa.Column("mailbox_id", _NUMBER, nullable=False),
        sa.Column("member_id", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["mailbox_id"],
            ["mailboxes.id"],
        ),
        sa.ForeignKeyConstraint(
            ["member_id"],
            ["members.id"],
        ),
        sa.PrimaryKeyConstraint("mailbox_id", "member_id"),
    )
    op.create_index("access_member", "access", ["member_id"], unique=False)
    op.create_table(
        "access_departments",
        sa.Column("mailbox_id", _NUMBER, nullable=False),
        sa.Column("department_id", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["department_id"],
            ["departments.id"],
        ),
        sa.ForeignKeyConstraint(
            ["mailbox_id"],
            ["mailboxes.id"],
        ),
        sa.PrimaryKeyConstraint("mailbox_id", "department_id"),
    )
    op.create_index("access_departments_department", "access_departments", ["department_id"], unique=False)
    op.create_table(
        "access_tags",
        sa.Column("mailbox_id", _NUMBER, nullable=False),
        sa.Column("tag_id", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["mailbox_id"],
            ["mailboxes.id"],
        ),
        sa.ForeignKeyConstraint(
            ["tag_id"],
            ["tags.id"],
        ),
        sa.PrimaryKeyConstraint("mailbox_id", "tag_id"),
    )
    op.create_index("access_tags_tag", "access_tags", ["tag_id"], unique=False)
    op.create_table(
        "addresses",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("domain_id", _NUMBER, nullable=False),
        sa.Column("mailbox_id", _NUMBER, nullable=True),
        sa.Column("group_id", _NUMBER, nullable=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.CheckConstraint("(mailbox_id IS NULL) <> (group_id IS NULL)", name="addresses_one_holder"),
        sa.ForeignKeyConstraint(
            ["domain_id"],
            ["domains.id"],
        ),
        sa.ForeignKeyConstraint(
            ["group_id"],
            ["groups.id"],
        ),
        sa.ForeignKeyConstraint(
            ["mailbox_id"],
            ["mailboxes.id"],
        ),
        sa.PrimaryKeyConstraint("address"),
    )
    op.create_index("addresses_domain", "addresses", ["domain_id"], unique=False)
    op.create_index("addresses_group", "addresses", ["group_id"], unique=False)
    op.create_index("addresses_mailbox", "addresses", ["mailbox_id"], unique=False)
    op.create_table(
        "client_passwords",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("mailbox_id", _NUMBER, nullable=False),
        sa.Column("remark", sa.Text(), nullable=False),
        sa.Column("services", sa.Text(), nullable=False),
        sa.Column("scram", sa.Text(), nullable=False),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.Column("last_used_at", _NUMBER, nullable=True),
        sa.Column("last_used_from", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["mailbox_id"],
            ["mailboxes.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("client_passwords_mailbox", "client_passwords", ["mailbox_id"], unique=False)
    op.create_table(
        "folders",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("mailbox_id", _NUMBER, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), server_default="", nullable=False),
        sa.Column("uidvalidity", _NUMBER, nullable=False),
        sa.Column("uidnext", _NUMBER, server_default=sa.text("1"), nullable=False),
        sa.Column("modseq", _NUMBER, server_default=sa.text("1"), nullable=False),
        sa.Column("mails", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("unseen", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("size", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["mailbox_id"],
            ["mailboxes.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("mailbox_id", "name"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "folders_role",
        "folders",
        ["mailbox_id", "role"],
        unique=True,
        sqlite_where=sa.text("role <> ''"),
        postgresql_where=sa.text("role <> ''"),
    )
    op.create_table(
        "mailbox_rules",
        sa.Column("mailbox_id", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("forward_to", sa.Text(), server_default="", nullable=False),
        sa.Column("forward_keeps", _NUMBER, server_default=sa.text("1"), nullable=False),
        sa.Column("reply_on", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("reply_subject", sa.Text(), server_default="", nullable=False),
        sa.Column("reply_text", sa.Text(), server_default="", nullable=False),
        sa.Column("reply_from", _NUMBER, nullable=True),
        sa.Column("reply_until", _NUMBER, nullable=True),
        sa.ForeignKeyConstraint(
            ["mailbox_id"],
            ["mailboxes.id"],
        ),
        sa.PrimaryKeyConstraint("mailbox_id"),
    )
    op.create_table(
        "preferences",
        sa.Column("member_id", _NUMBER, nullable=False),
        sa.Column("mailbox_id", _NUMBER, nullable=False),
        sa.Column("only_from", sa.Text(), server_default="[]", nullable=False),
        sa.Column("quiet", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailboxes.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["member_id"],
            ["members.id"],
        ),
        sa.PrimaryKeyConstraint("member_id", "mailbox_id"),
    )
    op.create_table(
        "replies_sent",
        sa.Column("mailbox_id", _NUMBER, nullable=False),
        sa.Column("handle", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("sent_at", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["mailbox_id"],
            ["mailboxes.id"],
        ),
        sa.PrimaryKeyConstraint("mailbox_id", "handle", "address"),
    )
    op.create_index("replies_sent_at", "replies_sent", ["sent_at"], unique=False)
    op.create_table(
        "scripts",
        sa.Column("mailbox_id", _NUMBER, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("active", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("changed_at", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["mailbox_id"],
            ["mailboxes.id"],
        ),
        sa.PrimaryKeyConstraint("mailbox_id", "name"),
    )
    op.create_index(
        "scripts_active",
        "scripts",
        ["mailbox_id"],
        unique=True,
        sqlite_where=sa.text("active = 1"),
        postgresql_where=sa.text("active = 1"),
    )
    op.create_table(
        "subscriptions",
        sa.Column("mailbox_id", _NUMBER, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["mailbox_id"],
            ["mailboxes.id"],
        ),
        sa.PrimaryKeyConstraint("mailbox_id", "name"),
    )
    op.create_table(
        "switches",
        sa.Column("member_id", _NUMBER, nullable=False),
        sa.Column("mailbox_id", _NUMBER, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("is_on", _NUMBER, nullable=False),
        sa.Column("recipient_id", _NUMBER, nullable=True),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailboxes.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["member_id"],
            ["members.id"],
        ),
        sa.PrimaryKeyConstraint("member_id", "mailbox_id", "kind"),
    )
    op.create_index("switches_mailbox", "switches", ["mailbox_id"], unique=False)
    op.create_table(
        "expunged",
        sa.Column("folder_id", _NUMBER, nullable=False),
        sa.Column("uid", _NUMBER, nullable=False),
        sa.Column("modseq", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["folder_id"],
            ["folders.id"],
        ),
        sa.PrimaryKeyConstraint("folder_id", "uid"),
        sqlite_with_rowid=False,
    )
    op.create_index("expunged_modseq", "expunged", ["folder_id", "modseq"], unique=False)
    op.create_table(
        "keywords",
        sa.Column("folder_id", _NUMBER, nullable=False),
        sa.Column("keyword", sa.Text(), nullable=False),
        sa.Column("spelt", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["folder_id"],
            ["folders.id"],
        ),
        sa.PrimaryKeyConstraint("folder_id", "keyword"),
    )
    op.create_table(
        "mails",
        sa.Column("folder_id", _NUMBER, nullable=False),
        sa.Column("uid", _NUMBER, nullable=False),
        sa.Column("content_id", _NUMBER, nullable=False),
        sa.Column("modseq", _NUMBER, nullable=False),
        sa.Column("flags", _NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("keywords", sa.Text(), server_default="", nullable=False),
        sa.Column("size", _NUMBER, nullable=False),
        sa.Column("internal_date", _NUMBER, nullable=False),
        sa.Column("envelope_from", sa.Text(), server_default="", nullable=False),
        sa.Column("sent_by", _NUMBER, nullable=True),
        sa.ForeignKeyConstraint(
            ["content_id"],
            ["contents.id"],
        ),
        sa.ForeignKeyConstraint(
            ["folder_id"],
            ["folders.id"],
        ),
        sa.ForeignKeyConstraint(
            ["sent_by"],
            ["members.id"],
        ),
        sa.PrimaryKeyConstraint("folder_id", "uid"),
        sqlite_with_rowid=False,
    )
    op.create_index("mails_content", "mails", ["content_id"], unique=False)
    op.create_index(
        "mails_deleted",
        "mails",
        ["folder_id", "uid"],
        unique=False,
        sqlite_where=sa.text("(flags & 8) <> 0"),
        postgresql_where=sa.text("(flags & 8) <> 0"),
    )
    op.create_index("mails_modseq", "mails", ["folder_id", "modseq"], unique=False)
    op.create_index(
        "mails_unseen",
        "mails",
        ["folder_id", "uid", "flags"],
        unique=False,
        sqlite_where=sa.text("(flags & 1) = 0"),
        postgresql_where=sa.text("(flags & 1) = 0"),
    )

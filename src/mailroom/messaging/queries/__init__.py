# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""All SQL of messaging."""

from mailroom.messaging.queries import inquiries, log, messages, receipts, recipients, senders, tokens

__all__ = ["inquiries", "log", "messages", "receipts", "recipients", "senders", "tokens"]

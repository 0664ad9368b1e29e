# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""All SQL of the mail store."""

from mailroom.mailboxes.queries import blobs, contents, copies, folders, mailboxes, mails, public, recycled, search

__all__ = ["blobs", "contents", "copies", "folders", "mailboxes", "mails", "public", "recycled", "search"]

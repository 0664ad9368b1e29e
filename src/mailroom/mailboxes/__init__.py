# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The mail store: mailboxes, their folders, and the mails in them."""

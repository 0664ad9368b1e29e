# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Mail to others by SMTP: to the mail servers of the recipient's domain, or through one server that sends for us."""

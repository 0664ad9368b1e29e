# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The outbound verb: what goes out is a message with recipients, goes through a sender, and ends with an outcome."""

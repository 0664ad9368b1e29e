# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""WeChat, by a verified service account: template messages, or subscription notices, to those who follow it."""

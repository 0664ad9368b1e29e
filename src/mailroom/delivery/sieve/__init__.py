# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Filters in Sieve (RFC 5228): a script is read once, checked, and run over each mail. Pure."""

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Local doubles of the providers, in one process, and the page of the phones. Tests, the demo and people without an
account use the same ones; they know nothing of the rest, so that they cannot share its mistakes.
"""

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The ways out: one folder a sender kind. None knows another, the database or the domains."""

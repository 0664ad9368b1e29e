# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The mail protocols that come in, each in its own folder; none knows another."""

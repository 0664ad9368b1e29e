# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Short messages through an operator's SMPP 3.4 connection, which is kept open."""

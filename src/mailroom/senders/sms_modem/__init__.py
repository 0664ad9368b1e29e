# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Short messages through GSM modems on serial lines: no provider, one SIM card each."""

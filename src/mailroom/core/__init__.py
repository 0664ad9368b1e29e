# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What every layer may use: errors, ids, the clock, secrets, settings, the log. Knows nothing above it."""

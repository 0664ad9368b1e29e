# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""SMS through Twilio: free text, and receipts that it signs."""

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The inbound verb: a mail comes in, is judged, filed, and rings."""

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What can be asked about a mail from outside. Each check is bounded in time, work and memory, and has an answer for
the case that nobody answers: none of them loses a mail by being down.
"""

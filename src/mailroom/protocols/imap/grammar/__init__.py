# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What clients say, from octets to values, without a socket: `reader` finds where commands and their literals end,
`commands` reads one whole command, the rest its parts. It takes what real clients send as long as the meaning is sure.
"""

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""ManageSieve: how mail programs keep the filters of a mailbox (RFC 5804; UNAUTHENTICATE is an extension of its §2.14).

`grammar` turns lines and literals into commands, `session` decides what follows, `replies` holds what we say; `server`
alone knows the scripts and the connection.
"""

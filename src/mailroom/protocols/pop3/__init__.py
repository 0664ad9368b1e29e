# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""POP3: how simple mail programs fetch what is in the inbox.

RFC 1939 POP3; 2449 CAPA, RESP-CODES, PIPELINING; 2595 STLS; 3206 AUTH-RESP-CODE; 5034 AUTH; 8314 TLS from the first
octet.

A session sees the inbox as it was when it began. Nothing but DELE changes it, and that only at QUIT: what a program
fetches is not marked as read, because others may look at the same mailbox.

`grammar` turns lines into commands, `session` decides what follows, `replies` holds what we say, `content` dresses
mails for the wire; `server` alone knows the store and the connection.
"""

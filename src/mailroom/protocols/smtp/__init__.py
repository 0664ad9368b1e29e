# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""SMTP and LMTP in: how other mail servers and programs hand us mail; and submission, how members hand in theirs.

RFC 5321 SMTP; 1870 SIZE; 2033 LMTP; 2034 ENHANCEDSTATUSCODES; 2920 PIPELINING; 3030 CHUNKING; 3207 STARTTLS;
3461 DSN; 4954 AUTH; 6152 8BITMIME; 6409 submission; 6531 SMTPUTF8; 8314 TLS from the first octet.

`grammar` turns lines into commands, `content` finds where a mail ends, `session` decides what follows, `replies` holds
what we say, `trace` writes the fields that tell of the hop; `server` alone has a socket.
"""

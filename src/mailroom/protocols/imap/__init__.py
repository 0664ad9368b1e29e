# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""IMAP: how mail programs read, file and mark mails.

RFC 9051 IMAP4rev2; 3501 IMAP4rev1; 2177 IDLE; 2342 NAMESPACE; 2971 ID; 3502 MULTIAPPEND; 3516 BINARY; 3691 UNSELECT;
4314 ACL; 4315 UIDPLUS; 4731 ESEARCH; 4959 SASL-IR; 4978 COMPRESS; 5032 WITHIN; 5161 ENABLE; 5182 SEARCHRES; 5256 SORT
and THREAD; 5258 LIST-EXTENDED; 5819 LIST-STATUS; 6154 SPECIAL-USE; 6851 MOVE; 6855 UTF8=ACCEPT; 7162 CONDSTORE and
QRESYNC; 7888 LITERAL+; 7889 APPENDLIMIT; 8474 OBJECTID; 8970 PREVIEW; 9208 QUOTA.

`grammar` turns octets into commands, `session` and `commands` do what they ask, `updates` tells of what others did,
`replies` forms what we say; `server` alone has a socket.
"""

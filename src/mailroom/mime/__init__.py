# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What a mail says, read from its bytes: pure, tolerant, and never an exception for what a stranger wrote.

`scan` finds where parts begin and end, `headers`, `address` and `charset` turn bytes into text,
`preview` picks the words and names that people see, and `structure` makes what is stored at delivery.
Every text that leaves this package is free of NUL and lone surrogates, so every database can keep it.
"""

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""`/cgi-bin/exmail`: the interface of WeCom Exmail over our use cases, for programs that were written for it."""

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""SMS through whichever gateway speaks HTTP, as its profile describes it."""

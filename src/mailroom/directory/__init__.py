# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Who there is: organisation, domains, members, and the one name-space of addresses."""

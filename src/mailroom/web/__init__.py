# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""HTTP in: pages for people, health for machines. No rules here: parse, call one use case, show what it says."""

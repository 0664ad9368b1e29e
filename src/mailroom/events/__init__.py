# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What happened, as rows: the only way in which one part of the house makes another, above it, do something."""

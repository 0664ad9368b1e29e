# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The webmail: folders, lists, and the safe reading of what strangers wrote."""

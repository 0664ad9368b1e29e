# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""WeCom: an application's messages to members of the organisation, or those of a group's robot."""

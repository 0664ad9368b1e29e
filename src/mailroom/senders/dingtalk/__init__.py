# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""DingTalk: work notices, a robot that writes to one person, and a group's own robot (open.dingtalk.com/document)."""

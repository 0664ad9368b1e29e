# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Feishu, or Lark: messages of an app to one person, and a group's custom bot (open.feishu.cn/document)."""

# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Finds the sender kinds: whatever folder lies here is one. Nobody keeps a list."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

import mailroom.senders
from mailroom.senders.contract import SenderKind, Tools


def open_kinds(tools: Tools) -> Mapping[str, SenderKind]:
    """Every sender kind by its name, in alphabetical order. A folder holds `sender.py` with `open_kind(tools)`."""
    folders = sorted(module.name for module in pkgutil.iter_modules(mailroom.senders.__path__) if module.ispkg)
    kinds: dict[str, SenderKind] = {
        name: import_module(f"mailroom.senders.{name}.sender").open_kind(tools) for name in folders
    }
    return MappingProxyType(kinds)

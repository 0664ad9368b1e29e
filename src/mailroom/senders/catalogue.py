# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Finds the sender kinds: whatever folder lies here is one. Nobody keeps a list."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

import mailroom.senders
from mailroom.senders.contract import Manifest, SenderKind, Tools


def open_kinds(tools: Tools) -> Mapping[str, SenderKind]:
    """Every sender kind by its name, in alphabetical order. A folder holds `sender.py` with `open_kind(tools)`."""
    kinds: dict[str, SenderKind] = {
        name: import_module(f"mailroom.senders.{name}.sender").open_kind(tools) for name in _folders()
    }
    return MappingProxyType(kinds)


def manifests() -> Mapping[str, Manifest]:
    """What each kind says of itself, without opening it: `MANIFEST` in the folder's `manifest.py`."""
    return MappingProxyType({name: import_module(f"mailroom.senders.{name}.manifest").MANIFEST for name in _folders()})


def _folders() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(mailroom.senders.__path__) if module.ispkg)

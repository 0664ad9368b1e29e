# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Finds the protocols: every folder beside this file that has a `manifest.py`."""

from __future__ import annotations

import importlib
import pkgutil

from mailroom import protocols
from mailroom.protocols.contract import Manifest


def manifests() -> tuple[Manifest, ...]:
    """Every service that can be listened for, by name."""
    found: list[Manifest] = []
    for folder in pkgutil.iter_modules(protocols.__path__, f"{protocols.__name__}."):
        if folder.ispkg:
            found.extend(importlib.import_module(f"{folder.name}.manifest").MANIFESTS)
    return tuple(sorted(found, key=lambda one: one.name))

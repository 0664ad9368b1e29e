# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The doubles, one module a provider: whatever lies here with a `DOUBLE` is one. Nobody keeps a list."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

import mailroom.sandbox.doubles
from mailroom.sandbox.double import Double
from mailroom.sandbox.phones import Phones


def open_doubles(phones: Phones) -> Mapping[str, Double]:
    """Every double by its name."""
    modules = (import_module(f"mailroom.sandbox.doubles.{name}") for name in _names())
    doubles: list[Double] = [module.DOUBLE(phones) for module in modules]
    return MappingProxyType({one.name: one for one in doubles})


def _names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(mailroom.sandbox.doubles.__path__))

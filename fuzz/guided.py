# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Fuzzes what strangers say, guided by coverage: `python -m fuzz.guided NAME [options of libFuzzer]`, such as
`imap -max_total_time=60`. It needs atheris, which the gate does not: `pip install atheris`.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any


def main(name: str, options: list[str]) -> None:
    """Fuzz one of `fuzz.targets` until libFuzzer's options say that it is enough."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["mailroom", "sievelib"]):
        target = importlib.import_module("fuzz.targets").TARGETS[name]
    atheris.Setup([sys.argv[0], *options], lambda octets: target(octets) if octets else None)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

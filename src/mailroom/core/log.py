# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The log: one line an event, its values named, no secrets. Text on a terminal, JSON elsewhere."""

from __future__ import annotations

import json
import logging
import sys

import structlog
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import FilteringBoundLogger

_encode = json.JSONEncoder(default=repr).encode


def get(name: str) -> FilteringBoundLogger:
    """The logger of one part of the house, such as `smtp` or `dispatch`."""
    logger: FilteringBoundLogger = structlog.get_logger(part=name)
    return logger


def configure(*, level: int = logging.INFO) -> None:
    """Write events of `level` and above to standard error."""
    on_terminal = sys.stderr.isatty()
    # Without the frames' variables, among which are passwords and mails.
    tracebacks = ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.set_exc_info if on_terminal else tracebacks,
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
            if on_terminal
            else structlog.processors.JSONRenderer(_to_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def _to_json(event: object, **_: object) -> str:
    return _encode(event)

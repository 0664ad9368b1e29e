# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""How a database comes to the present schema: one file a step, each in one transaction with the note that it is done.

Until the first release there is one step, and it is made anew when `schema.py` changes:

    rm src/mailroom/storage/migrations/versions/r0001.py && python -m mailroom.storage.migrations

The same command, without the `rm`, writes the next step after a release.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine

# The last step. A database that is there already needs no look at the steps, and no Alembic in memory.
NEWEST = "r0001"

VERSION = "SELECT version_num FROM alembic_version"


def upgrade(engine: Engine, *, lock: str = "") -> None:
    """Take the steps that are left, each in its transaction. `lock` is the SQL that keeps other processes out until
    that transaction ends, where beginning one does not. Raises `InvalidValue` for a database that is ahead of us.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.util import CommandError
    from sqlalchemy import text

    from mailroom.core.errors import InvalidValue

    config = Config()
    config.set_main_option("script_location", "mailroom.storage:migrations")
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        while True:
            with connection.begin():
                if lock:
                    connection.execute(text(lock))
                version = MigrationContext.configure(connection).get_current_revision()
                if version == NEWEST:
                    return
                try:
                    command.upgrade(config, "+1")
                except CommandError as fault:
                    raise InvalidValue(
                        name="database", reason=f"it is at {version}, this program at {NEWEST}: {fault}"
                    ) from fault

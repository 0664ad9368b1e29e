# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""Write the next migration: what lies between the migrations so far and `schema.py`.

For developers, in a checkout. The file is a draft: read it, format it with ruff, and name it in `NEWEST`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory

from mailroom.storage.engines.apsw_dialect import engine
from mailroom.storage.engines.sqlite import connect


def draft(message: str) -> Path | None:
    """Write the migration that is missing, beside the others; none when nothing is missing."""
    config = Config()
    config.set_main_option("script_location", "mailroom.storage:migrations")
    config.set_main_option("file_template", "%%(rev)s")
    steps = len(list(ScriptDirectory.from_config(config).walk_revisions()))

    def unless_empty(_context: Any, _revision: Any, scripts: list[Any]) -> None:
        if scripts[0].upgrade_ops.is_empty():
            scripts.clear()

    with engine(connect(":memory:")).connect() as connection:
        config.attributes["connection"] = connection
        if steps:
            command.upgrade(config, "head")
        script = command.revision(
            config,
            message,
            autogenerate=True,
            rev_id=f"r{steps + 1:04}",
            process_revision_directives=unless_empty,
        )
    if not isinstance(script, Script):
        return None
    path = Path(script.path)
    path.write_text("".join(line for line in path.open() if "# ###" not in line))
    return path


if __name__ == "__main__":
    print(draft("The schema of the first release") or "Nothing is missing.")

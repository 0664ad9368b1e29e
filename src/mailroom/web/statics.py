# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The files that pages are made with. Each URL has the file's digest in it: a browser keeps a file until it changes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_FOLDER: Final = Path(__file__).parent / "static"
_VERSION: Final = 12  # hex digits


class Statics(StaticFiles):
    """Static files at `/static/`."""

    def __init__(self) -> None:
        super().__init__(directory=_FOLDER)
        self._versions: Final = {
            path.relative_to(_FOLDER).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()[:_VERSION]
            for path in _FOLDER.rglob("[!.]*")
            if path.is_file()
        }

    def url(self, name: str) -> str:
        """Where the file is, in its present form."""
        return f"/static/{name}?v={self._versions[name]}"

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        version = self._versions.get(path)
        is_current = version is not None and scope["query_string"] == f"v={version}".encode()
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if is_current else "no-cache"
        return response

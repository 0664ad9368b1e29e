# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""The interface described in OpenAPI 3.1, made from the operations themselves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode, models_json_schema

import mailroom
from mailroom.web.api.contract import Handed, Nothing, Operation, Sheet

_TEMPLATE: Final = "#/components/schemas/{model}"
_PROBLEM: Final = {
    "type": "object",
    "description": "A refusal (RFC 9457). Programs go by `code`, which stays; `title` is for people.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
    },
    "required": ["type", "title", "status", "code"],
}
_ABOUT: Final = """\
A program shows a key, `Authorization: Bearer <key>`; a page of ours its session. Lists come in parts: ask again with
`cursor=<next>`. A POST that bears an `Idempotency-Key` may be sent again for a day: it is done once. What takes long is
answered with 202 and a job."""


def document(operations: Sequence[Operation], prefix: str) -> dict[str, Any]:
    """The whole description."""
    shapes = _Shapes(operations)
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(f"{prefix}{one.path}", {})[one.method.lower()] = _operation(one, shapes)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Mailroom", "version": mailroom.__version__, "description": _ABOUT},
        "security": [{"key": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": {**shapes.definitions, "Problem": _PROBLEM},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "mailroom"},
            },
        },
    }


class _Shapes:
    """The schemas of all shapes, each named once."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        modes: dict[tuple[Any, JsonSchemaMode], None] = {}
        for one in operations:
            if one.body is not None:
                modes[one.body, "validation"] = None
            if one.answer not in {None, Handed, Sheet}:
                modes[one.answer, "serialization"] = None
        self._named, whole = models_json_schema(list(modes), ref_template=_TEMPLATE)
        self.definitions: Final[dict[str, Any]] = whole.get("$defs", {})

    def of(self, shape: Any, mode: JsonSchemaMode) -> dict[str, Any]:
        """Where the shape is described."""
        return self._named[shape, mode]


def _operation(one: Operation, shapes: _Shapes) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": one.name,
        "tags": [one.path.split("/")[1]],
        "summary": one.summary,
        "parameters": [*_names(one), *_query(one), *_headers(one)],
        "responses": {str(one.status if one.answer else 204): _response(one, shapes), "default": _REFUSED},
    }
    if one.body is not None:
        content = {"application/json": {"schema": shapes.of(one.body, "validation")}}
        described["requestBody"] = {"required": True, "content": content}
    return described


_REFUSED: Final = {
    "description": "A refusal.",
    "content": {"application/problem+json": {"schema": {"$ref": _TEMPLATE.format(model="Problem")}}},
}


def _response(one: Operation, shapes: _Shapes) -> dict[str, Any]:
    if one.answer is None:
        return {"description": "Done."}
    if one.answer is Handed:
        return {"description": "The file.", "content": {"application/octet-stream": {}}}
    if one.answer is Sheet:
        return {"description": "A table.", "content": {"text/csv": {}}}
    described: dict[str, Any] = {
        "description": "A job that does it." if one.status == 202 else "Done.",
        "content": {"application/json": {"schema": shapes.of(one.answer, "serialization")}},
    }
    if one.location:
        described["headers"] = {"Location": {"schema": {"type": "string"}}}
    return described


def _names(one: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", one.path)
    ]


def _query(one: Operation) -> list[dict[str, Any]]:
    if one.query is Nothing:
        return []
    properties: dict[str, Any] = TypeAdapter(one.query).json_schema()["properties"]
    return [
        {"name": name, "in": "query", "description": schema.pop("description", ""), "schema": schema}
        for name, schema in properties.items()
    ]


def _headers(one: Operation) -> list[dict[str, Any]]:
    if one.method != "POST":
        return []
    return [{"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 255}}]

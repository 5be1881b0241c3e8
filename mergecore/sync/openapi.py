"""The description of the app, for ``/openapi.json`` (OpenAPI 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from .supernode import Answer

__all__ = ["described"]

_TAGGED = [
    {"name": "If-Match", "in": "header", "required": True, "schema": {"type": "string"},
     "description": "the ETag of what you were looking at; * for whatever is there"},
    {"name": "Idempotency-Key", "in": "header", "required": False, "schema": {"type": "string", "maxLength": 200},
     "description": "a request that is repeated with the same key is done once"},
]  # fmt: skip
_PAGE = [
    {"name": "after", "in": "query", "required": False, "schema": {"type": "string"},
     "description": "the GUID of the last record of the page before"},
    {"name": "limit", "in": "query", "required": False,
     "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}},
]  # fmt: skip
_PLACE = [
    {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}},
    {"name": "guid", "in": "path", "required": True, "schema": {"type": "string"}},
]


def described(name: str, version: str, models: Mapping[str, Any]) -> dict[str, Any]:
    """What the app of a super node takes and gives."""
    kinds = [Answer, *(cls for cls in models.values() if isinstance(cls, type))]
    _, schemas = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    schemas = {**schemas, "Problem": _PROBLEM}
    record: Any = {"oneOf": [{"$ref": f"#/components/schemas/{cls.__name__}"} for cls in kinds[1:]]}
    record = record if models else {"type": "object"}
    answer = {"$ref": "#/components/schemas/Answer"}
    problem = {
        "description": "a problem (RFC 9457)",
        "content": _content({"$ref": "#/components/schemas/Problem"}, "problem+json"),
    }

    def call(
        what: str, gives: Any, takes: Any = None, parameters: Any = (), status: str = "200", body: str = "json"
    ) -> Any:
        told: dict[str, Any] = {
            "summary": what, "parameters": list(parameters),
            "responses": {status: {"description": "done", "content": _content(gives, body)}, "default": problem},
        }  # fmt: skip
        if takes is not None:
            told["requestBody"] = {"required": True, "content": _content(takes, body)}
        return told

    binary = {"type": "string", "format": "binary"}
    changing = {"parameters": [*_PLACE, *_TAGGED]}
    paths = {
        "/sync": {"post": call("an exchange between two nodes", binary, binary, body="msgpack")},
        "/events": {
            "get": {
                "summary": "server-sent events: 'stale' when there is something new",
                "responses": {
                    "200": {"description": "a stream", "content": {"text/event-stream": {}}},
                    "default": problem,
                },
            }
        },
        "/inbox": {"get": call("what waits for a person", _listed("inbox", _ITEM))},
        "/health": {"get": {**call("who is there, and what time it is", {"type": "object"}), "security": []}},
        "/records/{model}": {
            "get": call("the records of a model", _listed("records", answer, _NEXT), parameters=[*_PLACE[:1], *_PAGE]),
            "post": call("a new record", answer, record, [*_PLACE[:1], _TAGGED[1]], "201"),
        },
        "/records/{model}/{guid}": {
            "get": call("a record", answer, parameters=_PLACE),
            "put": call("writes what its author changed", answer, record, changing["parameters"]),
            "patch": call("writes some fields (RFC 7396)", answer, {"type": "object"}, changing["parameters"]),
            "delete": call("deletes it", answer, parameters=changing["parameters"]),
        },
        "/records/{model}/{guid}/restore": {
            "post": call("takes a deletion back", answer, parameters=changing["parameters"])
        },
        "/records/{model}/{guid}/resolve": {
            "post": call("settles what is open", answer, {"type": "object"}, changing["parameters"])
        },
    }
    return {
        "openapi": "3.1.0", "info": {"title": name, "version": version}, "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}],
    }  # fmt: skip


_OBJECTS = {"type": "array", "items": {"type": "object"}}
_ITEM = {
    "type": "object",
    "properties": {
        "guid": {"type": "string"}, "model": {"type": "string"}, "conflicts": _OBJECTS, "lost": _OBJECTS,
    },
}  # fmt: skip
_NEXT = {"next": {"type": "string", "description": "where the next page is; absent of the last one"}}
_PROBLEM = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "status": {"type": "integer"}, "detail": {"type": "string"}},
}


def _listed(name: str, item: Any, more: Any = None) -> Any:
    return {"type": "object", "properties": {name: {"type": "array", "items": item}, **(more or {})}}


def _content(schema: Any, kind: str) -> Any:
    return {f"application/{kind}": {"schema": schema}}

"""The OpenAPI document of the API, made from the commands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import __version__
from .routes import Route

KINDS: dict[str, dict[str, Any]] = {
    "integer": {"type": "integer"}, "number": {"type": "number"}, "flag": {"type": "boolean"},
    "duration": {"type": ["string", "number"]}, "size": {"type": ["string", "integer"]}, "stanza": {"type": "object"},
}  # fmt: skip
"""Kind of an argument -> its schema. All others are texts."""
ERRORS = {
    "400": "An argument is wrong", "401": "No token, or a wrong one", "403": "Not allowed", "404": "There is no such thing",
    "405": "Not by this method", "409": "It cannot be done as things are", "412": "It is there already",
    "413": "The body is too large", "415": "The body is no JSON", "429": "Too many wrong tokens", "503": "Not now",
    "504": "Not done in time",
}  # fmt: skip


def document(routes: Iterable[Route], base: str) -> dict[str, Any]:
    """``base``: the path of the API."""
    paths: dict[str, dict[str, Any]] = {}
    for each in sorted(routes, key=lambda route: (route.template, route.method)):
        paths.setdefault(each.template, {})[each.method.lower()] = _operation(each)
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "jabberd_py", "version": __version__},
        "servers": [{"url": base}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Problem": {
                "type": "object", "required": ["type", "title", "status"],
                "properties": {"type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
                               "detail": {"type": "string"}, "kind": {"type": "string"}, "argument": {"type": "string"}},
            }},
            "responses": {code: {"description": text, "content": problem} for code, text in ERRORS.items()},
        },
    }  # fmt: skip


def _operation(route: Route) -> dict[str, Any]:
    entry = route.entry
    arguments = [each for each in entry["arguments"] if each["name"] != route.item]
    made: dict[str, Any] = {
        "operationId": route.name.replace(" ", "_"),
        "summary": entry["help"].partition(". ")[0],
        "description": entry["help"],
        "tags": [route.name.split()[0]],
        "parameters": [],
        "responses": _done(route) | {code: {"$ref": f"#/components/responses/{code}"} for code in ERRORS},
    }
    if route.item is not None:
        known = next(each for each in entry["arguments"] if each["name"] == route.item)
        made["parameters"].append(
            {"name": route.item, "in": "path", "required": True, "schema": schema(known)}
        )
    if route.in_body:
        required = [each["name"] for each in arguments if each["required"]]
        body = {"type": "object", "properties": {each["name"]: schema(each) for each in arguments},
                "required": required, "additionalProperties": False}  # fmt: skip
        made["requestBody"] = {"required": bool(required), "content": {"application/json": {"schema": body}}}
    else:
        made["parameters"] += [
            {"name": each["name"], "in": "query", "required": each["required"], "schema": schema(each)}
            for each in arguments
        ]
    if route.method == "GET":
        made["parameters"] += [
            {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 1000}},
            {"name": "cursor", "in": "query", "schema": {"type": "string"}},
        ]
    return made


def _done(route: Route) -> dict[str, Any]:
    answer = {
        "type": "object", "required": ["result"],
        "properties": {"result": {}, "total": {"type": "integer"}, "next": {"type": ["string", "null"]}},
    }  # fmt: skip
    content = {"application/json": {"schema": answer}}
    done = {"200": {"description": "Done", "content": content}}
    return done | ({"201": {"description": "Made", "content": content}} if route.method == "PUT" else {})


def schema(argument: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of an argument, as `Argument.describe` tells of it."""
    if argument["choices"]:
        return {"type": "string", "enum": argument["choices"]}
    return dict(KINDS.get(argument["kind"], {"type": "string"}))

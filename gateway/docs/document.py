"""The OpenAPI 3.1 document: operations, the shapes of their bodies, and an example of each."""

from collections.abc import Collection, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from gateway.docs.fields import FIELDS
from gateway.docs.managing import MANAGING, USING
from gateway.docs.operation import JSON, Operation, Parameter
from gateway.docs.speaking import LOOKING, OPERATING, SPEAKING

Json = dict[str, Any]
OPERATIONS = (*SPEAKING, *LOOKING, *USING, *MANAGING, *OPERATING)
EXAMPLES = Path(__file__).parent / "examples.json"
REFERENCE = "#/components/schemas/{name}"
ALWAYS = (401, 403, 503)
"""What any request with a key may be refused with."""
TYPES: dict[type, str] = {bool: "boolean", int: "number", float: "number", str: "string"}
ABOUT = (
    "Every path stands under /v1, with OpenAI's habits, and under /api/v1, with OpenRouter's. "
    "Errors have one shape that both families of clients read. Money is a decimal string of USD, "
    "exact to the nano, but where OpenRouter's clients want a number."
)


def document(known: Collection[tuple[str, str]]) -> Json:
    """The operations that this gateway has.

    known: (method, path) of its routes, as `("get", "/v1/models")`.
    """
    here = [each for each in OPERATIONS if is_served(each, known)]
    bodies = [each.body for each in here if each.body is not None]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Voxroute", "version": version("voxroute"), "description": ABOUT},
        "servers": [{"url": "/v1"}, {"url": "/api/v1"}],
        "security": [{"key": []}],
        "tags": [{"name": name} for name in dict.fromkeys(each.group for each in here)],
        "paths": _paths(here),
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(bodies),
            "responses": {"Error": _error()},
        },
    }


def is_served(operation: Operation, known: Collection[tuple[str, str]]) -> bool:
    path = operation.path if operation.is_rooted else f"/v1{operation.path}"
    return (operation.method, path) in known


@cache
def examples() -> Json:
    """Answers that a gateway gave, by the operation's name."""
    found: Json = msgspec.json.decode(EXAMPLES.read_bytes())
    return found


def _paths(operations: Collection[Operation]) -> Json:
    paths: Json = {}
    for each in operations:
        at = paths.setdefault(each.path, {"servers": [{"url": "/"}]} if each.is_rooted else {})
        at[each.method] = _operation(each)
    return paths


def _operation(operation: Operation) -> Json:
    told: Json = {
        "operationId": operation.name,
        "tags": [operation.group],
        "summary": operation.summary,
        "description": " ".join(filter(None, [operation.told, _who(operation.scope)])),
        "parameters": [_parameter(each, operation.path) for each in operation.parameters],
        "responses": _responses(operation),
    }
    if operation.scope is None:
        told["security"] = []
    if operation.body is not None:
        shape = {"$ref": REFERENCE.format(name=operation.body.__name__)}
        named = {name: {"value": value} for name, value in operation.examples.items()}
        content = {JSON: {"schema": shape, "examples": named}}
        told["requestBody"] = {"required": True, "content": content}
    return told


def _who(scope: str | None) -> str:
    if scope is None:
        return "No key is needed."
    return "" if scope == "any" else f"The key needs the scope {scope}."


def _parameter(parameter: Parameter, path: str) -> Json:
    place = "path" if f"{{{parameter.name}}}" in path else "query"
    shape: Json = {"type": parameter.kind}
    if parameter.choices:
        shape["enum"] = list(parameter.choices)
    told: Json = {
        "name": parameter.name,
        "in": "header" if parameter.is_header else place,
        "required": parameter.is_required,
        "description": parameter.told,
        "schema": shape,
    }
    return told if parameter.example is None else told | {"example": parameter.example}


def _responses(operation: Operation) -> Json:
    good: Json = {
        "description": "Done.",
        "content": {m: _content(operation, m) for m in operation.media},
    }
    if operation.headers:
        good["headers"] = {
            name: {"description": told, "schema": {"type": "string"}}
            for name, told in operation.headers.items()
        }
    refusals = {*operation.errors, *(ALWAYS if operation.scope else ())}
    error = {"$ref": "#/components/responses/Error"}
    return {str(operation.status): good} | {str(each): error for each in sorted(refusals)}


def _content(operation: Operation, media: str) -> Json:
    if media != JSON:
        return {"schema": {"type": "string"}} if media.startswith("text/") else {}
    example = examples().get(operation.name)
    if example is None:
        return {"schema": {"type": "object"}}
    return {"schema": shape_of(example), "example": example}


def shape_of(example: object) -> Json:
    """The shape that an example has; any of its values may be null at another time."""
    if isinstance(example, dict):
        inside = {name: shape_of(value) for name, value in example.items()}
        return {"type": ["object", "null"], "properties": inside}
    if isinstance(example, list):
        return {"type": ["array", "null"], "items": shape_of(example[0]) if example else {}}
    return {"type": [TYPES[type(example)], "null"]} if example is not None else {}


def _schemas(bodies: Collection[type[msgspec.Struct]]) -> Json:
    """The bodies' shapes as the door checks them, with what each field means."""
    _, found = msgspec.json.schema_components(list(dict.fromkeys(bodies)), ref_template=REFERENCE)
    for name, shape in found.items():
        told: Mapping[str, str] = FIELDS.get(name, {})
        for field, inner in shape["properties"].items():
            _put_right(inner)
            if field in told:
                shape["properties"][field] = inner | {"description": told[field]}
    return found


def _put_right(shape: Json) -> None:
    """A decimal is read from a number, too; a text ends as JSON Schema writes it."""
    if any(each.get("format") == "decimal" for each in shape.get("anyOf", ())):
        shape["anyOf"].append({"type": "number"})
    if "pattern" in shape:
        shape["pattern"] = shape["pattern"].replace(r"\Z", "$")


def _error() -> Json:
    example = examples()["error"]
    told = "Refused; `message` says why, `param` names the field."
    return {
        "description": told,
        "content": {JSON: {"schema": shape_of(example), "example": example}},
    }

"""The document as people read it: operations by group, fields in words, calls to copy."""

import shlex
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import msgspec

from gateway.docs.document import Json

REFERENCE = "#/components/schemas/"
METHODS = ("get", "post", "put", "patch", "delete")
_BOUNDS = (
    ("minimum", "from {}"),
    ("exclusiveMinimum", "above {}"),
    ("maximum", "to {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
)
WIDEST = 2**31 - 1
"""Bounds beyond it are the machine's, not worth telling."""


def groups(document: Json) -> list[tuple[str, list[Json]]]:
    """Each group's name and its operations, ready to be shown."""
    shown = list(_operations(document))
    names = [tag["name"] for tag in document["tags"]]
    return [(name, [each for each in shown if each["group"] == name]) for name in names]


def shapes(document: Json) -> list[Json]:
    """Every shape that a body is made of, with its fields in words."""
    schemas = document["components"]["schemas"]
    return [
        {"name": name, "told": shape.get("description", ""), "fields": _fields(shape)}
        for name, shape in schemas.items()
    ]


def words(shape: Json) -> str:
    """A JSON schema in a few words."""
    if "$ref" in shape:
        return str(shape["$ref"]).removeprefix(REFERENCE)
    if "anyOf" in shape:
        told = [words(each) for each in shape["anyOf"] if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(told))
    if "enum" in shape:
        return ", ".join(map(str, shape["enum"]))
    if shape.get("type") == "array":
        return f"list of {words(shape.get('items', {}))}"
    if shape.get("type") == "object":
        inside = shape.get("additionalProperties")
        return f"map to {words(inside)}" if isinstance(inside, dict) else "map"
    return " ".join([_type(shape), *_bounds(shape)])


def _type(shape: Json) -> str:
    names = {"string": "text", "integer": "whole number", "boolean": "true or false"}
    if shape.get("format") == "decimal":
        return "decimal"
    return names.get(shape.get("type", ""), str(shape.get("type", "anything")))


def _bounds(shape: Json) -> Iterator[str]:
    for name, told in _BOUNDS:
        if name in shape and abs(shape[name]) < WIDEST:
            yield told.format(shape[name])


def _operations(document: Json) -> Iterator[Json]:
    for path, at in document["paths"].items():
        is_rooted = "servers" in at
        for method in METHODS:
            if method in at:
                yield _shown(method, path, at[method], is_rooted=is_rooted)


def _shown(method: str, path: str, operation: Json, *, is_rooted: bool) -> Json:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    full = path if is_rooted else f"/v1{path}"
    good = next(answer for status, answer in operation["responses"].items() if status < "3")
    return {
        "id": operation["operationId"],
        "group": operation["tags"][0],
        "method": method.upper(),
        "path": full,
        "summary": operation["summary"],
        "told": operation["description"],
        "parameters": [_parameter(each) for each in operation["parameters"]],
        "shape": words(body["schema"]) if body else None,
        "calls": _calls(method, full, operation, body),
        "media": list(good["content"]),
        "headers": [(name, each["description"]) for name, each in good.get("headers", {}).items()],
        "answer": _answer(good),
        "refusals": [status for status in operation["responses"] if status >= "4"],
    }


def _parameter(parameter: Json) -> Json:
    needed = "needed; " if parameter["required"] else ""
    kind = words(parameter["schema"])
    return {
        "name": parameter["name"],
        "place": parameter["in"],
        "kind": needed + kind,
        "told": parameter["description"],
    }


def _fields(shape: Json) -> list[Json]:
    needed = set(shape.get("required", ()))
    return [
        {
            "name": name,
            "kind": ("needed; " if name in needed else "") + words(field),
            "told": field.get("description", ""),
        }
        for name, field in shape["properties"].items()
    ]


def _calls(method: str, path: str, operation: Json, body: Json) -> list[tuple[str, str]]:
    """What each example is for, and the command that sends it."""
    bodies = body.get("examples") or {"": {"value": None}}
    is_open = operation.get("security") == []
    first = next(iter(operation["responses"].values()))
    to_file = "application/json" not in first["content"] and "text/" not in str(first["content"])
    return [
        (
            name,
            _curl(method, _filled(path, operation), each["value"], is_open=is_open)
            + (" -o speech" if to_file or _is_audio(first) else ""),
        )
        for name, each in bodies.items()
    ]


def _is_audio(answer: Json) -> bool:
    return any(media.startswith("audio/") for media in answer["content"])


def _filled(path: str, operation: Json) -> str:
    """The address with the examples of its parameters."""
    query = {}
    for each in operation["parameters"]:
        if each["in"] == "path":
            path = path.replace(f"{{{each['name']}}}", str(each["example"]))
        elif each["in"] == "query" and "example" in each:
            query[each["name"]] = each["example"]
    return f"{path}?{urlencode(query, safe=':/')}" if query else path


def _curl(method: str, address: str, body: object, *, is_open: bool) -> str:
    verb = (
        ""
        if method == "get" or (method == "post" and body is not None)
        else f" -X {method.upper()}"
    )
    lines = [f'curl{verb} "$GATEWAY_URL{address}"']
    if not is_open:
        lines.append('-H "Authorization: Bearer $GATEWAY_API_KEY"')
    if body is not None:
        lines.append("-H 'Content-Type: application/json'")
        lines.append(f"-d {shlex.quote(msgspec.json.encode(body).decode())}")
    return " \\\n  ".join(lines)


def _answer(good: Json) -> str | None:
    example: Any = good["content"].get("application/json", {}).get("example")
    if example is None:
        return None
    return msgspec.json.format(msgspec.json.encode(example), indent=2).decode()

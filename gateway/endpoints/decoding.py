"""JSON bodies at the door: msgspec decodes, and what it refuses is told by field name."""

import json
import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from gateway.errors import InvalidRequest

Shape = TypeVar("Shape")
_LONE = re.compile("[\ud800-\udfff]")


def decode(
    content: bytes,
    decoder: msgspec.json.Decoder[Shape],
    allowed: Mapping[str, str] | None = None,
) -> Shape:
    """Decode a body; InvalidRequest names the field and what is allowed.

    allowed: by field, where msgspec's own words do not tell it.
    """
    try:
        content.decode()
        return decoder.decode(content)
    except UnicodeDecodeError:
        raise InvalidRequest("the body is not UTF-8") from None
    except RecursionError:
        raise InvalidRequest("the body is nested too deeply") from None
    except msgspec.ValidationError as error:
        message, *at = re.split(r" - at `(?:key` in `)?\$", str(error))
        named = re.search(r"(?:missing required|unknown) field `(\w+)`", message)
        parts = [*re.findall(r"\.(\w+)", "".join(at)), *([named[1]] if named else [])]
        field = ".".join(parts)
        if allowed and field in allowed and not named:
            message += f"; allowed: {allowed[field]}"
        raise wrong(field or "body", message) from None
    except msgspec.DecodeError as error:
        raise _not_json(content, error) from None


def wrong(field: str, reason: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {reason}", param=field)


def _not_json(content: bytes, error: msgspec.DecodeError) -> InvalidRequest:
    """Tell broken JSON from a lone surrogate, which msgspec refuses and the json module lets by."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return InvalidRequest(f"the body is not valid JSON: {error}")
    fields = body.items() if isinstance(body, dict) else ()
    field = next((name for name, value in fields if _LONE.search(str(value))), "body")
    return wrong(field, "lone surrogates (\\ud800 to \\udfff without their pair) are not text")

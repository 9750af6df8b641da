"""JSON bodies at the door: msgspec decodes, and what it refuses is told by field name."""

import json
import re
from typing import TypeVar

import msgspec

from gateway.errors import InvalidRequest

Shape = TypeVar("Shape")


def decode(content: bytes, decoder: msgspec.json.Decoder[Shape]) -> Shape:
    """Decode a body; InvalidRequest names the field and what is allowed."""
    try:
        content.decode()
        return decoder.decode(content)
    except UnicodeDecodeError:
        raise InvalidRequest("the body is not UTF-8") from None
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        named = re.search(r"(?:missing required|unknown) field `(\w+)`", message)
        parts = [*re.findall(r"\.(\w+)", path), *([named[1]] if named else [])]
        raise wrong(".".join(parts) or "body", message) from None
    except msgspec.DecodeError as error:
        raise InvalidRequest(_not_json(content, error)) from None


def wrong(field: str, reason: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {reason}", param=field)


def _not_json(content: bytes, error: msgspec.DecodeError) -> str:
    """Tell broken JSON from a lone surrogate, which msgspec refuses and the json module lets by."""
    try:
        json.loads(content)
    except ValueError:
        return f"the body is not valid JSON: {error}"
    return "lone surrogates (\\ud800 to \\udfff without their pair) are not text"

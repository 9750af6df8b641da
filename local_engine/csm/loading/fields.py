"""Fields of a config.json, each checked for its kind: ConfigError names the one that is wrong."""

import json
from collections.abc import Mapping
from pathlib import Path

from local_engine.csm.loading.errors import ConfigError

Json = Mapping[str, object]


def read_json(path: Path) -> Json:
    """Read a file that holds one table."""
    try:
        read: object = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    if not isinstance(read, dict):
        raise ConfigError(f"{path} must hold a table")
    return read


def table(config: Json, name: str) -> Json:
    value = config.get(name)
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name} is missing")
    return value


def number(config: Json, name: str, absent: int | None = None) -> int:
    """Give a whole number, or what stands for it where it is absent or null."""
    value = config.get(name)
    value = absent if value is None else value
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ConfigError(f"{name} must be a whole number, not {value!r}")
    return value


def real(config: Json, name: str, absent: float) -> float:
    value = config.get(name)
    value = absent if value is None else value
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ConfigError(f"{name} must be a number, not {value!r}")
    return float(value)


def whole_numbers(config: Json, name: str, absent: tuple[int, ...]) -> tuple[int, ...]:
    value = config.get(name)
    value = absent if value is None else value
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{name} must be a list, not {value!r}")
    numbers = tuple(n for n in value if isinstance(n, int) and not isinstance(n, bool) and n > 0)
    if not numbers or len(numbers) != len(value):
        raise ConfigError(f"{name} must be a list of whole numbers, not {value!r}")
    return numbers

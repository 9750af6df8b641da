"""Differences: what a change made of what was there, field by field, from the rows of audit."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.dashboard.words import count, moment
from gateway.metering.prices import usd

NONE = "none"
_HIDDEN = {"scope"}


@dataclass(frozen=True, slots=True)
class Difference:
    """One field, before and after, in words."""

    field: str
    before: str
    after: str


def differences(before: str | None, after: str | None) -> list[Difference]:
    """What is not the same on both sides; a side may be absent, as before a creation."""
    old, new = dict(_flat(_read(before))), dict(_flat(_read(after)))
    return [
        Difference(name, old.get(name, NONE), new.get(name, NONE))
        for name in dict.fromkeys([*old, *new])
        if old.get(name, NONE) != new.get(name, NONE)
    ]


def _read(side: str | None) -> Any:  # noqa: ANN401  # JSON
    told = None if side is None else msgspec.json.decode(side)
    is_budget = told is not None and "scope" in told and "period" in told
    return {"budgets": [told]} if is_budget else told


def _flat(told: Any, within: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401  # JSON
    """Fields and their words; those of a budget go by its period."""
    for name, value in (told or {}).items():
        place = f"{within}{name}"
        if name == "budgets":
            for each in value:
                yield from _flat(each, f"per {each['period']}: ")
        elif isinstance(value, Mapping):
            yield from _flat(value, f"{place} ")
        elif name not in _HIDDEN and not (within and name == "period"):
            yield _named(place), _words(name, value)


def _named(place: str) -> str:
    """`limit_nano` is a limit of money, and `expires_ms` a time, which their values tell."""
    for unit in ("_nano", "_ms"):
        place = place.removesuffix(unit)
    return place.replace("_", " ")


def _words(name: str, value: Any) -> str:  # noqa: ANN401  # JSON
    match value:
        case None | []:
            return NONE
        case bool():
            return "yes" if value else "no"
        case int():
            return _amount(name, value)
        case list():
            return ", ".join(map(str, value))
        case _:
            return str(value)


def _amount(name: str, value: int) -> str:
    if name.endswith("_nano"):
        return f"${usd(value)}"
    return f"{moment(value)} UTC" if name.endswith("_ms") else count(value)

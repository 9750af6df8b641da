"""The form of a key: its fields as the API's body names them, and as they stand for a key."""

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from gateway.access.allowed import read_allowed
from gateway.access.keys import MANAGE, READ, SPEAK
from gateway.dashboard.forms import Kinds, Typed, as_body, changed
from gateway.endpoints.decoding import decode
from gateway.endpoints.key_body import (
    ALLOWED,
    RESETS,
    KeyChange,
    NewKey,
    Rotation,
    key_change_decoder,
    new_key_decoder,
    rotation_decoder,
)
from gateway.metering.prices import usd
from gateway.metering.register import KeyAccount

SCOPES: Mapping[str, str] = {
    SPEAK: "ask for speech",
    READ: "see the records of its whole project",
    MANAGE: "see and change everything",
}
GRACES: Mapping[str, str] = {
    "0": "not at all",
    "3600": "for an hour",
    "86400": "for a day",
    "604800": "for a week",
    "2592000": "for 30 days",
}
KINDS: Kinds = {
    "name": "text",
    "project": "text",
    "scopes": "words",
    "expires_at": "moment",
    "limit": "text",
    "limit_reset": "text",
    "soft_limit": "text",
    "characters_limit": "count",
    "rates.requests_per_minute": "count",
    "rates.characters_per_minute": "count",
    "rates.concurrent": "count",
    "allowed.models": "lines",
    "allowed.providers": "lines",
    "allowed.voices": "lines",
    "default_task": "text",
}
BLANK: Typed = {"project": "default", "scopes": SPEAK}
_RESET_OF = {period: reset or "" for reset, period in RESETS.items()}


def new_key_of(values: Typed) -> NewKey:
    return decode(msgspec.json.encode(as_body(values, KINDS)), new_key_decoder, ALLOWED)


def change_of(values: Typed, before: Typed) -> KeyChange | None:
    """What was changed on the form; None where nothing was."""
    if not (different := changed(values, before, KINDS)):
        return None
    body = as_body(different, {name: KINDS[name] for name in different})
    return decode(msgspec.json.encode(body), key_change_decoder, ALLOWED)


def rotation_of(values: Typed) -> Rotation:
    body = as_body(values, {"grace_seconds": "count"})
    return decode(msgspec.json.encode(body), rotation_decoder, ALLOWED)


def as_typed(key: KeyAccount) -> Typed:
    """A key as its form would have been filled in."""
    row, minute, total = key.row, key.account("minute").budget, key.account("total").budget
    budget, allowed = key.account(row["limit_period"]).budget, read_allowed(row["allowed"])
    has = row["scopes"].split()
    return {
        "name": row["name"],
        "project": row["project"],
        "scopes": " ".join(scope for scope in SCOPES if scope in has),
        "expires_at": _local(row["expires_ms"]),
        "limit": _money(budget.limit_nano),
        "limit_reset": _RESET_OF[row["limit_period"]],
        "soft_limit": _money(budget.soft_nano),
        "characters_limit": _number(budget.limit_characters),
        "rates.requests_per_minute": _number(minute.limit_requests),
        "rates.characters_per_minute": _number(minute.limit_characters),
        "rates.concurrent": _number(total.limit_streams),
        "allowed.models": "\n".join(sorted(allowed.models or ())),
        "allowed.providers": "\n".join(sorted(allowed.providers or ())),
        "allowed.voices": "\n".join(sorted(allowed.voices or ())),
        "default_task": row["default_task"] or "",
    }


def _local(at_ms: int | None) -> str:
    """As a browser's field for a date and time has it, in UTC."""
    if at_ms is None:
        return ""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M")


def _money(nano: int | None) -> str:
    return "" if nano is None else usd(nano)


def _number(number: int | None) -> str:
    return "" if number is None else str(number)

"""Keys at the door: the bodies of `/keys`, and what each of their fields may be."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.endpoints.amounts import COUNT_ALLOWED, TIME_ALLOWED, USD_ALLOWED, Count, Usd
from gateway.metering.scopes import Period

Scope = Literal["speak", "read", "manage"]
Reset = Literal["daily", "weekly", "monthly"]
RESETS: Mapping[str | None, Period] = {
    "daily": "day",
    "weekly": "week",
    "monthly": "month",
    None: "total",
}
LONGEST_GRACE = 30 * 86_400
PLAIN = r"^[^\x00-\x1f\x7f]*$"
KeyName = Annotated[str, Meta(min_length=1, max_length=200, pattern=PLAIN)]
Named = Annotated[str, Meta(min_length=1, max_length=200, pattern=PLAIN)]
Listed = Annotated[list[Named], Meta(min_length=1, max_length=1000)] | UnsetType | None
_LISTED = "a list of 1 to 1000 names, or null for all of them"
ALLOWED = {
    "name": "1 to 200 characters, none of them a control character",
    "limit": USD_ALLOWED,
    "soft_limit": USD_ALLOWED + "; not above limit",
    "limit_reset": "daily, weekly, monthly, or null for never",
    "characters_limit": COUNT_ALLOWED,
    "rates": "{requests_per_minute, characters_per_minute, concurrent}",
    "rates.requests_per_minute": COUNT_ALLOWED,
    "rates.characters_per_minute": COUNT_ALLOWED,
    "rates.concurrent": COUNT_ALLOWED,
    "scopes": "one or more of speak, read, manage",
    "expires_at": TIME_ALLOWED,
    "allowed": "{models, providers, voices}",
    "allowed.models": _LISTED,
    "allowed.providers": _LISTED,
    "allowed.voices": _LISTED,
    "disabled": "true, false",
    "grace_seconds": f"a whole number from 0 to {LONGEST_GRACE}",
}


class Rates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`rates`: how fast a key may go."""

    requests_per_minute: Count = UNSET
    characters_per_minute: Count = UNSET
    concurrent: Count = UNSET


class AllowedBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`allowed`: what a key may use."""

    models: Listed = UNSET
    providers: Listed = UNSET
    voices: Listed = UNSET


class KeyChange(msgspec.Struct, frozen=True, kw_only=True):
    """What may change on a key: an absent field stays, null clears."""

    name: KeyName | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET
    limit: Usd = UNSET
    soft_limit: Usd = UNSET
    limit_reset: Reset | UnsetType | None = UNSET
    characters_limit: Count = UNSET
    rates: Rates | UnsetType | None = UNSET
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1)] | UnsetType = UNSET
    expires_at: datetime | UnsetType | None = UNSET
    allowed: AllowedBody | UnsetType | None = UNSET
    default_task: Named | UnsetType | None = UNSET
    project: Named | UnsetType = UNSET


class NewKey(KeyChange, frozen=True, kw_only=True):
    """What a key is made from: the same, with a name."""

    name: KeyName


class Rotation(msgspec.Struct, frozen=True):
    """How long a key's older secrets still work."""

    grace_seconds: Annotated[int, Meta(ge=0, le=LONGEST_GRACE)] = 3600


new_key_decoder = msgspec.json.Decoder(NewKey)
key_change_decoder = msgspec.json.Decoder(KeyChange)
rotation_decoder = msgspec.json.Decoder(Rotation)

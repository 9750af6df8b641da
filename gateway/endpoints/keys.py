"""`/key` and `/keys`: what a key may and did use, and making keys, in OpenRouter's bodies."""

import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, get, patch, post
from litestar.params import Parameter
from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import RowMapping

from gateway.access.keys import MANAGE, label, new_id, new_key
from gateway.access.pepper import keyed_hash
from gateway.endpoints.decoding import decode
from gateway.endpoints.paths import both
from gateway.endpoints.state import Gateway, gateway_of
from gateway.errors import InvalidRequest, NotFound
from gateway.metering import usage
from gateway.metering.operations import Budget, ChangeKey, CreateKey
from gateway.metering.prices import NANO_PER_USD
from gateway.metering.scopes import scope_of

MOST_USD = 9 * 10**9
Plain = Request[Any, Any, Any]
Scope = Literal["speak", "manage"]
KeyName = Annotated[str, Meta(min_length=1, max_length=200)]


class NewKey(msgspec.Struct, frozen=True):
    """What a key is made from."""

    name: KeyName
    limit: Decimal | None = None
    limit_reset: str | None = None
    expires_at: datetime | None = None
    scopes: tuple[Scope, ...] = ("speak",)


class KeyChange(msgspec.Struct, frozen=True):
    """What may change on a key; an absent field stays."""

    name: KeyName | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET
    limit: Decimal | UnsetType | None = UNSET
    limit_reset: str | UnsetType | None = UNSET


_new_key = msgspec.json.Decoder(NewKey)
_key_change = msgspec.json.Decoder(KeyChange)


@get(both("/key"))
async def own_key(request: Plain) -> dict[str, Any]:
    """What the calling key may and did use."""
    gateway = gateway_of(request)
    caller = await gateway.callers.accept(request.headers.get("authorization"))
    row, spent = await _key(gateway, caller.key_hash)
    manages = MANAGE in row["scopes"].split()
    return {
        "data": _shared(row, spent)
        | {
            "is_free_tier": False,
            "is_management_key": manages,
            "is_provisioning_key": manages,
            "organization_id": None,
            "allowed_data_regions": [],
            "budgets": [],
            "effective_budget": None,
            "free_model_daily_requests": {"limit": 0, "used": 0, "remaining": 0},
            "rate_limit": {"requests": -1, "interval": "10s", "note": "deprecated"},
            "scopes": row["scopes"].split(),
        }
    }


@get(both("/keys"))
async def list_keys(
    request: Plain,
    offset: Annotated[int, Parameter(ge=0)] = 0,
    include_disabled: bool = True,  # noqa: FBT001, FBT002  # a query's field
) -> dict[str, Any]:
    """A hundred keys from `offset` on, newest first."""
    gateway = await _managing(request)
    async with gateway.reading.connect() as connection:
        rows = await usage.keys(connection, offset=offset, include_disabled=include_disabled)
        spent = await usage.spent_since(connection, [row["hash"] for row in rows])
    return {"data": [told(row, spent.get(row["hash"], usage.Spent())) for row in rows]}


@post(both("/keys"))
async def create_key(request: Plain) -> dict[str, Any]:
    """Make a key; its plain text is in this answer and nowhere else."""
    gateway = await _managing(request)
    wanted = decode(await request.body(), _new_key)
    key = new_key()
    operation = new_key_operation(key, gateway.pepper, wanted)
    await gateway.writer.submit(operation)
    row, spent = await _key(gateway, operation.hash)
    return {"data": told(row, spent), "key": key}


@get(both("/keys/{hash_:str}"))
async def read_key(request: Plain, hash_: str) -> dict[str, Any]:
    """One key."""
    gateway = await _managing(request)
    return {"data": told(*await _key(gateway, hash_))}


@patch(both("/keys/{hash_:str}"))
async def change_key(request: Plain, hash_: str) -> dict[str, Any]:
    """Rename, disable, enable or limit a key."""
    gateway = await _managing(request)
    change = decode(await request.body(), _key_change)
    row, _ = await _key(gateway, hash_)
    budgets: tuple[Budget, ...] = ()
    if change.limit is not UNSET:
        budgets = (Budget(scope_of(hash_), "total", limit_nano=nano(change.limit)),)
    if change.limit_reset not in {UNSET, None}:
        raise _no_reset()
    await gateway.writer.submit(
        ChangeKey(
            key_hash=hash_,
            name=row["name"] if change.name is UNSET else change.name,
            disabled=row["disabled"] if change.disabled is UNSET else change.disabled,
            updated_ms=int(time.time() * 1000),
            expires_ms=row["expires_ms"],
            scopes=row["scopes"],
            budgets=budgets,
        )
    )
    return {"data": told(*await _key(gateway, hash_))}


def new_key_operation(key: str, pepper: bytes, wanted: NewKey) -> CreateKey:
    """The ledger's operation that makes `key` as `wanted`."""
    if wanted.limit_reset is not None:
        raise _no_reset()
    expires = wanted.expires_at
    if expires is not None and expires.tzinfo is None:
        expires = expires.replace(tzinfo=UTC)
    id_ = new_id()
    return CreateKey(
        hash=id_,
        secret=keyed_hash(pepper, key),
        name=wanted.name,
        label=label(key),
        scopes=" ".join(dict.fromkeys(wanted.scopes)),
        created_ms=int(time.time() * 1000),
        expires_ms=int(expires.timestamp() * 1000) if expires else None,
        budgets=(Budget(scope_of(id_), "total", limit_nano=nano(wanted.limit)),),
    )


def nano(usd: Decimal | None) -> int | None:
    """A limit in USD -> nano-USD."""
    if usd is None:
        return None
    if not usd.is_finite() or not 0 <= usd <= MOST_USD:
        wrong = f"limit: give USD from 0 to {MOST_USD}, or null for no limit"
        raise InvalidRequest(wrong, param="limit")
    return int(usd * NANO_PER_USD)


def told(row: RowMapping, spent: usage.Spent) -> dict[str, Any]:
    """A key as OpenRouter lists it, with its scopes."""
    return _shared(row, spent) | {
        "hash": row["hash"],
        "name": row["name"],
        "disabled": row["disabled"],
        "created_at": _iso(row["created_ms"]),
        "updated_at": _iso(row["updated_ms"]),
        "last_used_at": _iso(spent.last_used_ms),
        "external_user": None,
        "workspace_id": "default",
        "scopes": row["scopes"].split(),
    }


def _shared(row: RowMapping, spent: usage.Spent) -> dict[str, Any]:
    limit, used = row["limit_nano"], row["posted_nano"]
    return {
        "label": row["label"],
        "limit": None if limit is None else limit / NANO_PER_USD,
        "limit_remaining": None
        if limit is None
        else (limit - used - row["held_nano"]) / NANO_PER_USD,
        "limit_reset": None,
        "include_byok_in_limit": False,
        "usage": used / NANO_PER_USD,
        "usage_daily": spent.day_nano / NANO_PER_USD,
        "usage_weekly": spent.week_nano / NANO_PER_USD,
        "usage_monthly": spent.month_nano / NANO_PER_USD,
        "byok_usage": 0,
        "byok_usage_daily": 0,
        "byok_usage_weekly": 0,
        "byok_usage_monthly": 0,
        "characters": row["posted_characters"],
        "creator_user_id": None,
        "workspace_id": None,
        "expires_at": _iso(row["expires_ms"]),
    }


async def _managing(request: Plain) -> Gateway:
    gateway = gateway_of(request)
    await gateway.callers.accept(request.headers.get("authorization"), MANAGE)
    return gateway


async def _key(gateway: Gateway, wanted: str) -> tuple[RowMapping, usage.Spent]:
    async with gateway.reading.connect() as connection:
        rows = await usage.keys(connection, key_hash=wanted)
        if not rows:
            raise NotFound("there is no such key", param="hash")
        spent = await usage.spent_since(connection, [wanted])
    return rows[0], spent.get(wanted, usage.Spent())


def _no_reset() -> InvalidRequest:
    return InvalidRequest(
        "limit_reset: limits of this release run over a key's whole life; leave it null",
        param="limit_reset",
    )


def _iso(at_ms: int | None) -> str | None:
    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()

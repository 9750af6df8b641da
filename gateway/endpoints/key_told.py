"""A key as it is told: OpenRouter's shape, with ours beside."""

from typing import Any

from gateway.access.allowed import read_allowed
from gateway.access.keys import MANAGE
from gateway.endpoints.amounts import in_usd, iso
from gateway.endpoints.key_body import RESETS
from gateway.metering.register import KeyAccount
from gateway.metering.scopes import period_end

_RESET_OF = {period: reset for reset, period in RESETS.items()}


def told(key: KeyAccount) -> dict[str, Any]:
    """A key as OpenRouter lists it."""
    row = key.row
    return _shared(key) | {
        "hash": row["hash"],
        "name": row["name"],
        "disabled": row["disabled"],
        "created_at": iso(row["created_ms"]),
        "updated_at": iso(row["updated_ms"]),
        "last_used_at": iso(key.spent.last_used_ms),
        "external_user": None,
        "workspace_id": "default",
    }


def told_of_itself(key: KeyAccount) -> dict[str, Any]:
    """What the calling key is told of itself."""
    manages = MANAGE in key.row["scopes"].split()
    return _shared(key) | {
        "is_free_tier": False,
        "is_management_key": manages,
        "is_provisioning_key": manages,
        "organization_id": None,
        "allowed_data_regions": [],
        "budgets": [],
        "effective_budget": None,
        "free_model_daily_requests": {"limit": 0, "used": 0, "remaining": 0},
        "rate_limit": {"requests": -1, "interval": "10s", "note": "deprecated"},
    }


def _shared(key: KeyAccount) -> dict[str, Any]:
    row, spent = key.row, key.spent
    whole = key.account("total").balance
    limited = key.account(row["limit_period"])
    budget, balance = limited.budget, limited.balance
    characters = budget.limit_characters
    return {
        "label": row["label"],
        "limit": in_usd(budget.limit_nano),
        "limit_remaining": in_usd(left(budget.limit_nano, balance.used_nano)),
        "limit_reset": _RESET_OF[row["limit_period"]],
        "limit_resets_at": iso(period_end(row["limit_period"], balance.start_ms)),
        "soft_limit": in_usd(budget.soft_nano),
        "characters_limit": characters,
        "characters_remaining": left(characters, balance.used_characters),
        "include_byok_in_limit": False,
        "usage": in_usd(whole.posted_nano),
        "usage_daily": in_usd(spent.day_nano),
        "usage_weekly": in_usd(spent.week_nano),
        "usage_monthly": in_usd(spent.month_nano),
        "byok_usage": 0,
        "byok_usage_daily": 0,
        "byok_usage_weekly": 0,
        "byok_usage_monthly": 0,
        "characters": whole.posted_characters,
        "creator_user_id": None,
        "workspace_id": None,
        "expires_at": iso(row["expires_ms"]),
        "scopes": row["scopes"].split(),
        "rates": _rates(key),
        "allowed": _allowed(row["allowed"]),
        "default_task": row["default_task"],
        "project": row["project"],
    }


def left(limit: int | None, used: int) -> int | None:
    """What may still be held; nothing, where an operator's correction went beyond the limit."""
    return None if limit is None else max(0, limit - used)


def _rates(key: KeyAccount) -> dict[str, int | None]:
    minute = key.account("minute").budget
    return {
        "requests_per_minute": minute.limit_requests,
        "characters_per_minute": minute.limit_characters,
        "concurrent": key.account("total").budget.limit_streams,
    }


def _allowed(stored: str | None) -> dict[str, list[str] | None]:
    allowed = read_allowed(stored)
    lists = {name: getattr(allowed, name) for name in allowed.__slots__}
    return {name: None if each is None else sorted(each) for name, each in lists.items()}

"""Limits at the door: USD and counts, checked, and told again."""

from datetime import UTC, datetime
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Annotated

from msgspec import Meta, UnsetType

from gateway.endpoints.decoding import wrong
from gateway.metering.prices import NANO_PER_USD

MOST_USD = 9 * 10**9
MOST_COUNT = 10**12
USD_ALLOWED = f"USD from 0 to {MOST_USD} with at most 9 decimals, or null for no limit"
COUNT_ALLOWED = f"a whole number from 0 to {MOST_COUNT}, or null for no limit"
TIME_ALLOWED = "a time to come as ISO 8601, UTC unless it says otherwise, or null for never"
Usd = Decimal | UnsetType | None
Count = Annotated[int, Meta(ge=0, le=MOST_COUNT)] | UnsetType | None
_NANO, _NOT_ONE = Decimal("1e-9"), Decimal("NaN")
_EXACT = Context(prec=20, traps=[Inexact, InvalidOperation])


def nano(usd: Decimal | None, field: str) -> int | None:
    """A limit in USD -> nano-USD."""
    if usd is None:
        return None
    try:
        exact = usd.quantize(_NANO, context=_EXACT)
    except (Inexact, InvalidOperation):  # finer than a nano-USD, or beyond all bounds
        exact = _NOT_ONE
    if not exact.is_finite() or not 0 <= exact <= MOST_USD:
        raise wrong(field, f"give {USD_ALLOWED}")
    return int(exact * NANO_PER_USD)


def in_usd(nano: int | None) -> float | None:
    """Nano-USD as the number that OpenRouter's clients read."""
    return None if nano is None else nano / NANO_PER_USD


def moment_to_come(moment: datetime | None, field: str, now_ms: int) -> int | None:
    """A time -> epoch ms; one without a zone is UTC."""
    if moment is None:
        return None
    try:
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        at_ms = int(aware.astimezone(UTC).timestamp() * 1000)
    except OverflowError:
        at_ms = 0
    if at_ms <= now_ms:
        raise wrong(field, f"give {TIME_ALLOWED}")
    return at_ms


def iso(at_ms: int | None) -> str | None:
    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()

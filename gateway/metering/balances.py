"""Balances: what a scope may still hold in a period, and how a request moves it; pure."""

from dataclasses import dataclass, replace

from gateway.errors import BudgetExceeded, GatewayError, OfferRefused, RateLimited, SoftLimit
from gateway.metering.operations import Budget
from gateway.metering.prices import usd
from gateway.metering.scopes import GLOBAL, period_end

RATE_PERIODS = {"minute", "hour"}
STREAM_WAIT_SECONDS = 1.0
THOUSANDTHS = 1000


@dataclass(frozen=True, slots=True)
class Change:
    """How much one operation moves the counters of a balance."""

    posted_nano: int = 0
    held_nano: int = 0
    over_nano: int = 0
    posted_characters: int = 0
    held_characters: int = 0
    over_characters: int = 0
    requests: int = 0
    streams: int = 0


@dataclass(frozen=True, slots=True)
class Wish:
    """What a hold wants of every scope that it counts on."""

    nano: int
    characters: int
    requests: int = 1
    streams: int = 1
    is_priced: bool = True
    may_downgrade: bool = False
    downgrade_at: int | None = None


@dataclass(slots=True)
class Balance:
    """One scope's row of one period while a batch works on it; the columns of its table."""

    id: str
    scope: str
    period: str
    start_ms: int
    limit_nano: int | None
    limit_characters: int | None
    posted_nano: int = 0
    held_nano: int = 0
    over_nano: int = 0
    posted_characters: int = 0
    held_characters: int = 0
    over_characters: int = 0
    requests: int = 0
    streams: int = 0

    def apply(self, change: Change) -> None:
        self.posted_nano += change.posted_nano
        self.held_nano += change.held_nano
        self.over_nano += change.over_nano
        self.posted_characters += change.posted_characters
        self.held_characters += change.held_characters
        self.over_characters += change.over_characters
        self.requests += change.requests
        self.streams += change.streams

    @property
    def used_nano(self) -> int:
        return self.posted_nano + self.held_nano - self.over_nano

    @property
    def used_characters(self) -> int:
        return self.posted_characters + self.held_characters - self.over_characters


def refusal(balance: Balance, budget: Budget, wish: Wish, now_ms: int) -> GatewayError | None:
    """Why this balance cannot take `wish`; a rate says when to come back.

    Money and characters are judged by the limits of the balance's own period, which may be over.
    """
    return (
        # Where there is a cheaper plan it is tried first: it may fit where this one does not.
        _soft_refusal(balance, budget, wish)
        or _money_refusal(balance, wish)
        or _characters_refusal(balance, wish, now_ms)
        or _rate_refusal(balance, budget, wish, now_ms)
    )


def too_low(balance: Balance, budget: Budget) -> str | None:
    """Which limit of a new budget is below what the period has used already."""
    if budget.limit_nano is not None and budget.limit_nano < balance.used_nano:
        return f"limit: {usd(balance.used_nano)} USD are used already, so it cannot be lower"
    limit = budget.limit_characters
    if limit is not None and limit < balance.used_characters:
        used = balance.used_characters
        return f"characters_limit: {used} characters are used already, so it cannot be lower"
    return None


def with_limits(balance: Balance, budget: Budget) -> Balance:
    """The balance under a new budget."""
    return replace(balance, limit_nano=budget.limit_nano, limit_characters=budget.limit_characters)


def fitting(balance: Balance) -> Balance:
    """The balance without the limits that its use is beyond: they came after its period."""
    nano, characters = balance.limit_nano, balance.limit_characters
    return replace(
        balance,
        limit_nano=None if nano is None or nano < balance.used_nano else nano,
        limit_characters=None
        if characters is None or characters < balance.used_characters
        else characters,
    )


def _money_refusal(balance: Balance, wish: Wish) -> GatewayError | None:
    if balance.limit_nano is None:
        return None
    if not wish.is_priced:
        return OfferRefused(f"{_whose(balance)} has a budget, and this offer's price is not known")
    left = balance.limit_nano - balance.used_nano
    if wish.nano <= left:
        return None
    told = (
        f"{_whose(balance)}'s limit of {usd(balance.limit_nano)} USD{_per(balance)} leaves "
        f"{usd(left)} USD, and the request may cost up to {usd(wish.nano)} USD"
    )
    return _error(balance, told)


def _characters_refusal(balance: Balance, wish: Wish, now_ms: int) -> GatewayError | None:
    limit = balance.limit_characters
    if limit is None or wish.characters <= limit - balance.used_characters:
        return None
    told = (
        f"{_whose(balance)}'s limit of {limit} characters{_per(balance)} leaves "
        f"{limit - balance.used_characters}, and the request has {wish.characters}"
    )
    if balance.period in RATE_PERIODS and wish.characters <= limit:
        return RateLimited(told, retry_after=_wait(balance, now_ms))
    return _error(balance, told)


def _rate_refusal(balance: Balance, budget: Budget, wish: Wish, now_ms: int) -> GatewayError | None:
    limit = budget.limit_requests
    if wish.requests and limit is not None and balance.requests + wish.requests > limit:
        told = f"{_whose(balance)}'s limit of {limit} requests{_per(balance)} is reached"
        if limit == 0 or balance.period == "total":
            return _error(balance, told)
        return RateLimited(told, retry_after=_wait(balance, now_ms))
    streams = budget.limit_streams
    if wish.streams and streams is not None and balance.streams + wish.streams > streams:
        told = f"{_whose(balance)}'s limit of {streams} requests at once is reached"
        return RateLimited(told, retry_after=STREAM_WAIT_SECONDS)
    return None


def _soft_refusal(balance: Balance, budget: Budget, wish: Wish) -> GatewayError | None:
    if not wish.may_downgrade:
        return None
    nano, characters = budget.soft_nano, budget.soft_characters
    passed = (nano is not None and balance.used_nano + wish.nano > nano) or (
        characters is not None and balance.used_characters + wish.characters > characters
    )
    if passed:
        return SoftLimit(f"{_whose(balance)} is past its soft threshold")
    if _share_used(balance, wish):
        return SoftLimit(f"{_whose(balance)} is past the share of its budget that the task may use")
    return None


def _share_used(balance: Balance, wish: Wish) -> bool:
    """Whether more of a budget would be used than its first thousandths; a rate is no budget."""
    at = wish.downgrade_at
    if at is None or balance.period in RATE_PERIODS:
        return False
    nano, characters = balance.limit_nano, balance.limit_characters
    return (nano is not None and (balance.used_nano + wish.nano) * THOUSANDTHS > nano * at) or (
        characters is not None
        and (balance.used_characters + wish.characters) * THOUSANDTHS > characters * at
    )


def _error(balance: Balance, told: str) -> GatewayError:
    """A provider's own budget is no reason to refuse what another can do."""
    kind = OfferRefused if balance.scope.startswith("provider:") else BudgetExceeded
    return kind(told)


def _whose(balance: Balance) -> str:
    kind, _, name = balance.scope.partition(":")
    if kind == "key":
        return "this API key"
    return "this gateway" if kind == GLOBAL else f"{kind} {name}"


def _per(balance: Balance) -> str:
    return "" if balance.period == "total" else f" per {balance.period}"


def _wait(balance: Balance, now_ms: int) -> float:
    """Seconds until the next period begins."""
    end = period_end(balance.period, balance.start_ms)  # type: ignore[arg-type]  # the table's CHECK
    return 1.0 if end is None else max(1.0, (end - now_ms) / 1000)

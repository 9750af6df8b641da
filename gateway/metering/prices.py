"""What a text costs at a price: the most it can be before the call, and what it came to after."""

from dataclasses import dataclass
from math import inf

from gateway.metering.units import billed_characters
from providers import Price

PICO = 10**12
PICO_PER_NANO = 1000
NANO_PER_USD = 10**9
MS = 1000
DRIFT_PERCENT = 1
"""How far a provider's figure may lie from our own before somebody should look."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one clip came to, in nano-USD and in units of its price; None is not known, never 0."""

    nano: int | None
    units: int | None
    """The provider's count when it gave one, otherwise ours; None where we cannot count."""
    reported: bool = False
    """Whether the provider gave a figure of its own."""
    drift: bool = False
    """Whether that figure differs from our own by more than DRIFT_PERCENT."""
    malformed: bool = False
    """Whether it gave one that could not be read, which counts as none."""


def upper_bound(
    price: Price, text: str, longest_ms: int, instructions: str | None = None
) -> int | None:
    """The most that saying `text` once can cost, in nano-USD, rounded up; None if not known.

    A provider may count a second or a token that is begun as a whole one.
    """
    return _nano(price, text, _up(longest_ms, MS) * MS, instructions)


def actual(  # noqa: PLR0913, PLR0917  # what was said, what was heard, what was billed
    price: Price,
    text: str,
    spoken_ms: int,
    instructions: str | None = None,
    billed_units: int | None = None,
    billed_nano: int | None = None,
    billed_malformed: bool = False,  # noqa: FBT001, FBT002  # it stands beside what it is about
) -> Cost:
    """What it came to: by the provider's money, else by its count at our rate, else by our own."""
    own = _nano(price, text, spoken_ms, instructions)
    counted = None if billed_units is None else _of_credits(price, billed_units)
    told = billed_nano
    if told is None and counted is not None:
        told = _nano_of(price, text, counted, instructions)
    return Cost(
        nano=own if told is None else told,
        units=_units(price, text, spoken_ms) if counted is None else counted,
        reported=counted is not None or billed_nano is not None,
        drift=told is not None and own is not None and _differ(told, own),
        malformed=billed_malformed,
    )


def dearness(bound: int | None) -> float:
    """A bound to sort by: what is not known comes after everything that is."""
    return inf if bound is None else bound


def usd(nano: int) -> str:
    """Nano-USD as an exact decimal string of USD."""
    whole, rest = divmod(abs(nano), NANO_PER_USD)
    sign = "-" if nano < 0 else ""
    return f"{sign}{whole}.{rest:09d}".rstrip("0").rstrip(".") if rest else f"{sign}{whole}"


def _nano(price: Price, text: str, spoken_ms: int, instructions: str | None) -> int | None:
    """Our own computation."""
    match price.per:
        case "character":
            pico = price.rate * _characters(price, text)
        case "byte":
            pico = price.rate * len(text.encode())
        case "token":
            pico = _read_pico(price, text, instructions)
            pico += _up(price.output_rate * price.output_tokens_per_second * spoken_ms, MS)
        case "second":
            pico = _up(price.rate * spoken_ms, MS)
        case "run":
            pico = price.rate
        case "free":
            pico = 0
        case "unknown":
            return None
    return _up(pico, PICO_PER_NANO)


def _units(price: Price, text: str, spoken_ms: int) -> int | None:
    """Our own count of the units that a provider would report: of tokens, those that it says."""
    match price.per:
        case "character":
            return _characters(price, text)
        case "byte":
            return len(text.encode())
        case "token":
            return _up(price.output_tokens_per_second * spoken_ms, MS)
        case "second":
            return _up(spoken_ms, MS)
        case "run":
            return 1
        case "free" | "unknown":
            return None


def _characters(price: Price, text: str) -> int:
    """Who counts in credits bills a credit that is begun as a whole one."""
    characters = billed_characters(text, price.count)
    if not price.credit_rate:
        return characters
    return _of_credits(price, _up(characters * price.credit_rate, PICO))


def _of_credits(price: Price, billed: int) -> int:
    """The provider's count in units of its price: of credits, the characters that they pay for."""
    return _up(billed * PICO, price.credit_rate) if price.credit_rate else billed


def _nano_of(price: Price, text: str, units: int, instructions: str | None) -> int | None:
    """The provider's count at our rate."""
    if price.per == "unknown":
        return None
    if price.per == "token":
        return _up(_read_pico(price, text, instructions) + price.output_rate * units, PICO_PER_NANO)
    return _up(price.rate * units, PICO_PER_NANO)


def _read_pico(price: Price, text: str, instructions: str | None) -> int:
    """Tokens that are read: each is at least one byte; instructions are read, too."""
    return price.input_rate * (len(text.encode()) + len((instructions or "").encode()))


def _differ(told: int, own: int) -> bool:
    return abs(told - own) * 100 > own * DRIFT_PERCENT


def _up(amount: int, by: int) -> int:
    """Divide, rounding up."""
    return -(-amount // by)

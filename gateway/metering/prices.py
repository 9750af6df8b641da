"""What a text costs at a price: the most it can be before the call, and what it came to after."""

from fractions import Fraction
from math import ceil

from providers import Price

PICO_PER_NANO = 1000
# Speech runs at 12 to 20 letters a second; five leaves room for numbers, pauses and slow voices.
SLOWEST_CHARACTERS_PER_SECOND = 5
LEAD_SECONDS = 1


def upper_bound(price: Price, text: str, speed: float | None = None) -> int:
    """The most that saying `text` once can cost, in nano-USD, rounded up once."""
    pace = Fraction(speed or 1).limit_denominator(1000)
    seconds = LEAD_SECONDS + Fraction(len(text), SLOWEST_CHARACTERS_PER_SECOND) / pace
    # A token is at least one byte of its text.
    return _nano(price, text, seconds, input_tokens=len(text.encode()))


def actual(price: Price, text: str, seconds: float, bound: int) -> int:
    """What it came to, in nano-USD, from what was heard; never more than its bound."""
    heard = Fraction(seconds).limit_denominator(1000)
    return min(_nano(price, text, heard, input_tokens=len(text.encode())), bound)


def usd(nano: int) -> str:
    """Nano-USD as an exact decimal string of USD."""
    whole, rest = divmod(abs(nano), 10**9)
    sign = "-" if nano < 0 else ""
    return f"{sign}{whole}.{rest:09d}".rstrip("0").rstrip(".") if rest else f"{sign}{whole}"


def _nano(price: Price, text: str, seconds: Fraction, *, input_tokens: int) -> int:
    match price.per:
        case "character":
            pico = Fraction(price.rate * len(text))
        case "byte":
            pico = Fraction(price.rate * len(text.encode()))
        case "token":
            spoken = price.output_rate * price.output_tokens_per_second * seconds
            pico = price.input_rate * input_tokens + spoken
        case "second":
            pico = price.rate * seconds
        case "run":
            pico = Fraction(price.rate)
        case "free":
            return 0
    return ceil(pico / PICO_PER_NANO)

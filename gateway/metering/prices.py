"""What a text costs at a price: the most it can be before the call, and what it came to after."""

from math import ceil

from providers import Price

PICO_PER_NANO = 1000
NANO_PER_USD = 10**9
MS = 1000
# Speech runs at 12 to 20 letters a second; five leaves room for numbers, pauses and slow voices.
SLOWEST_MS_PER_CHARACTER = 200
LEAD_MS = 1000


def upper_bound(
    price: Price, text: str, speed: float | None = None, instructions: str | None = None
) -> int:
    """The most that saying `text` once can cost, in nano-USD, rounded up once."""
    # An offer may pay no heed to a speed, so a fast one makes nothing cheaper.
    slowness = 1 / min(speed or 1.0, 1.0)
    spoken_ms = ceil((LEAD_MS + len(text) * SLOWEST_MS_PER_CHARACTER) * slowness)
    return _nano(price, text, spoken_ms, instructions)


def actual(
    price: Price, text: str, spoken_ms: int, bound: int, instructions: str | None = None
) -> int:
    """What it came to, in nano-USD, from what was heard; never more than its bound."""
    return min(_nano(price, text, spoken_ms, instructions), bound)


def usd(nano: int) -> str:
    """Nano-USD as an exact decimal string of USD."""
    whole, rest = divmod(abs(nano), NANO_PER_USD)
    sign = "-" if nano < 0 else ""
    return f"{sign}{whole}.{rest:09d}".rstrip("0").rstrip(".") if rest else f"{sign}{whole}"


def _nano(price: Price, text: str, spoken_ms: int, instructions: str | None) -> int:
    match price.per:
        case "character":
            pico = price.rate * len(text)
        case "byte":
            pico = price.rate * len(text.encode())
        case "token":
            # A token is at least one byte of its text; instructions are read, too.
            pico = price.input_rate * (len(text.encode()) + len((instructions or "").encode()))
            pico += _up(price.output_rate * price.output_tokens_per_second * spoken_ms, MS)
        case "second":
            pico = _up(price.rate * spoken_ms, MS)
        case "run":
            pico = price.rate
        case "free":
            pico = 0
    return _up(pico, PICO_PER_NANO)


def _up(amount: int, by: int) -> int:
    """Divide, rounding up."""
    return -(-amount // by)

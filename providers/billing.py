"""The bill: what an answer's headers say that it costs; a figure that cannot be read is no figure.

Which headers those are, the provider's row says.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import httpx

from providers.catalog import Provider

NANO_PER_USD = 10**9
# One request for speech bills far less than this; more is another figure or a slip of the pen.
MOST_UNITS = 10**7
MOST_USD = 1000


@dataclass(frozen=True, slots=True)
class Bill:
    """What the provider says that it bills; None is not said, and never 0."""

    units: int | None = None
    nano: int | None = None
    malformed: bool = False
    """Whether something was said that is no amount: negative, absurd, or not a decimal number."""


def read_bill(headers: httpx.Headers, provider: Provider) -> Bill:
    units, units_odd = _amount(headers, provider.billed_units_header, 1, MOST_UNITS)
    nano, nano_odd = _amount(headers, provider.billed_usd_header, NANO_PER_USD, MOST_USD)
    return Bill(units, nano, units_odd or nano_odd)


def _amount(
    headers: httpx.Headers, name: str | None, scale: int, most: int
) -> tuple[int | None, bool]:
    """What the header says, times `scale` and rounded up; and whether it cannot be read."""
    said = headers.get(name) if name else None
    if said is None:
        return None, False
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,30})?", said):
        return None, True
    amount = Fraction(said)
    return (None, True) if amount > most else (ceil(amount * scale), False)

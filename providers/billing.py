"""The bill: what an answer says that it costs; a figure that cannot be read is no figure.

Which headers say so, the provider's row tells; where it stands in a body, the wire knows.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import ceil

import httpx

from providers.catalog import Provider

NANO_PER_USD = 10**9
# One request for speech bills far less than this; more is another figure or a slip of the pen.
MOST_UNITS = 10**7
MOST_USD = 1000
_FINEST, _HIGHEST = -30, 12
"""Powers of ten that the first digit of an amount may stand at."""


@dataclass(frozen=True, slots=True)
class Bill:
    """What the provider says that it bills; None is not said, and never 0."""

    units: int | None = None
    nano: int | None = None
    malformed: bool = False
    """Whether something was said that is no amount: negative, absurd, or not a decimal number."""


def read_bill(headers: httpx.Headers, provider: Provider) -> Bill:
    by_units, by_usd = provider.billed_units_header, provider.billed_usd_header
    return _bill(
        headers.get(by_units) if by_units else None, headers.get(by_usd) if by_usd else None
    )


def bill_told(units: object = None, usd: object = None) -> Bill:
    """The bill from a body's numbers, which must be exact: a Decimal or an integer, no float."""
    return _bill(_plain(units), _plain(usd))


def _bill(units_said: str | None, usd_said: str | None) -> Bill:
    units, units_odd = _amount(units_said, 1, MOST_UNITS)
    nano, nano_odd = _amount(usd_said, NANO_PER_USD, MOST_USD)
    return Bill(units, nano, units_odd or nano_odd)


def _plain(said: object) -> str | None:
    """A JSON number without an exponent; a word that is no amount for anything else but null."""
    if said is None:
        return None
    if isinstance(said, int) and not isinstance(said, bool):
        said = Decimal(said)
    if not isinstance(said, Decimal) or not said.is_finite():
        return "no number"
    return f"{said:f}" if _FINEST <= said.adjusted() <= _HIGHEST else "no amount"


def _amount(said: str | None, scale: int, most: int) -> tuple[int | None, bool]:
    """What is said, times `scale` and rounded up; and whether it cannot be read."""
    if said is None:
        return None, False
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,30})?", said):
        return None, True
    amount = Fraction(said)
    return (None, True) if amount > most else (ceil(amount * scale), False)

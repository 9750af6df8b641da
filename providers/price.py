"""What an offer costs: the price as it stands in its row, and as a value with a version.

A unit's rate says nothing before the provider's way of counting is known, so `count` is a term of
the price. gateway/metering applies both.
"""

import re
from dataclasses import dataclass, field, fields
from fractions import Fraction
from hashlib import sha256
from typing import Annotated, Literal

import msgspec

PICO = 10**12
MILLION = 10**6
VERSION_DIGITS = 16

Unit = Literal["character", "byte", "token", "second", "run", "free", "unknown"]
Count = Literal["code_points", "han_twice", "without_tags", "without_marks"]
"""Which characters are billed; a text is markup when it is one `<speak>` document.

`code_points`: every one. `han_twice`: each Chinese ideograph is two, the tags of `<speak>` and
`<voice>` none. `without_tags`: no tag counts. `without_marks`: every tag but `<mark>` counts.
"""


@dataclass(frozen=True, slots=True)
class Price:
    """What an offer costs, in integer pico-USD (1e-12 USD) per unit; free is never guessed."""

    per: Unit
    rate: int = 0
    """Per character, byte, second or run."""
    input_rate: int = 0
    """Per input token."""
    output_rate: int = 0
    """Per output token."""
    output_tokens_per_second: int = 0
    count: Count = "code_points"
    """Which characters a price per character counts."""
    credit_rate: int = 0
    """Pico-credits per character, where the provider bills whole credits; 0 where it does not."""
    source: str | None = None
    as_of: str | None = None
    version: str = field(init=False)
    """The same for the same terms, another for any other."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "version", self._version())

    def _version(self) -> str:
        # Terms at their default stay out, so that a new kind of term renames no old price.
        terms = [(each.name, getattr(self, each.name), each) for each in fields(self) if each.init]
        said = [(name, value) for name, value, each in terms if value != each.default]
        return sha256(msgspec.json.encode(said)).hexdigest()[:VERSION_DIGITS]


class PriceRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """design.md section 10, "Prices": which fields belong to which unit."""

    per: Unit
    usd_per_million: str | None = None
    input_usd_per_million: str | None = None
    output_usd_per_million: str | None = None
    output_tokens_per_second: Annotated[int, msgspec.Meta(gt=0)] | None = None
    usd: str | None = None
    count: Count | None = None
    credits_per_character: str | None = None
    source: str | None = None
    as_of: str | None = None

    _needs = {
        "character": {"usd_per_million", "source", "as_of"},
        "byte": {"usd_per_million", "source", "as_of"},
        "token": {
            "input_usd_per_million",
            "output_usd_per_million",
            "output_tokens_per_second",
            "source",
            "as_of",
        },
        "second": {"usd", "source", "as_of"},
        "run": {"usd", "source", "as_of"},
        "free": set[str](),
        "unknown": set[str](),
    }
    _may = {"character": {"count", "credits_per_character"}}

    def __post_init__(self) -> None:
        needs = self._needs[self.per]
        given = {name for name in self.__struct_fields__ if getattr(self, name) is not None}
        if missing := sorted(needs - given):
            raise ValueError(f"a price per {self.per} needs {', '.join(missing)}")
        known = needs | self._may.get(self.per, set()) | {"per", "source", "as_of"}
        if extra := sorted(given - known):
            raise ValueError(f"a price per {self.per} has no {', '.join(extra)}")
        self.price()

    def price(self) -> Price:
        return Price(
            per=self.per,
            rate=_pico(self.usd_per_million, MILLION) + _pico(self.usd, 1),
            input_rate=_pico(self.input_usd_per_million, MILLION),
            output_rate=_pico(self.output_usd_per_million, MILLION),
            output_tokens_per_second=self.output_tokens_per_second or 0,
            count=self.count or "code_points",
            credit_rate=_credits(self.credits_per_character),
            source=self.source,
            as_of=self.as_of,
        )


def _credits(per_character: str | None) -> int:
    """Decimal credits for a character -> whole pico-credits."""
    credit_rate = _whole(per_character, 1, "credits")
    if per_character is not None and not credit_rate:
        raise ValueError("credits_per_character must be more than zero")
    return credit_rate


def _pico(usd: str | None, units: int) -> int:
    """Decimal USD for `units` units -> whole pico-USD for one."""
    return _whole(usd, units, "USD")


def _whole(amount: str | None, units: int, of: str) -> int:
    if amount is None:
        return 0
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,30})?", amount):
        raise ValueError(f"{amount!r} is not a decimal number of {of}, zero or more")
    exact = Fraction(amount) * PICO / units
    if exact.denominator != 1:
        raise ValueError(f"{amount!r} is finer than a pico-{of.removesuffix('s')} per unit")
    return int(exact)

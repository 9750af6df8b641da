"""Operations that the gateway asks for itself: prices seen, kept texts that go."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExpireTexts:
    """Delete kept texts whose time is over, some hundreds at most; False: there was none."""


@dataclass(frozen=True, slots=True)
class ShortenTexts:
    """Keep texts for less time than they were to be kept."""

    ends: tuple[tuple[str, int], ...]
    """Generation ids, each with the epoch ms until which its text is kept."""


@dataclass(frozen=True, slots=True)
class SeenPrice:
    """An offer's price as the catalogue has it."""

    version: str
    offer: str
    terms: str
    """JSON."""


@dataclass(frozen=True, slots=True)
class SeePrices:
    """Write down the prices that the price book does not have yet."""

    prices: tuple[SeenPrice, ...]


Upkeep = SeePrices | ExpireTexts | ShortenTexts

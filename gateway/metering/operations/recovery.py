"""Operations of recovery: which gateways live, and what becomes of what dead ones held."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lose:
    """The holds of a dead gateway: money stays counted, characters are not charged."""

    generation_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Judge:
    """End what stayed unknown by the operator's rule: keep the money, or give it back."""

    generation_ids: tuple[str, ...]
    keep: bool


@dataclass(frozen=True, slots=True)
class Beat:
    """This gateway lives. The first beat makes its row."""

    instance: str


@dataclass(frozen=True, slots=True)
class Leave:
    """Gateways that hold nothing any more: their rows go."""

    instances: tuple[str, ...]


Recovery = Lose | Judge | Beat | Leave

"""What a key may use: models, providers and voices by name, where it may not use them all."""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

Names = frozenset[str] | None
FIELDS = ("model", "provider", "voice")
"""The body's fields that name them, in the order in which they are judged."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """None: all of them."""

    models: Names = None
    providers: Names = None
    voices: Names = None

    def json(self) -> str | None:
        """As it is stored; None when everything is allowed."""
        told = {name: sorted(getattr(self, name) or ()) or None for name in self.__slots__}
        return msgspec.json.encode(told).decode() if any(told.values()) else None

    def bars(self, model: str, provider: str, voice: str) -> tuple[str, str] | None:
        """The first of these that the key may not use, with the body's field that names it."""
        asked = zip(FIELDS, (model, provider, voice), self.lists, strict=True)
        return next(
            ((f, name) for f, name, may in asked if may is not None and name not in may), None
        )

    @property
    def lists(self) -> tuple[Names, Names, Names]:
        return self.models, self.providers, self.voices


EVERYTHING = Allowed()


def read_allowed(stored: str | None) -> Allowed:
    """The other way round of `Allowed.json`."""
    return EVERYTHING if stored is None else msgspec.json.decode(stored, type=Allowed)


def names(given: Iterable[str] | None) -> Names:
    return None if given is None else frozenset(given)

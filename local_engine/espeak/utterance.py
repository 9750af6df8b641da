"""The unit of work and the voices to choose from, as they cross the pipe to and from a worker.

Named tuples, because JSON carries them as plain lists and a worker starts sooner without
dataclasses.
"""

from typing import NamedTuple


class Utterance(NamedTuple):
    """What a worker is to say, in the library's own terms."""

    text: str
    voice: str
    """A file below the library's voices, with its variant: `gmw/en-US+f3`."""
    rate: int
    """Words a minute."""
    pitch: int
    """0 to 100; 50 is the voice's own."""


class LibraryVoice(NamedTuple):
    """A voice or a variant as the library lists it."""

    name: str
    identifier: str
    """The file it is loaded from: `gmw/en-US`; for a variant `!v/f3`."""
    languages: list[tuple[int, str]]
    """Language tags, each with its rank; the lowest rank speaks a shared tag best."""
    gender: int
    """1 male, 2 female, 0 untold."""

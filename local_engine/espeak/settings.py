"""What the embedded voice is told at start; the command line fills it in."""

from dataclasses import dataclass

MODEL = "espeak-ng"


@dataclass(frozen=True, slots=True)
class Settings:
    """How many voices speak at once, and how long it is patient."""

    workers: int = 2
    """Utterances spoken at the same time, each in a process of its own."""
    waiting: int = 64
    """Requests that may wait for a worker; the next one is answered 429."""
    patience_seconds: float = 30
    """How long a request waits for a worker before it is answered 503."""
    stall_seconds: float = 60
    """How long a client may take no audio before its worker is taken from it."""
    max_characters: int = 100_000

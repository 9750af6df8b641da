"""What the process beside the benchmark tells, line by line."""

from msgspec import Struct

from local_engine.benching.record import Baseline, Parity


class Begun(Struct, frozen=True, tag="begun"):
    """The next thing is tried; if nothing comes after it, it was cut off."""

    what: str


class Failed(Struct, frozen=True, tag="failed"):
    """It did not work, and why."""

    what: str
    why: str


Told = Begun | Failed | Parity | Baseline

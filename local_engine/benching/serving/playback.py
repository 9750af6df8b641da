"""What a player hears that begins at the first samples and plays whatever has come by then."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Arrival:
    """Some samples of a clip: when they came, and for how many seconds they play."""

    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Heard:
    """One clip at its listener's."""

    first: float
    """When its first samples came."""
    seconds: float
    """Of sound."""
    under_runs: int
    """How often there was nothing to play before the clip was over."""
    waited: float
    """Seconds of silence in it."""
    gaps: tuple[float, ...]
    """Between one arrival and the next."""


def play(arrivals: Sequence[Arrival]) -> Heard:
    """Play a clip; it must have one arrival at least. After an under-run it goes on at once."""
    until, under_runs, waited = arrivals[0].at, 0, 0.0
    for arrival in arrivals:
        late = arrival.at - until
        if late > 0:
            under_runs += 1
            waited += late
        until = max(until, arrival.at) + arrival.seconds
    times = [arrival.at for arrival in arrivals]
    return Heard(
        first=times[0],
        seconds=sum(arrival.seconds for arrival in arrivals),
        under_runs=under_runs,
        waited=waited,
        gaps=tuple(later - sooner for sooner, later in pairwise(times)),
    )

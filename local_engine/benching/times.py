"""Times: what many of them come to, how a device's are taken, and how long a run may last."""

import logging
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

import torch

from local_engine.benching.record import Dropped, Spread
from local_engine.csm.running import OutOfMemory

log = logging.getLogger(__name__)

Found = TypeVar("Found")
Clock = Callable[[], float]

_GROWTH = 1.5
"""A point is expected to take so many times what the one before it took."""


def percentile(values: Sequence[float], share: float) -> float:
    """Give the least value that at least this share (0 to 1) of all values does not exceed."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


def spread(ms: Sequence[float]) -> Spread:
    """Sum up times, of which there must be one at least."""
    mean = sum(ms) / len(ms)
    p50, p95, p99 = (percentile(ms, share) for share in (0.50, 0.95, 0.99))
    return Spread(samples=len(ms), mean=mean, p50=p50, p95=p95, p99=p99)


def synchronise(device: torch.device) -> None:
    """Wait for all that the device was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(call: Callable[[], object], times: int, device: torch.device, warm: int = 2) -> Spread:
    """Repeat a call. On CUDA the device's own events are read once all is done."""
    for _ in range(warm):
        call()
    synchronise(device)
    return spread(_events(call, times) if device.type == "cuda" else _seconds(call, times))


def _seconds(call: Callable[[], object], times: int) -> list[float]:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        took.append(1000 * (time.perf_counter() - began))
    return took


def _events(call: Callable[[], object], times: int) -> list[float]:
    marks = []
    for _ in range(times):
        begin, end = _event(), _event()
        begin.record()
        call()
        end.record()
        marks.append((begin, end))
    torch.cuda.synchronize()
    return [begin.elapsed_time(end) for begin, end in marks]


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # untyped in torch


class OutOfTime(Exception):
    """A measurement was cut off."""


class Budget:
    """Lets measurements begin while there is time, cuts them off, and keeps what was dropped."""

    def __init__(self, seconds: float, clock: Clock = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._began = clock()
        self.dropped: list[Dropped] = []

    @property
    def spent(self) -> float:
        return self._clock() - self._began

    def until(self, share: float) -> float:
        """Give the seconds that are left of this share of the whole."""
        return share * self.seconds - self.spent

    def drop(self, what: str, why: str) -> None:
        self.dropped.append(Dropped(what, why))

    def attempt(
        self, what: str, share: float, do: Callable[[], Found], expected: float = 0.0
    ) -> Found | None:
        """Measure, unless there is no time or memory for it or it fails: then it is dropped."""
        left = self.until(share)
        if left <= 0:
            self.drop(what, "no time is left for it")
            return None
        if left < expected:
            self.drop(what, f"it may need {expected:.1f} s, {left:.1f} s are left")
            return None
        try:
            with _alarm(left):
                return do()
        except OutOfTime:
            self.drop(what, f"cut off after {left:.1f} s: the time is over")
        except (OutOfMemory, torch.OutOfMemoryError):
            self.drop(what, "the device has no memory for it")
        # The other figures are worth having, whatever a device, a compiler or a driver says here.
        except Exception as error:
            log.exception("%s failed", what)
            reason = str(error).strip().partition("\n")[0]
            self.drop(what, f"{type(error).__name__}: {reason}")
        return None

    def each(
        self, points: Sequence[tuple[str, Callable[[], Found]]], share: float
    ) -> Iterator[Found]:
        """Measure these one after the other, as long as there is time for the next."""
        expected = 0.0
        for what, do in points:
            began = self.spent
            found = self.attempt(what, share, do, expected)
            if found is not None:
                expected = _GROWTH * (self.spent - began)
                yield found


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in the main thread when so many seconds are over."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise OutOfTime

    handler = signal.signal(signal.SIGALRM, ring)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *timer)

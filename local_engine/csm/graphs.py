"""CUDA graphs of what is repeated: captured when first asked for, replayed from then on.

Whatever is captured works on the trash slot alone meanwhile, before anything of the step is done:
a capture that fails leaves nothing half done, and the work is done without a graph.
"""

import gc
import logging
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import Protocol

import torch

from local_engine.csm.running import Captured

log = logging.getLogger(__name__)

Work = Callable[[], None]
"""What a graph holds: it reads and writes tensors that stay where they are."""

_AGAIN = 256
"""Calls after which a capture that memory was too small for is tried again: 20 s of frames."""


class Recorder(Protocol):
    """Makes graphs that are never replayed beside each other."""

    def free(self) -> int:
        """Count the bytes that the device has left, nothing held back."""

    def capture(self, work: Work) -> Work:
        """Run the work once, so that all is compiled and set aside; then capture it.

        Gives what replays it on the stream that is current then. RuntimeError where that cannot
        be: by then nothing of the work runs any more, and another may be captured.
        """


class EagerRecorder:
    """Replays by calling: all that a graph is, but the capture itself. For a CPU."""

    def free(self) -> int:
        return 0

    def capture(self, work: Work) -> Work:
        work()
        return work


class CudaRecorder:
    """One pool of memory for all its graphs, and one stream to capture on.

    Graphs that run beside each other need two of these: cuBLAS has its workspace per stream.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # untyped in torch
        self._pool = torch.cuda.graph_pool_handle()
        self._graphs = 0

    def free(self) -> int:
        torch.cuda.synchronize(self._device)
        torch.cuda.empty_cache()
        return torch.cuda.mem_get_info(self._device)[0]

    def capture(self, work: Work) -> Work:
        # No stream waits for the other from here on: each is done with what the work touches.
        torch.cuda.synchronize(self._device)
        try:
            # torch's own context stays on its stream where a capture breaks; this one leaves it.
            with _no_collection(), torch.cuda.stream(self._stream):
                graph = self._captured(work)
        except RuntimeError:
            self._settle()
            raise
        self._graphs += 1
        return graph.replay

    def _captured(self, work: Work) -> torch.cuda.CUDAGraph:
        work()
        graph = torch.cuda.CUDAGraph()
        # Recordings are encoded by another thread meanwhile, which may allocate as it likes.
        with torch.cuda.graph(
            graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
        ):
            work()
        return graph

    def _settle(self) -> None:
        """Wait for what was begun. A pool dies with its last graph, and its name with it."""
        torch.cuda.synchronize(self._device)
        if not self._graphs:
            self._pool = torch.cuda.graph_pool_handle()


def recorder_for(device: torch.device) -> Recorder:
    """Give what captures on this device; on a CPU, where there are no graphs, what calls."""
    return CudaRecorder(device) if device.type == "cuda" else EagerRecorder()


class Graphs:
    """The graphs of one runner: by their kind, and by what was fixed when they were captured."""

    def __init__(self, recorders: Mapping[str, Recorder]) -> None:
        """Take a recorder for each kind that is to be captured, which kinds may share."""
        self._recorders = recorders
        self._held: dict[tuple[str, Hashable], Work] = {}
        self._wait: dict[tuple[str, Hashable], int] = {}
        """How often each that memory was too small for is to be called before it is tried again."""
        self._given_up: set[str] = set()
        self.captured = {kind: Captured() for kind in recorders}

    def hold(self, kind: str) -> bool:
        """Tell whether this kind is captured at all."""
        return kind in self._recorders

    def find(self, kind: str, key: Hashable, work: Work, rest: Callable[[], object]) -> Work:
        """Give what replays the work; or the work itself, where there is no graph of it.

        Before a capture, `rest` must leave the work nothing to work on but the trash slot.
        """
        place = kind, key
        if place not in self._held and self._may_try(place):
            self._try(place, work, rest)
        return self._held.get(place, work)

    def _may_try(self, place: tuple[str, Hashable]) -> bool:
        if not self.hold(place[0]) or place[0] in self._given_up:
            return False
        left = self._wait.pop(place, 0)
        if left:
            self._wait[place] = left - 1
        return not left

    def _try(self, place: tuple[str, Hashable], work: Work, rest: Callable[[], object]) -> None:
        try:
            self._held[place] = self._capture(place, work, rest)
        except RuntimeError as error:
            if _is_for_want_of_memory(error):
                log.warning("no memory for a CUDA graph of %s %s: it runs without one", *place)
                self._wait[place] = _AGAIN
            else:
                # torch up to 2.11 takes a broken capture for one that goes on: leave it at that.
                log.warning("no CUDA graphs of %s: they run without", place[0], exc_info=error)
                self._given_up.add(place[0])

    def _capture(self, place: tuple[str, Hashable], work: Work, rest: Callable[[], object]) -> Work:
        recorder = self._recorders[place[0]]
        free, began = recorder.free(), perf_counter()
        rest()
        replay = recorder.capture(work)
        seconds = perf_counter() - began
        taken = max(0, free - recorder.free())
        self.captured[place[0]] += Captured(1, seconds, taken)
        log.info("captured %s %s in %.2f s, %.1f MiB", *place, seconds, taken / 2**20)
        return replay


def _is_for_want_of_memory(error: BaseException | None) -> bool:
    """Look through what an error covers: a capture that breaks off ends with one of its own.

    CUDA itself, which makes the graph, has no class for it.
    """
    while error is not None:
        if isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep Python from giving up, in the middle of a capture, what only a synchronised device may.

    Another runner's graphs or events may be part of a cycle.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()

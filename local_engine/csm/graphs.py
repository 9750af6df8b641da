"""CUDA graphs of what a step repeats: captured when first asked for, replayed from then on.

A replay asks for no memory. It can only run out in a capture, which works on the trash slot alone,
before anything of the step is replayed: so a step stays all or nothing.
"""

import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

import torch

log = logging.getLogger(__name__)

Work = Callable[[], None]
"""What a graph holds: it reads and writes tensors that stay where they are."""


class Recorder(Protocol):
    """Makes graphs that are never replayed beside each other."""

    def free(self) -> int:
        """Count the bytes that the device has left, nothing held back."""

    def capture(self, work: Work) -> Work:
        """Run the work once, so that all is compiled and set aside; then capture it.

        Gives what replays it on the stream that is current then.
        """


class CudaRecorder:
    """One pool of memory for all its graphs, and one stream to capture on.

    Graphs that run beside each other need two of these: cuBLAS has its workspace per stream.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # untyped in torch
        self._pool = torch.cuda.graph_pool_handle()

    def free(self) -> int:
        torch.cuda.synchronize(self._device)
        torch.cuda.empty_cache()
        return torch.cuda.mem_get_info(self._device)[0]

    def capture(self, work: Work) -> Work:
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            work()
        graph = torch.cuda.CUDAGraph()
        # Recordings are encoded by another thread meanwhile, which may allocate as it likes.
        with torch.cuda.graph(
            graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
        ):
            work()
        return graph.replay


def recorder_for(device: torch.device) -> Recorder | None:
    """Give what captures on this device, or None where there are no graphs."""
    return CudaRecorder(device) if device.type == "cuda" else None


@dataclass(slots=True)
class Spent:
    """What captures have cost so far."""

    graphs: int = 0
    seconds: float = 0.0
    bytes: int = 0


class Graphs:
    """The graphs of one recorder, by what was fixed when they were captured."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._held: dict[Hashable, Work | None] = {}
        self.spent = Spent()

    def find(self, key: Hashable, work: Work, rest: Callable[[], object]) -> Work:
        """Give what replays the work; or the work itself, where it cannot be captured.

        Before a capture, `rest` must leave the work nothing to work on but the trash slot.
        torch.OutOfMemoryError: nothing has changed, and the next call tries again.
        """
        if key not in self._held:
            self._held[key] = self._captured(key, work, rest)
        return self._held[key] or work

    def _captured(self, key: Hashable, work: Work, rest: Callable[[], object]) -> Work | None:
        free, began = self._recorder.free(), perf_counter()
        rest()
        try:
            replay = self._recorder.capture(work)
        except RuntimeError as error:
            if _is_for_want_of_memory(error):
                raise torch.OutOfMemoryError(str(error)) from error
            if None not in self._held.values():
                log.warning("no CUDA graph of %s: it runs without one", key, exc_info=error)
            return None
        seconds, taken = perf_counter() - began, max(0, free - self._recorder.free())
        self.spent.graphs += 1
        self.spent.seconds += seconds
        self.spent.bytes += taken
        log.info("captured %s in %.2f s, %.1f MiB", key, seconds, taken / 2**20)
        return replay


def _is_for_want_of_memory(error: BaseException | None) -> bool:
    """Look through what an error covers: a capture that breaks off ends with one of its own."""
    while error is not None and not isinstance(error, torch.OutOfMemoryError):
        error = error.__cause__ or error.__context__
    return error is not None

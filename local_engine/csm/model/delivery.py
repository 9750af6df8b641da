"""A step's way to the host: memory that waits for it, and the event after which it is there."""

import numpy as np
import torch
from torch import Tensor

from local_engine.csm.running import StepOutput
from local_engine.csm.shape import Shape


class Delivery:
    """One step's place on the host; on CUDA it is pinned, and sending does not wait."""

    def __init__(self, shape: Shape, most_rows: int, device: torch.device) -> None:
        pinned = device.type == "cuda"
        self._codes = torch.zeros(most_rows, shape.codebooks, dtype=torch.int64, pin_memory=pinned)
        self._stopped = torch.zeros(most_rows, dtype=torch.bool, pin_memory=pinned)
        self._pcm = torch.zeros(
            most_rows, shape.frame_samples, dtype=torch.int16, pin_memory=pinned
        )
        self._arrived = torch.cuda.Event() if pinned else None  # type: ignore[no-untyped-call]  # untyped in torch
        self._slots: tuple[int, ...] = ()

    def send(self, slots: tuple[int, ...], codes: Tensor, stopped: Tensor, pcm: Tensor) -> None:
        """Copy the first rows, one for each of `slots`; what follows them is padding.

        Types are equal on both sides, so that no device memory is asked for.
        """
        count = len(slots)
        for place, made in ((self._codes, codes), (self._stopped, stopped), (self._pcm, pcm)):
            place[:count].copy_(made[:count], non_blocking=True)
        if self._arrived is not None:
            self._arrived.record()
        self._slots = slots

    def take(self) -> StepOutput:
        """Wait for what was sent; the arrays are the caller's own."""
        if self._arrived is not None:
            self._arrived.synchronize()
        count = len(self._slots)
        return StepOutput(
            rows=self._slots,
            codes=self._codes[:count].numpy().astype(np.int32),
            stopped=self._stopped[:count].numpy().copy(),
            pcm=self._pcm[:count].numpy().copy(),
        )

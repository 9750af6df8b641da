"""The hook for a watermark: every sample of a clip goes through it, or is not heard at all."""

import importlib
import logging
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Pcm = NDArray[np.int16]

log = logging.getLogger(__name__)


class Watermarker(Protocol):
    """Marks one clip as it is made. It may hold samples back, and give them later."""

    def push(self, samples: Pcm) -> Pcm:
        """Take the next samples; give those that are marked by now, as many as there are."""

    def flush(self) -> Pcm:
        """Give the rest: the clip is over."""


NewWatermarker = Callable[[], Watermarker]


class WatermarkError(Exception):
    """A watermarker that cannot be found, or does not do what it should."""


def find(name: str | None) -> NewWatermarker | None:
    """Load `module:function`, which makes one for each clip; None where none is wanted."""
    if name is None:
        return None
    module, _, function = name.partition(":")
    try:
        new: NewWatermarker = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise WatermarkError(f"no watermarker is at {name!r}: {error}") from error
    if not callable(new):
        raise WatermarkError(f"{name!r} is no function")
    log.warning("every clip is watermarked by %s", name)
    return new


def made(new: NewWatermarker) -> Watermarker:
    """Make one for a clip; WatermarkError for whatever goes wrong in it."""
    try:
        return new()
    except Exception as error:  # code of others, and unmarked audio must not pass
        raise WatermarkError(f"no watermarker could be made: {error!r}") from error


def marked(marking: Callable[[], Pcm]) -> Pcm:
    """Have it mark; WatermarkError for whatever goes wrong in it."""
    try:
        pcm = marking()
    except Exception as error:  # as above
        raise WatermarkError(f"the watermarker failed: {error!r}") from error
    if not isinstance(pcm, np.ndarray) or pcm.dtype != np.int16 or pcm.ndim != 1:
        raise WatermarkError("the watermarker gave something else than 16-bit samples")
    return np.ascontiguousarray(pcm)

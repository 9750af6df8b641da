"""What the runner asks of a codec: codes into samples for many streams, samples into codes."""

from typing import Protocol

from torch import Tensor


class FrameDecoder(Protocol):
    """Codes into samples, a frame at a time, with one stream's state in each slot."""

    def reset(self, slot: int) -> None:
        """Begin a new stream in this slot."""

    def decode(self, rows: Tensor, codes: Tensor) -> Tensor:
        """Turn codes int64 [rows, codebooks] of the slots `rows` into float32 [rows, samples].

        Padding rows name the trash slot, whose index is the number of slots. All or nothing: where
        it raises, no slot has changed.
        """


class SegmentEncoder(Protocol):
    """Samples into codes, a whole segment at once, which stands alone."""

    def encode(self, samples: Tensor) -> Tensor:
        """Turn float32 [frames * frame_samples] into int64 [frames, codebooks]."""

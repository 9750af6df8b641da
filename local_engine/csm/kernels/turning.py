"""Rotary positions inside of a kernel: what `rope.rotate` does, halves against each other."""

import triton
import triton.language as tl


@triton.jit
def turned(first: tl.tensor, second: tl.tensor, cos: tl.tensor, sin: tl.tensor, KIND: tl.constexpr):
    """Turn the two halves of heads; in float32, but rounded to KIND where torch rounds.

    The angles of both halves are the same, so that half of a RopeTable's row is enough.
    """
    cos, sin = cos.to(tl.float32), sin.to(tl.float32)
    first, second = first.to(tl.float32), second.to(tl.float32)
    ahead = (first * cos).to(KIND).to(tl.float32) - (second * sin).to(KIND).to(tl.float32)
    behind = (second * cos).to(KIND).to(tl.float32) + (first * sin).to(KIND).to(tl.float32)
    return ahead.to(KIND), behind.to(KIND)

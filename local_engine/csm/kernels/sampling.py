"""Codes drawn from logits: a program for each row, which keeps all its scores in registers.

It draws what `sampler.sample` draws, from the same random numbers. The two may differ where sums
in another order round to the other side: a number within 1e-7 of the edge between two codes, or
a chance within 1e-7 of top_p or min_p. Of equally likely codes both take the first.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from local_engine.csm.model.sampler import Choice

_COLDEST = tl.constexpr(1e-5)
_WORD = tl.constexpr(0xFFFF_FFFF)
_STRIDE = tl.constexpr(0x9E37_79B9)
_FIRST_FACTOR = tl.constexpr(0x21F0_AAAD)
_SECOND_FACTOR = tl.constexpr(0x735A_2D97)
_LEAST_KEY = tl.constexpr(-(2**31))


def sample(logits: Tensor, choice: Choice, codebook: int, ranks: int) -> Tensor:
    """See sampler.sample; it holds for any `ranks` in the same time."""
    logits = logits.contiguous()
    rows, codes = logits.shape
    drawn = torch.empty(rows, dtype=torch.int64, device=logits.device)
    _sample_row[(rows,)](
        logits,
        choice.seed,
        choice.frame,
        choice.temperature,
        choice.top_k,
        choice.top_p,
        choice.min_p,
        choice.repetition_penalty,
        choice.seen,
        drawn,
        codebook,
        choice.seen.stride(0),
        RANKS=ranks,
        CODES=codes,
        BLOCK=triton.next_power_of_2(codes),
        num_warps=8,
    )
    return drawn


@triton.jit(do_not_specialize=["codebook"])
def _sample_row(
    logits: tl.tensor,
    seeds: tl.tensor,
    frames: tl.tensor,
    temperatures: tl.tensor,
    top_ks: tl.tensor,
    top_ps: tl.tensor,
    min_ps: tl.tensor,
    penalties: tl.tensor,
    seen: tl.tensor,
    drawn: tl.tensor,
    codebook: tl.tensor,
    seen_row: tl.tensor,
    RANKS: tl.constexpr,
    CODES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Filter in the reference's order; a filter that a row does not use costs it nothing."""
    row = tl.program_id(0).to(tl.int64)
    code = tl.arange(0, BLOCK)
    inside = code < CODES
    scores = tl.load(logits + row * CODES + code, mask=inside, other=float("-inf")).to(tl.float32)
    penalty = tl.load(penalties + row)
    if penalty != 1.0:
        had = tl.load(seen + row * seen_row + codebook * CODES + code, mask=inside, other=0) != 0
        lower = tl.where(scores < 0, scores * penalty, tl.div_rn(scores, penalty))
        scores = tl.where(had, lower, scores)
    temperature = tl.load(temperatures + row)
    if temperature > 0:
        warmth = tl.maximum(temperature, _COLDEST)
        scores = tl.div_rn(scores, warmth)
        scores = tl.where(scores == 0, 0.0, scores)
        keys = _keys(scores, inside)
        limit = tl.load(top_ks + row).to(tl.int32)
        limit = tl.where(limit > 0, tl.minimum(limit, RANKS), RANKS)
        kept = inside & (keys >= _key_of_rank(keys, inside, limit))
        top_p = tl.load(top_ps + row)
        if top_p < 1:
            chances = _chances(scores, kept)
            kept = kept & (keys >= _nucleus_key(keys, kept, chances, top_p))
        min_p = tl.load(min_ps + row)
        if min_p > 0:
            chances = _chances(scores, kept)
            kept = kept & (chances >= min_p * tl.max(chances, 0))
        reached = tl.cumsum(_chances(scores, kept).to(tl.float64), 0)
        number = _uniform(tl.load(seeds + row), tl.load(frames + row), codebook)
        found = tl.sum((reached <= number * tl.max(reached, 0)).to(tl.int32), 0)
    else:
        found = tl.argmax(scores, 0, tie_break_left=True)
    found = tl.minimum(tl.maximum(found, 0), CODES - 1)
    tl.store(drawn + row, found.to(tl.int64))


@triton.jit
def _chances(scores: tl.tensor, kept: tl.tensor):
    """Softmax over what was kept."""
    peak = tl.max(tl.where(kept, scores, float("-inf")), 0)
    powers = tl.where(kept, tl.exp(scores - peak), 0.0)
    return tl.div_rn(powers, tl.sum(powers, 0))


@triton.jit
def _keys(scores: tl.tensor, inside: tl.tensor):
    """Whole numbers in the order of the scores, so that an edge is found by halving."""
    bits = scores.to(tl.int32, bitcast=True)
    keys = tl.where(bits < 0, bits ^ 0x7FFF_FFFF, bits)
    return tl.where(inside, keys, _LEAST_KEY)


@triton.jit
def _key_of_rank(keys: tl.tensor, inside: tl.tensor, rank: tl.tensor):
    """An edge that the `rank` highest reach, and beside them only their equals."""
    low = tl.min(tl.where(inside, keys, 0x7FFF_FFFF), 0).to(tl.int64)
    high = tl.max(keys, 0).to(tl.int64) + 1
    reached = tl.sum(inside.to(tl.int32), 0)
    while (high - low > 1) & (reached != rank):
        middle = low + (high - low) // 2
        count = tl.sum((inside & (keys >= middle.to(tl.int32))).to(tl.int32), 0)
        low = tl.where(count >= rank, middle, low)
        high = tl.where(count >= rank, high, middle)
        reached = tl.where(count >= rank, count, reached)
    return low.to(tl.int32)


@triton.jit
def _nucleus_key(keys: tl.tensor, kept: tl.tensor, chances: tl.tensor, top_p: tl.tensor):
    """The lowest key above which chances do not yet come to top_p; the highest always stays."""
    low = tl.min(tl.where(kept, keys, 0x7FFF_FFFF), 0).to(tl.int64) - 1
    high = tl.max(keys, 0).to(tl.int64)
    while high - low > 1:
        middle = low + (high - low) // 2
        above = tl.sum(tl.where(keys > middle.to(tl.int32), chances, 0.0), 0)
        low = tl.where(above < top_p, low, middle)
        high = tl.where(above < top_p, middle, high)
    return high.to(tl.int32)


@triton.jit
def _uniform(seed: tl.tensor, frame: tl.tensor, codebook: tl.tensor):
    """See sampler.uniforms: the same chain of hashes, in the same 64 bits."""
    state = _mixed((seed & _WORD) + _STRIDE)
    state = _mixed((state ^ ((seed >> 32) & _WORD)) + _STRIDE)
    state = _mixed((state ^ frame) + _STRIDE)
    state = _mixed((state ^ codebook.to(tl.int64)) + _STRIDE)
    return (state.to(tl.float64) + 0.5) * 2.0**-32


@triton.jit
def _mixed(x: tl.tensor):
    x = x & _WORD
    x = ((x ^ (x >> 16)) * _FIRST_FACTOR) & _WORD
    x = ((x ^ (x >> 15)) * _SECOND_FACTOR) & _WORD
    return x ^ (x >> 15)

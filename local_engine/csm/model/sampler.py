"""Codes drawn from logits, a row for each utterance: its own filters, its own random numbers.

A random number depends on (seed, frame, codebook) and on nothing else, so that an utterance draws
the same whoever is beside it. No generator, no host sync: a CUDA graph can hold all of it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

FAST_RANKS = 64
"""Ranks that suffice while every row's top_k is 1 to 64; otherwise rank all the codes."""

_COLDEST = 1e-5
"""Below it, scores would overflow; it is as good as the likeliest code already."""
_WORD = 0xFFFF_FFFF
_STRIDE = 0x9E37_79B9


@dataclass(frozen=True, slots=True)
class Choice:
    """How each row draws: the fields of running.Sampling and its frame's number, each [rows]."""

    seed: Tensor
    frame: Tensor
    temperature: Tensor
    top_k: Tensor
    top_p: Tensor
    min_p: Tensor
    repetition_penalty: Tensor
    seen: Tensor
    """bool [rows, codebooks, codes]: the codes that each clip already has"""


def sample(logits: Tensor, choice: Choice, codebook: int, ranks: int) -> Tensor:
    """Draw one code per row from logits [rows, codes]; int64 [rows].

    `ranks`, known when a graph is captured, must not be below any row's top_k; with a top_k of 0,
    which means no limit, it must be the number of codes.
    """
    scores = penalised(logits.float(), choice.seen[:, codebook], choice.repetition_penalty)
    likeliest = scores.argmax(-1)
    chances = surviving(scores, choice, ranks).softmax(-1).double().cumsum(-1)
    drawn = uniforms(choice.seed, choice.frame, codebook)[:, None] * chances[:, -1:]
    return torch.where(choice.temperature > 0, (chances <= drawn).sum(-1), likeliest)


def penalised(scores: Tensor, seen: Tensor, penalty: Tensor) -> Tensor:
    """Codes that were there before lose: positive scores are divided, negative multiplied."""
    factor = penalty[:, None]
    return torch.where(seen, torch.where(scores < 0, scores * factor, scores / factor), scores)


def surviving(scores: Tensor, choice: Choice, ranks: int) -> Tensor:
    """Temperature, top-k, top-p and min-p in transformers' order; what falls out is -inf.

    Codes of equal score stand or fall together, as in transformers' top-k: bfloat16 has many.
    """
    warmth = torch.where(choice.temperature > 0, choice.temperature.clamp(min=_COLDEST), 1.0)
    scores = scores / warmth[:, None]
    ranked = scores.topk(ranks).values
    limit = torch.where(choice.top_k > 0, choice.top_k, ranks).clamp(max=ranks)
    least = ranked.gather(1, limit[:, None] - 1)
    scores = _without(scores, scores < least)
    ranked = _without(ranked, ranked < least)
    scores = _without(scores, scores < _nucleus_edge(ranked, scores, choice.top_p))
    chances = scores.softmax(-1)
    return _without(scores, chances < choice.min_p[:, None] * chances.amax(-1, keepdim=True))


def _nucleus_edge(ranked: Tensor, scores: Tensor, top_p: Tensor) -> Tensor:
    """Find the lowest score [rows, 1] of the smallest set whose chances reach top_p."""
    chances = (ranked - scores.logsumexp(-1, keepdim=True)).exp()
    above = chances.cumsum(-1) - chances
    inside = above < top_p[:, None]
    inside[:, 0] = True
    edge = ranked.masked_fill(~inside, torch.inf).amin(-1, keepdim=True)
    return edge.masked_fill(top_p[:, None] >= 1, -torch.inf)


def _without(scores: Tensor, fallen: Tensor) -> Tensor:
    return scores.masked_fill(fallen, -torch.inf)


def uniforms(seed: Tensor, frame: Tensor, codebook: int) -> Tensor:
    """One number in (0, 1) for each row, float64: the same bits on every device.

    A chain of 32-bit hashes held in int64, whose products never reach 2**63.
    """
    state = _mixed((seed & _WORD) + _STRIDE)
    for word in ((seed >> 32) & _WORD, frame, codebook):
        state = _mixed((state ^ word) + _STRIDE)
    return (state.double() + 0.5) / (_WORD + 1)


def _mixed(x: Tensor) -> Tensor:
    """Mix as the two-round hash of Wellons' hash-prospector, whose factors are below 2**31."""
    x = x & _WORD
    x = ((x ^ (x >> 16)) * 0x21F0_AAAD) & _WORD
    x = ((x ^ (x >> 15)) * 0x735A_2D97) & _WORD
    return x ^ (x >> 15)

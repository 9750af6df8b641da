"""How a runner batches: how many rows a step has, and how far into their slots it looks."""

from dataclasses import dataclass

BUCKETS = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""Batch sizes that steps are padded to."""

REACH = 64
"""The torch reference reads whole blocks of so many positions."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much a runner holds and how it batches."""

    slots: int
    longest: int
    """Positions of a slot."""
    buckets: tuple[int, ...] = BUCKETS
    deterministic: bool = False
    """One batch size and one reach for every step, and prompts one by one: what a row comes to
    cannot depend, not even in its last bits, on who is beside it. A prompt's chunks still may."""
    graphs: bool = False
    """Lay prompts out in tiles, and capture CUDA graphs of tiles and steps. On a CPU what would
    be replayed is called."""
    codec_graphs: bool = True
    """Of the codec, too; not of one that makes graphs of its own, as moshi's does."""


def fitting_buckets(plan: Plan) -> tuple[int, ...]:
    """Give the batch sizes up to what the slots need; only the largest if deterministic."""
    if plan.deterministic:
        return (plan.slots,)
    return (*(bucket for bucket in plan.buckets if bucket < plan.slots), plan.slots)


def graph_reach(most: int, least: int, longest: int) -> int:
    """Give a power of two of at least `most` and `least` positions: few graphs, not few positions.

    No slot has more than `longest`.
    """
    return min(longest, max(least, 1 << (most - 1).bit_length()))

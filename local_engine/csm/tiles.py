"""Stretches of prompts laid out in tiles: rows of as many tokens each, of few different sizes.

A tile of one size is one CUDA graph, whatever is in it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest

from local_engine.csm.plan import Plan, graph_reach
from local_engine.csm.running import Prefill

ROWS = (1, 2, 4, 8)
TOKENS = (32, 64, 128, 256)
"""Of a row. A stretch of more becomes several chunks: from 256 tokens on, a tile takes as long to
compute as the weights to be read, so that larger ones would gain nothing."""
REACH = 256
"""The fewest positions of a slot that a tile looks at."""


@dataclass(frozen=True, slots=True)
class TileSize:
    """What is fixed when a tile is captured."""

    rows: int
    tokens: int
    """Of each row."""
    reach: int
    """At least the positions that any row has after the tile."""


@dataclass(frozen=True, slots=True)
class Tile:
    """Chunks of different slots, one in each row; the rows that are left are padding."""

    size: TileSize
    chunks: tuple[Prefill, ...]


def laid_out(stretches: Sequence[Prefill], plan: Plan) -> list[Tile]:
    """Lay out stretches of different slots in tiles to be computed in this order.

    A stretch's chunks come in order, in different tiles. If deterministic, each chunk has a tile of
    its own, whose size follows from the chunk's length only.
    """
    return [
        tile
        for chunks in zip_longest(*map(_chunks, stretches))
        for tile in _side_by_side([chunk for chunk in chunks if chunk], plan)
    ]


def all_sizes(plan: Plan) -> Iterator[TileSize]:
    """Give every size that tiles may have, the largest first."""
    most = 1 if plan.deterministic else plan.slots
    rows = [size for size in ROWS if size < 2 * most]
    tokens = [size for size in TOKENS if size < 2 * plan.longest]
    reaches = {_reach(end, plan) for end in range(1, plan.longest + 1)}
    for reach in sorted(reaches, reverse=True):
        for count in reversed(tokens):
            for beside in reversed(rows):
                yield TileSize(beside, count, reach)


def _chunks(stretch: Prefill) -> Iterator[Prefill]:
    for first in range(0, len(stretch.prompt), TOKENS[-1]):
        prompt = stretch.prompt[first : first + TOKENS[-1]]
        yield Prefill(stretch.slot, stretch.start + first, prompt)


def _side_by_side(chunks: Sequence[Prefill], plan: Plan) -> Iterator[Tile]:
    most = 1 if plan.deterministic else ROWS[-1]
    for tokens, alike in groupby(sorted(chunks, key=_tokens), key=_tokens):
        row = list(alike)
        for first in range(0, len(row), most):
            some = tuple(row[first : first + most])
            end = max(one.start + len(one.prompt) for one in some)
            rows = next(rows for rows in ROWS if rows >= len(some))
            yield Tile(TileSize(rows, tokens, _reach(end, plan)), some)


def _reach(end: int, plan: Plan) -> int:
    return plan.longest if plan.deterministic else graph_reach(end, REACH, plan.longest)


def _tokens(chunk: Prefill) -> int:
    return next(tokens for tokens in TOKENS if tokens >= len(chunk.prompt))

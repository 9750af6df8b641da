"""How stretches are laid out in tiles: each position once, in order, in few sizes."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from local_engine.csm.plan import Plan
from local_engine.csm.running import Prefill
from local_engine.csm.tiles import ROWS, TOKENS, TileSize, all_sizes, laid_out

SHARED = Plan(20, 2048)
ALONE = replace(SHARED, deterministic=True)
STRETCHES = st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 1000)), max_size=20)
PLANS = st.sampled_from([SHARED, ALONE])


def stretches_of(drawn: Sequence[tuple[int, int]]) -> list[Prefill]:
    """Their prompts tell which position each token has."""
    return [
        Prefill(slot, start, np.arange(start, start + count, dtype=np.int32)[:, None])
        for slot, (start, count) in enumerate(drawn)
    ]


@given(STRETCHES, PLANS)
def test_every_position_is_computed_once_after_those_before_it(
    drawn: list[tuple[int, int]], plan: Plan
) -> None:
    stretches = stretches_of(drawn)
    reached = {one.slot: one.start for one in stretches}
    for tile in laid_out(stretches, plan):
        assert len({chunk.slot for chunk in tile.chunks}) == len(tile.chunks)
        for chunk in tile.chunks:
            assert chunk.start == reached[chunk.slot] == chunk.prompt[0, 0]
            reached[chunk.slot] += len(chunk.prompt)
    assert reached == {one.slot: one.start + len(one.prompt) for one in stretches}


@given(STRETCHES, PLANS)
def test_tiles_hold_what_is_in_them_and_have_a_size_that_was_foreseen(
    drawn: list[tuple[int, int]], plan: Plan
) -> None:
    foreseen = set(all_sizes(replace(plan, slots=max(1, len(drawn)))))
    for tile in laid_out(stretches_of(drawn), plan):
        assert tile.size in foreseen
        assert 0 < len(tile.chunks) <= tile.size.rows < 2 * len(tile.chunks)
        for chunk in tile.chunks:
            assert len(chunk.prompt) <= tile.size.tokens
            assert chunk.start + len(chunk.prompt) <= tile.size.reach <= plan.longest


@given(STRETCHES)
def test_who_is_alone_has_tiles_of_its_own_whatever_comes_beside_it(
    drawn: list[tuple[int, int]],
) -> None:
    stretches = stretches_of(drawn)
    together = laid_out(stretches, ALONE)
    for one in stretches:
        mine = [tile.size for tile in together if tile.chunks[0].slot == one.slot]
        assert mine == [tile.size for tile in laid_out([one], ALONE)]


def test_sizes_are_few_and_the_largest_comes_first() -> None:
    sizes = list(all_sizes(SHARED))
    assert len(set(sizes)) == len(sizes) == 4 * 4 * 4
    assert sizes[0] == TileSize(ROWS[-1], TOKENS[-1], SHARED.longest)
    assert {size.rows for size in all_sizes(ALONE)} == {1}
    assert set(all_sizes(Plan(1, 40))) == {TileSize(1, 32, 40), TileSize(1, 64, 40)}

"""The scheduler alone: no runner, no engine, and a clock that is a number."""

from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_engine.csm.scheduling.rows import RowLimit
from local_engine.csm.scheduling.scheduler import Limits, Scheduler
from local_engine.csm.scheduling.utterance import Stage, Utterance

LIMITS = Limits(slots=3, waiting=4, per_key=0, prefill_positions=16, lead_frames=8)


def scheduler(**limits: int) -> Scheduler:
    values = {name: getattr(LIMITS, name) for name in LIMITS.__slots__}
    return Scheduler(Limits(**(values | limits)))


def join(
    line: Scheduler, number: int, key: str = "key", positions: int = 5, most: int = 50
) -> Utterance:
    utterance = Utterance(number, key, submitted=float(number))
    assert line.submit(utterance)
    line.ready(utterance, positions, most)
    return utterance


def numbers(utterances: list[Utterance]) -> list[int]:
    return [utterance.number for utterance in utterances]


def speaking(planner: Scheduler, *who: int, most: int = 50) -> list[Utterance]:
    """So many who are in slots, with their prompts computed."""
    everybody = [join(planner, number, most=most) for number in who]
    planner.admit(0.0)
    for utterance in everybody:
        utterance.computed = utterance.positions
        planner.begin(utterance, 0.0)
    return everybody


def made(utterance: Utterance) -> None:
    utterance.made += 1
    utterance.told += 1


def step(planner: Scheduler) -> list[int]:
    rows = planner.rows()
    planner.launched(rows)
    for utterance in planner.collected():
        made(utterance)
    return numbers(rows)


def test_first_in_line_is_first_in_a_slot() -> None:
    planner = scheduler(slots=2)
    for number in range(4):
        join(planner, number)
    assert numbers(planner.admit(0.0)) == [0, 1]
    assert planner.admit(0.0) == []


def test_a_key_that_holds_its_share_is_passed_over_and_keeps_its_place() -> None:
    planner = scheduler(slots=3, per_key=1)
    first = join(planner, 0, "greedy")
    join(planner, 1, "greedy")
    join(planner, 2, "other")
    assert numbers(planner.admit(0.0)) == [0, 2]
    join(planner, 3, "third")
    assert numbers(planner.admit(0.0)) == [3]
    planner.end(first, 1.0)
    join(planner, 4, "fourth")
    assert numbers(planner.admit(1.0)) == [1]


def test_one_whose_prompt_is_not_made_waits() -> None:
    planner = scheduler()
    waiting = Utterance(0, "key", 0.0)
    planner.submit(waiting)
    assert planner.admit(0.0) == []
    planner.ready(waiting, 5, 5)
    assert numbers(planner.admit(0.0)) == [0]


def test_the_line_is_bounded_beyond_the_free_slots() -> None:
    planner = scheduler(slots=2, waiting=1)
    for number in range(3):
        join(planner, number)
    assert not planner.submit(Utterance(3, "key", 0.0))
    planner.admit(0.0)
    assert len(planner.line) == 1
    assert not planner.submit(Utterance(4, "key", 0.0))


def test_a_prompt_is_computed_in_stretches_of_the_budget() -> None:
    planner = scheduler(prefill_positions=10)
    join(planner, 0, positions=25)
    join(planner, 1, positions=8)
    planner.admit(0.0)
    planned = []
    for _ in range(4):
        stretches = planner.stretches()
        planned.append([(one.utterance.number, one.start, one.stop) for one in stretches])
        for one in stretches:
            if planner.computed(one):
                planner.begin(one.utterance, 0.0)
    assert planned == [[(0, 0, 10)], [(0, 10, 20)], [(0, 20, 25), (1, 0, 5)], [(1, 5, 8)]]


def test_what_was_restored_is_not_computed_again() -> None:
    planner = scheduler()
    utterance = join(planner, 0, positions=12)
    planner.admit(0.0)
    planner.reuse(utterance, 9)
    (stretch,) = planner.stretches()
    assert (stretch.start, stretch.stop) == (9, 12)
    assert planner.computed(stretch)


def test_a_slot_is_free_only_when_no_launched_step_holds_it() -> None:
    planner = scheduler(slots=1)
    (utterance,) = speaking(planner, 0)
    planner.launched(planner.rows())
    planner.launched(planner.rows())
    planner.collected()
    planner.end(utterance, 0.0)
    assert planner.free == 0
    assert planner.collected()[0].stage is Stage.ENDED
    assert planner.free == 1


def test_no_more_steps_are_launched_than_frames_are_allowed() -> None:
    planner = scheduler()
    speaking(planner, 0, most=2)
    planner.launched(planner.rows())
    planner.launched(planner.rows())
    assert planner.rows() == []


def test_a_clip_rests_at_its_lead_and_goes_on_when_a_quarter_is_taken() -> None:
    planner = scheduler(lead_frames=8)
    (utterance,) = speaking(planner, 0)
    assert [step(planner) for _ in range(9)] == [[0]] * 8 + [[]]
    planner.take(0, 1)
    assert (planner.rows(), utterance.paused) == ([], True)
    planner.take(0, 2)
    assert (numbers(planner.rows()), utterance.paused) == ([0], False)


def test_taken_frames_never_go_back_nor_beyond_what_was_made() -> None:
    planner = scheduler()
    (utterance,) = speaking(planner, 0)
    for _ in range(5):
        step(planner)
    planner.take(0, 3)
    planner.take(0, 1)
    assert utterance.taken == 3
    planner.take(0, 99)
    assert utterance.taken == 5
    planner.take(77, 1)


def test_with_too_few_rows_the_least_lead_goes_first() -> None:
    planner = scheduler(slots=3)
    ahead, behind, between = speaking(planner, 0, 1, 2)
    ahead.launched, between.launched = 6, 3
    planner.rows_at_once.halve(2)
    assert step(planner) == [behind.number]


@given(st.lists(st.booleans(), min_size=6, max_size=6), st.integers(1, 5))
def test_nobody_starves_however_few_rows_there_are(follows: list[bool], limit: int) -> None:
    planner = scheduler(slots=6, waiting=6, lead_frames=1000)
    everybody = speaking(planner, *range(6), most=10_000)
    planner.rows_at_once.rows = limit
    planner.rows_at_once.slots = limit
    served: Counter[int] = Counter()
    for _ in range(200):
        served.update(step(planner))
        for utterance, quick in zip(everybody, follows, strict=True):
            if quick:
                planner.take(utterance.number, utterance.made)
    assert sum(served.values()) == 200 * limit
    assert min(served[number] for number in range(6)) >= 5
    quick = [served[number] for number in range(6) if follows[number]]
    slow = [served[number] for number in range(6) if not follows[number]]
    assert not quick or not slow or min(quick) >= max(slow) - 1


def test_memory_that_runs_out_halves_the_rows_and_good_steps_bring_them_back() -> None:
    limit = RowLimit(slots=64, good_steps=3)
    limit.halve(64)
    assert limit.rows == 32
    limit.halve(10)
    assert limit.rows == 5
    grown = []
    for _ in range(60):
        limit.went_well()
        grown.append(limit.rows)
    assert grown[:12] == [5, 5, 6, 6, 6, 7, 7, 7, 8, 8, 8, 10]
    assert grown[-1] == 64
    for _ in range(9):
        limit.halve(64)
    assert limit.rows == 1


@pytest.mark.parametrize(
    ("left_at", "now", "expected"),
    [
        ([], 10.0, 60),
        ([10.0], 10.0, 30),
        ([5.0, 6.0, 7.0, 8.0, 9.0], 10.0, 6),
        ([9.0] * 400, 10.0, 1),
        ([5.0, 6.0, 7.0, 8.0, 9.0], 69.5, 60),
        ([30.0 + n for n in range(30)], 70.0, 6),
    ],
)
def test_when_to_try_again_follows_from_how_fast_the_line_moves(
    left_at: list[float], now: float, expected: int
) -> None:
    planner = scheduler(waiting=1000)
    for number, when in enumerate(left_at):
        planner.submit(gone := Utterance(1000 + number, "key", 0.0))
        planner.end(gone, when)
    for number in range(3):
        planner.submit(Utterance(number, "key", 0.0))
    assert planner.line.retry_after(now) == expected


KEYS = st.sampled_from("abc")
SUBMITS = st.tuples(KEYS, st.integers(1, 40), st.integers(1, 12))


@given(
    st.lists(st.one_of(SUBMITS, st.integers(0, 30), st.none()), max_size=60),
    st.integers(0, 3),
    st.integers(1, 2),
)
def test_slots_order_line_and_budget_hold_whatever_happens(
    acts: list[tuple[str, int, int] | int | None], per_key: int, depth: int
) -> None:
    """A tuple submits, a number cancels one of the living, None beats."""
    planner = scheduler(per_key=per_key)
    admitted: dict[str, list[int]] = defaultdict(list)
    number = 0
    for act in [*acts, *[None] * 400]:
        if isinstance(act, tuple):
            number += 1
            utterance = Utterance(number, act[0], 0.0)
            if planner.submit(utterance):
                planner.ready(utterance, act[1], act[2])
        elif act is None:
            beat(planner, depth, admitted)
        elif planner.living:
            planner.end(list(planner.living.values())[act % len(planner.living)], 0.0)
        assert len(planner.line) <= LIMITS.waiting + LIMITS.slots
        held = Counter(utterance.key for utterance in planner.seated)
        assert all(count <= (per_key or LIMITS.slots) for count in held.values())
        slots = [utterance.slot for utterance in planner.seated]
        assert len(slots) == len(set(slots)) <= LIMITS.slots
    assert not planner.living
    assert planner.free == LIMITS.slots
    for order in admitted.values():
        assert order == sorted(order)


def beat(planner: Scheduler, depth: int, admitted: dict[str, list[int]]) -> None:
    waiting = [one for one in planner.living.values() if one.in_line]
    seats = planner.free
    newcomers = planner.admit(0.0)
    for utterance in newcomers:
        admitted[utterance.key].append(utterance.number)
    if not planner.limits.per_key:
        assert newcomers == waiting[:seats]
    stretches = planner.stretches()
    assert sum(one.stop - one.start for one in stretches) <= LIMITS.prefill_positions
    for stretch in stretches:
        if planner.computed(stretch):
            planner.begin(stretch.utterance, 0.0)
    launch_and_collect(planner, depth)


def launch_and_collect(planner: Scheduler, depth: int) -> None:
    rows = planner.rows()
    if rows:
        planner.launched(rows)
    if planner.in_flight and (not rows or planner.in_flight >= depth):
        for utterance in planner.collected():
            if utterance.stage is not Stage.ENDED:
                made(utterance)
                planner.take(utterance.number, utterance.made)
                if utterance.made == utterance.most:
                    planner.end(utterance, 0.0)

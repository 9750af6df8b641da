"""Admission: places are never too many and never lost, keys take turns, and a refusal is quick."""

import asyncio
import gc
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

import pytest

from gateway.dispatch.admission import Admission
from gateway.errors import Busy, GatewayError, Resting
from gateway.routing.standings import Rest
from gateway.settings import Load

FULL = Rest(0.0, "p/m has enough to do", is_full=True)


def new(concurrent: int = 1, queue: int = 8) -> Admission:
    return Admission(Load(concurrent=concurrent, queue=queue), Random(7))


class Door:
    """Brings requests to an admission, and notes who was let in."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.entered: list[str] = []

    def bring(
        self,
        key: str,
        start: Callable[[], str | Rest] = lambda: "started",
        patience: float = 60,
    ) -> asyncio.Task[str]:
        return asyncio.create_task(self._enter(key, start, time.monotonic() + patience))

    async def crowd(self, key: str, number: int) -> list[asyncio.Task[str]]:
        tasks = [self.bring(key) for _ in range(number)]
        await settled()
        return tasks

    async def leave(self) -> None:
        self.admission.leave()
        await settled()

    async def _enter(self, key: str, start: Callable[[], str | Rest], by: float) -> str:
        started = await self.admission.enter(key, by, start)
        self.entered.append(key)
        return started


async def settled() -> None:
    """A timer that is due, the task that it wakes, who that one tells, and as much again."""
    for _ in range(8):
        await asyncio.sleep(0)


async def ended(tasks: Iterable[asyncio.Task[Any]]) -> None:
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_who_finds_a_place_does_not_wait() -> None:
    admission = new(concurrent=2)
    assert await admission.enter("a", 0, lambda: "started") == "started"
    assert await admission.enter("a", 0, lambda: "too") == "too"
    assert admission.inside == 2


async def test_who_finds_none_has_the_place_of_who_leaves() -> None:
    door = Door(new(concurrent=1))
    await door.crowd("a", 3)
    assert (door.admission.inside, door.admission.waiting) == (1, 2)
    await door.leave()
    await door.leave()
    assert door.entered == ["a", "a", "a"]
    await door.leave()
    assert (door.admission.inside, door.admission.waiting) == (0, 0)


async def test_another_keys_single_request_is_next_but_one_in_a_flood() -> None:
    door = Door(new(concurrent=1, queue=100))
    tasks = await door.crowd("flood", 50)
    tasks += [door.bring("single")]
    await settled()
    await door.leave()
    await door.leave()
    assert door.entered == ["flood", "flood", "single"]
    await ended(tasks)


async def test_keys_take_turns_and_each_keeps_its_own_order() -> None:
    door, names = Door(new(concurrent=1, queue=20)), ["a0", "a1", "a2", "b0", "b1", "c0"]
    tasks = {name: door.bring(name[0]) for name in names}
    await settled()
    for turn in ["a1", "b0", "c0", "a2", "b1"]:
        assert not tasks[turn].done()
        await door.leave()
        assert tasks[turn].done()


async def test_a_full_queue_refuses_the_newest_of_the_longest_for_a_key_with_fewer() -> None:
    door = Door(new(concurrent=1, queue=3))
    tasks = await door.crowd("crowd", 4)
    single = door.bring("single")
    await settled()
    assert [task.done() for task in tasks] == [True, False, False, True]
    with pytest.raises(Busy, match="1 requests at once and 3 waiting are allowed"):
        await tasks[3]
    await ended([*tasks, single])


async def test_a_full_queue_refuses_who_has_as_many_waiting_as_anybody() -> None:
    door = Door(new(concurrent=1, queue=2))
    tasks = await door.crowd("a", 2) + await door.crowd("b", 1)
    with pytest.raises(Busy) as refused:
        await door.bring("b")
    assert refused.value.should_retry is True
    await ended(tasks)


async def test_without_a_queue_nobody_waits() -> None:
    admission = new(concurrent=1, queue=0)
    await admission.enter("a", 0, lambda: "started")
    with pytest.raises(Busy, match="the gateway has enough to do, and as many wait as may"):
        await admission.enter("b", time.monotonic() + 60, lambda: "started")
    assert (admission.inside, admission.waiting) == (1, 0)


async def test_who_waits_too_long_is_told_what_was_full() -> None:
    door = Door(new())
    with pytest.raises(Busy, match="p/m has enough to do, and it waited as long as it may"):
        await door.bring("a", lambda: FULL, patience=0.01)
    assert (door.admission.inside, door.admission.waiting) == (0, 0)


async def test_a_rest_is_not_waited_for() -> None:
    admission = new()
    for seconds, told in [(0.0, True), (7.9, True), (10.1, False), (300.0, False)]:
        with pytest.raises(Resting, match="is broken") as refused:
            await admission.enter("a", 0, lambda s=seconds: Rest(s, "p/m is broken"))  # type: ignore[misc]
        assert refused.value.retry_after is not None
        assert max(1, seconds) <= refused.value.retry_after <= max(1, seconds) * 1.25
        assert refused.value.should_retry is told
        assert ("X-Should-Retry", str(told).lower()) in refused.value.headers()


async def test_who_waits_and_then_finds_a_rest_is_told_and_takes_no_place() -> None:
    door, answers = Door(new()), [FULL, Rest(5, "p/m is broken")]
    waiting = door.bring("a", lambda: answers.pop(0))
    await settled()
    door.admission.poke()
    with pytest.raises(Resting):
        await waiting
    assert (door.admission.inside, door.admission.waiting) == (0, 0)


async def test_a_poke_lets_in_who_waited_for_an_offer() -> None:
    door, free = Door(new(concurrent=2)), list[str]()
    waiting = door.bring("a", lambda: free.pop() if free else FULL)
    await settled()
    assert not waiting.done()
    free.append("place")
    door.admission.poke()
    assert await waiting == "place"


async def test_who_arrives_does_not_take_what_another_waits_for() -> None:
    door, free = Door(new(concurrent=2)), list[str]()
    first = door.bring("a", lambda: free.pop() if free else FULL)
    await settled()
    free.append("place")  # by time alone, so nobody pokes
    second = door.bring("a", lambda: free.pop() if free else FULL)
    assert await first == "place"
    assert not second.done()
    await ended([second])


async def test_many_who_cannot_start_do_not_keep_the_last_one_who_can() -> None:
    door, asked, free = Door(new(concurrent=500, queue=100)), Counter[str](), list[str]()
    stuck = [door.bring(key, lambda: asked.update("x") or FULL) for key in "abcd" * 20]
    last = door.bring("a", lambda: free.pop() if free else FULL)
    await settled()
    free.append("place")
    asked.clear()
    door.admission.poke()
    assert asked.total() <= 8  # a leave costs little, however many wait
    assert await asyncio.wait_for(last, 5) == "place"
    await ended(stuck)


async def test_it_rests_when_all_have_been_asked() -> None:
    door, asked = Door(new(concurrent=500, queue=100)), Counter[str]()
    stuck = [door.bring("a", lambda: asked.update("x") or FULL) for _ in range(20)]
    await settled()
    door.admission.poke()
    await asyncio.sleep(0.2)
    before = asked.total()
    await asyncio.sleep(0.1)
    assert asked.total() == before
    await ended(stuck)


async def test_who_is_cancelled_while_waiting_leaves_no_trace() -> None:
    door = Door(new())
    tasks = await door.crowd("a", 3)
    await ended(tasks[1:2])
    assert door.admission.waiting == 1
    await door.leave()
    assert tasks[2].done()


async def test_a_timeout_around_it_leaves_no_trace() -> None:
    admission = new()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await admission.enter("a", time.monotonic() + 60, lambda: FULL)
    assert (admission.inside, admission.waiting) == (0, 0)


async def test_who_is_cancelled_just_when_let_in_gives_the_place_to_the_next() -> None:
    door, undone = Door(new()), list[str]()
    await door.crowd("a", 1)
    far = time.monotonic() + 60
    left = asyncio.create_task(door.admission.enter("b", far, lambda: "gone", undone.append))
    follower = (await door.crowd("c", 1))[0]
    door.admission.leave()
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)
    assert undone == ["gone"]
    assert await follower == "started"
    assert door.admission.inside == 1


async def test_who_was_cancelled_in_this_moment_is_passed_over() -> None:
    door = Door(new())
    tasks = await door.crowd("a", 3)
    tasks[1].cancel()
    door.admission.leave()
    assert await tasks[2] == "started"
    assert tasks[1].cancelled()


async def test_a_place_that_comes_in_the_last_moment_is_taken() -> None:
    door, wrong = Door(new()), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context))
    await door.crowd("a", 1)
    late = door.bring("b", patience=0)
    await asyncio.sleep(0)  # until it waits
    await asyncio.sleep(0)  # until its time is up, and before it is told so
    door.admission.leave()
    assert await late == "started"
    assert not wrong


async def test_nothing_is_kept_of_who_was_let_in() -> None:
    door, request = Door(new()), Counter[str]()
    await door.crowd("a", 1)
    waiting = door.bring("b", lambda request=request: str(request))  # type: ignore[misc]
    await settled()
    forgotten = weakref.ref(request)
    await door.leave()
    del request, waiting
    gc.collect()
    assert forgotten() is None


def broken() -> str:
    raise GatewayError("broken")


async def test_a_start_that_raises_takes_no_place() -> None:
    door = Door(new())
    with pytest.raises(GatewayError, match="broken"):
        await door.bring("a", broken)
    assert door.admission.inside == 0


async def test_a_start_that_raises_later_concerns_its_caller_alone() -> None:
    door = Door(new())
    first = (await door.crowd("a", 1))[0]
    bad, good = door.bring("b", broken), door.bring("c")
    await settled()
    await door.leave()
    assert (first.done(), await good) == (True, "started")
    with pytest.raises(GatewayError, match="broken"):
        await bad
    assert door.admission.inside == 1


async def refused_for(admission: Admission) -> float:
    with pytest.raises(Busy) as refused:
        await admission.enter("late", time.monotonic() + 60, lambda: "started")
    assert refused.value.retry_after is not None
    return refused.value.retry_after


async def test_what_a_refused_caller_is_told_to_wait_is_jittered_and_bounded() -> None:
    admission = new(concurrent=1, queue=0)
    await admission.enter("a", 0, lambda: "started")
    told = [await refused_for(admission) for _ in range(300)]
    assert 3.75 <= min(told) < 4  # nobody has left yet, so it is a guess
    assert 6 < max(told) <= 6.25
    for _ in range(64):
        admission.leave()
        await admission.enter("a", 0, lambda: "started")
    told = [await refused_for(admission) for _ in range(300)]
    assert 1 <= min(told) < 1.1
    assert 1.5 < max(told) <= 1.67


async def test_the_wait_follows_how_fast_places_come_free() -> None:
    door = Door(new(concurrent=1, queue=100))
    tasks = await door.crowd("a", 101)
    for _ in range(3):
        await asyncio.sleep(0.1)
        await door.leave()
    tasks += await door.crowd("a", 3)
    assert 0.75 * 6 <= await refused_for_crowd(door) <= 1.25 * 30
    await ended(tasks)


async def refused_for_crowd(door: Door) -> float:
    with pytest.raises(Busy) as refused:
        await door.bring("a")
    return refused.value.retry_after or 0.0


async def test_a_refusal_takes_far_less_than_five_milliseconds() -> None:
    door = Door(new(concurrent=600, queue=128))
    tasks = [door.bring(f"k{i % 64}", lambda: FULL) for i in range(128)]
    await settled()
    took = []
    for _ in range(200):
        began = time.perf_counter()
        with pytest.raises(Busy):
            await door.admission.enter("k1", time.monotonic() + 60, lambda: FULL)
        took.append(time.perf_counter() - began)
    assert sorted(took)[100] < 0.005
    await ended(tasks)


class Bustle:
    """A random day at the door, and what must hold at each moment of it.

    Three offers with places of their own; what an offer's places are lent to is known exactly.
    """

    KEYS, OFFERS = "abcde", "xyz"

    def __init__(self, seed: int, queue: int) -> None:
        self.random = Random(seed)
        self.load = Load(concurrent=self.random.randint(1, 6), queue=queue)
        self.admission = Admission(self.load, Random(seed))
        self.free = {offer: self.random.randint(0, 3) for offer in self.OFFERS}
        self.waiting: dict[asyncio.Task[None], tuple[str, str, int]] = {}
        self.inside: list[str] = []
        self.last_in: dict[tuple[str, str], int] = {}
        self.arrived = 0
        self.outcomes = Counter[str]()

    def step(self) -> None:
        chance = self.random.random()
        if chance < 0.45:
            self.arrive()
        elif chance < 0.75:
            self.depart()
        elif chance < 0.9 and self.waiting:
            self.random.choice(list(self.waiting)).cancel()
        elif self.inside:
            self.move()

    def arrive(self) -> None:
        self.arrived += 1
        who = (self.random.choice(self.KEYS), self.random.choice(self.OFFERS), self.arrived)
        patience = self.random.choice([60, 60, 60, 0.0])
        task = asyncio.create_task(self.enter(who, time.monotonic() + patience))
        self.waiting[task] = who
        task.add_done_callback(self.note)

    async def enter(self, who: tuple[str, str, int], by: float) -> None:
        key, offer, number = who
        await self.admission.enter(key, by, lambda: self.lend(offer), self.give_back)
        self.inside.append(offer)
        assert number > self.last_in.get((key, offer), 0), "out of order"
        self.last_in[key, offer] = number

    def lend(self, offer: str) -> str | Rest:
        chance = self.random.random()
        if chance < 0.02:
            raise GatewayError("broken")
        if chance < 0.04:
            return Rest(2, "resting")
        if not self.free[offer]:
            return FULL
        self.free[offer] -= 1
        return offer

    def give_back(self, offer: str) -> None:
        self.outcomes["undone"] += 1
        self.free[offer] += 1

    def note(self, task: asyncio.Task[None]) -> None:
        del self.waiting[task]
        error = None if task.cancelled() else task.exception()
        assert error is None or isinstance(error, GatewayError), error
        self.outcomes["left" if task.cancelled() else type(error).__name__] += 1

    def depart(self) -> None:
        if self.inside:
            self.free[self.inside.pop(self.random.randrange(len(self.inside)))] += 1
            self.admission.leave()

    def move(self) -> None:
        """An attempt fails, and goes on at another offer that has a place."""
        index, other = self.random.randrange(len(self.inside)), self.random.choice(self.OFFERS)
        if self.free[other]:
            self.free[self.inside[index]] += 1
            self.free[other] -= 1
            self.inside[index] = other
            self.admission.poke()

    def check(self) -> None:
        assert self.admission.inside == len(self.inside) <= self.load.concurrent
        assert self.admission.waiting == len(self.waiting) <= self.load.queue
        if len(self.inside) < self.load.concurrent:
            assert not [who for who in self.waiting.values() if self.free[who[1]]], "kept waiting"


@pytest.mark.parametrize("seed", range(20))
async def test_a_bustle_loses_nothing_and_keeps_nobody_waiting(seed: int) -> None:
    bustle = Bustle(seed, queue=4)
    places = Counter(bustle.free)
    for _ in range(1000):
        for _ in range(bustle.random.randint(1, 3)):  # several things in one moment
            bustle.step()
        await settled()
        bustle.check()
        assert Counter(bustle.free) + Counter(bustle.inside) == +places
    await ended(bustle.waiting)
    while bustle.inside:
        bustle.depart()
    assert (bustle.admission.inside, bustle.admission.waiting) == (0, 0)
    assert {"NoneType", "left", "Busy", "undone"} <= set(bustle.outcomes)


@pytest.mark.parametrize("seed", range(4))
async def test_a_bustle_before_a_long_line_loses_nothing_either(seed: int) -> None:
    bustle = Bustle(seed, queue=40)
    places = Counter(bustle.free)
    for _ in range(8):
        for _ in range(120):
            bustle.step()
        await asyncio.sleep(0.15)  # until everyone has been asked
        bustle.check()
        assert Counter(bustle.free) + Counter(bustle.inside) == +places
    await ended(bustle.waiting)

import threading
import weakref
from collections.abc import Iterator

import pytest
from engine_stage import submit
from fake_runner import FakePreparer, FakeRunner

from local_engine.csm.messages import Refused
from local_engine.csm.prompting.preparing import Prepared, PreparingThread, prepare
from local_engine.csm.running import Codes, OutOfMemory

SECONDS = 10


class Preparation:
    """A thread whose first piece of work waits until it is told to go on."""

    def __init__(self) -> None:
        self.begun, self.go_on, self.rung = (threading.Event() for _ in range(3))
        self.number = 0
        preparer = FakePreparer(FakeRunner(), hold=self._hold)
        self.thread = PreparingThread(preparer, self._ring)

    def until(self, number: int) -> list[tuple[int, Prepared | Refused]]:
        done: list[tuple[int, Prepared | Refused]] = []
        while number not in [one for one, _ in done]:
            assert self.rung.wait(SECONDS)
            self.rung.clear()
            done += self.thread.finished()
        return done

    def _hold(self) -> None:
        self.begun.set()
        assert self.go_on.wait(SECONDS)

    def _ring(self) -> None:
        self.rung.set()


@pytest.fixture
def preparation() -> Iterator[Preparation]:
    preparation = Preparation()
    yield preparation
    preparation.go_on.set()


def test_prompts_are_made_in_order_while_the_caller_goes_on(preparation: Preparation) -> None:
    for number in range(1, 6):
        preparation.thread.hand_in(submit(number), {})
    assert preparation.begun.wait(SECONDS)
    assert preparation.thread.finished() == []
    preparation.go_on.set()
    assert [number for number, _ in preparation.until(5)] == [1, 2, 3, 4, 5]


def test_what_nobody_waits_for_is_not_prepared(preparation: Preparation) -> None:
    for number in (1, 2, 3):
        preparation.thread.hand_in(submit(number), {})
    assert preparation.begun.wait(SECONDS)
    preparation.thread.forget(2)
    preparation.go_on.set()
    assert [number for number, _ in preparation.until(3)] == [1, 3]


def test_what_is_forgotten_is_held_no_longer_than_that(preparation: Preparation) -> None:
    class Kept(dict[str, Codes]):
        """One that can be referred to weakly."""

    preparation.thread.hand_in(submit(1), {})
    kept = Kept()
    held = weakref.ref(kept)
    preparation.thread.hand_in(submit(2), kept)
    del kept
    assert held() is not None
    preparation.thread.forget(2)
    assert held() is None, "the first is still being prepared"


def test_one_that_breaks_the_preparer_is_refused_alone(preparation: Preparation) -> None:
    preparation.go_on.set()
    preparation.thread.hand_in(submit(1, "broken=1"), {})
    preparation.thread.hand_in(submit(2), {})
    (_, first), (_, second) = preparation.until(2)
    assert isinstance(first, Refused)
    assert first.status == 500
    assert isinstance(second, Prepared)


def test_no_memory_to_encode_is_refused_for_now() -> None:
    def out_of_memory() -> None:
        raise OutOfMemory

    preparer = FakePreparer(FakeRunner(), hold=out_of_memory)
    number, refused = prepare(preparer, submit(7), {})
    assert isinstance(refused, Refused)
    assert (number, refused.status, refused.retry_after) == (7, 503, 1)

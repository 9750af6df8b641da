"""What is kept of clips that are over."""

from local_engine.csm.messages import Ended
from local_engine.csm.server.results import Result, Results

ENDED = Ended(1, "loop", 25, 12, 4, 1, 0, 0.1, 0.2, 0.3, 2.5)


def result(name: str) -> Result:
    return Result.of(name, "m", ENDED, 0.08)


def test_a_result_tells_the_end_in_public_words() -> None:
    told = result("a")
    assert (told.finish, told.runaway, told.audio_seconds) == ("loop", True, 2.0)
    assert (told.dropped_turns, told.first_audio_seconds) == (1, 0.3)


def test_the_result_that_nobody_asked_for_longest_is_forgotten_first() -> None:
    results = Results(kept=2)
    results.keep(result("a"))
    results.keep(result("b"))
    assert results.find("a") == result("a")
    results.keep(result("c"))
    assert results.find("b") is None
    assert results.find("a") == result("a")
    assert results.find("c") == result("c")

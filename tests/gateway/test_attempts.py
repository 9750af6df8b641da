"""Attempts without a network: what is tried, when it stops, and what is written down."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import suppress

import pytest

from gateway.dispatch.outlet import Abandoned
from gateway.dispatch.supervisor import Supervisor
from gateway.errors import BudgetExceeded, EveryProviderFailed, GatewayError, OfferRefused
from gateway.routing.standings import Ending
from gateway.settings import Deadlines
from providers import (
    BrokenOff,
    NotAudio,
    Overloaded,
    ProviderError,
    RateLimited,
    Receipt,
    Speech,
    Turn,
    Unreachable,
)
from tests.doubles.stage import AUDIO, Stage


async def fine(_: str) -> AsyncGenerator[bytes]:
    yield AUDIO


async def html_first(name: str) -> AsyncGenerator[bytes]:
    if name == "first":
        raise NotAudio("HTML instead of pcm")
    yield AUDIO


async def silent(_: str) -> AsyncGenerator[bytes]:
    await asyncio.sleep(60)
    yield b""


def failing(error: ProviderError, *names: str) -> object:
    async def said(name: str) -> AsyncGenerator[bytes]:
        if not names or name in names:
            raise error
        yield AUDIO

    return said


async def test_the_next_is_asked() -> None:
    stage = Stage(html_first)
    await stage.run()
    assert stage.asked == ["first", "second"]
    assert stage.outcomes() == [("failed", "not_audio"), ("done", None)]
    assert [each.intent.kind for each in stage.extended] == ["fallback"]


@pytest.mark.parametrize(
    ("error", "tried"),
    [
        (Overloaded("busy"), ["first", "second", "second"]),
        (RateLimited("slowly", wait=0.05), ["first", "second"]),
        (Unreachable("gone"), ["first", "second", "second"]),
    ],
)
async def test_the_last_is_asked_again_where_that_may_help_soon(
    error: ProviderError, tried: list[str]
) -> None:
    stage = Stage(failing(error))  # type: ignore[arg-type]
    with pytest.raises(EveryProviderFailed) as told:
        await stage.run()
    assert stage.asked == tried
    assert told.value.retry_after == error.wait
    assert stage.in_flight() == 0


@pytest.mark.parametrize("capable", [True, False])
async def test_a_context_goes_only_to_who_can_use_it(capable: bool) -> None:  # noqa: FBT001  # a column
    before = (Turn("a", "Who is there?"),)
    able = frozenset({"context"} if capable else ())
    stage = Stage(
        fine, offered={"capabilities": able}, speech=Speech("Hello", "v", "pcm", context=before)
    )
    await stage.run()
    assert stage.contexts == [before if capable else ()]


async def test_at_most_three_attempts_are_made() -> None:
    stage = Stage(failing(Overloaded("busy")), "a", "b", "c", "d", "e")  # type: ignore[arg-type]
    with pytest.raises(EveryProviderFailed):
        await stage.run()
    assert stage.asked == ["a", "b", "c"]
    assert stage.in_flight() == 0


async def test_another_credential_of_the_same_provider_is_used_at_once() -> None:
    said = failing(RateLimited("slowly", wait=60))
    stage = Stage(said, "first", "second", credentials=2)  # type: ignore[arg-type]
    with pytest.raises(EveryProviderFailed):
        await stage.run()
    assert stage.asked == ["first", "first", "second"]
    assert stage.keys == ["KEY_0", "KEY_1", "KEY_0"]
    assert [each.intent.kind for each in stage.extended] == ["credential", "fallback"]
    assert [each.intent.credential for each in stage.extended] == ["KEY_1", "KEY_0"]


async def test_an_offer_that_its_budget_refuses_is_passed_over() -> None:
    stage = Stage(failing(NotAudio("no"), "first"), "first", "second", "third")  # type: ignore[arg-type]
    refusals = [OfferRefused("its budget is used up")]

    def refuse() -> None:
        if refusals:
            raise refusals.pop()

    stage.extending = refuse
    await stage.run()
    assert stage.asked == ["first", "third"]
    assert stage.in_flight() == 0


async def test_what_a_further_attempt_may_cost_is_held_or_it_is_not_made() -> None:
    stage = Stage(html_first)

    def refuse() -> None:
        raise BudgetExceeded("the key's limit")

    stage.extending = refuse
    with pytest.raises(EveryProviderFailed):
        await stage.run()
    assert stage.asked == ["first"]
    assert stage.extended[0].more_nano == len("Hello")
    assert stage.in_flight() == 0


async def test_nobody_is_asked_for_a_client_that_left_while_more_was_held() -> None:
    stage = Stage(html_first)
    stage.extending = stage.outlet.abandon
    with pytest.raises(Abandoned):
        await stage.run()
    assert stage.asked == ["first"]
    assert stage.in_flight() == 0


async def test_a_fault_of_our_own_is_not_written_down_as_done() -> None:
    async def broken(_: str) -> AsyncGenerator[bytes]:
        raise RuntimeError
        yield b""

    stage = Stage(broken)
    with pytest.raises(RuntimeError):
        await stage.run()
    assert stage.outcomes() == [("abandoned", None)]
    assert stage.in_flight() == 0


async def test_a_client_that_leaves_breaks_the_attempt_off() -> None:
    closed = asyncio.Event()

    async def silent_until_closed(_: str) -> AsyncGenerator[bytes]:
        try:
            await asyncio.sleep(60)
            yield b""
        finally:
            closed.set()

    stage = Stage(silent_until_closed)
    running = asyncio.create_task(stage.run())
    while not stage.asked:  # noqa: ASYNC110  # it comes within the next turns of the loop
        await asyncio.sleep(0)
    stage.outlet.abandon()
    with pytest.raises(Abandoned):
        await asyncio.wait_for(running, 1)
    assert closed.is_set()
    assert stage.outcomes() == [("abandoned", None)]


async def test_a_client_may_leave_in_the_moment_of_the_deadline() -> None:
    """The timeout has fired and its task has not yet heard of it."""
    failures = []

    async def leaving(_: str) -> AsyncGenerator[bytes]:
        try:
            await asyncio.sleep(60)
            yield b""
        finally:
            try:
                stage.outlet.abandon()
            except RuntimeError as error:
                failures.append(error)

    stage = Stage(leaving, deadlines=Deadlines(attempt_seconds=0.05))
    with pytest.raises(Abandoned):
        await stage.run()
    assert failures == []


async def test_an_attempt_has_half_of_the_time_while_another_may_follow() -> None:
    begun = time.monotonic()
    stage = Stage(silent, first_audio_by=begun + 0.4)
    with pytest.raises(GatewayError) as told:
        await stage.run()
    assert told.value.status == 504
    [first, second] = [each.result.latency_ms for each in stage.attempts.made]
    assert 190 <= first < 300
    assert 100 <= second < 210


async def test_an_offer_that_is_slow_by_nature_has_the_time_that_it_needs() -> None:
    async def slow(_: str) -> AsyncGenerator[bytes]:
        await asyncio.sleep(0.3)
        yield AUDIO

    stage = Stage(
        slow, "only", deadlines=Deadlines(attempt_seconds=0.1), offered={"first_audio_seconds": 2.0}
    )
    await stage.run()
    assert stage.outcomes() == [("done", None)]


async def test_a_clip_that_ends_inside_a_sample_is_broken_off() -> None:
    async def odd(_: str) -> AsyncGenerator[bytes]:
        yield AUDIO + b"\1"

    stage = Stage(odd)
    with pytest.raises(GatewayError):
        await stage.run()
    assert stage.outcomes() == [("failed", "broken_off")]


async def test_more_audio_than_the_text_can_take_is_broken_off() -> None:
    async def endless(_: str) -> AsyncGenerator[bytes]:
        while True:
            yield bytes(48_000)
            await asyncio.sleep(0)

    stage = Stage(endless)
    running = asyncio.create_task(stage.run())
    while not running.done():
        stage.outlet._chunks.clear()  # noqa: SLF001  # a client that takes all at once
        stage.outlet._waiting_bytes = 0  # noqa: SLF001
        if stage.outlet._wake_writer and not stage.outlet._wake_writer.done():  # noqa: SLF001
            stage.outlet._wake_writer.set_result(None)  # noqa: SLF001
        await asyncio.sleep(0)
    assert isinstance(running.exception(), EveryProviderFailed)
    assert stage.outcomes() == [("failed", "broken_off")]


async def test_a_fault_of_the_supervisor_leaves_no_client_waiting() -> None:
    outlet = Supervisor(None).start(None)  # type: ignore[arg-type]  # nothing works with these
    with pytest.raises(GatewayError):
        await asyncio.wait_for(outlet.head(), 1)


# Hedging.


def late_first(seconds: float) -> object:
    async def said(name: str) -> AsyncGenerator[bytes]:
        await asyncio.sleep(seconds if name == "first" else 0)
        yield AUDIO if name == "first" else AUDIO[::-1]

    return said


HEDGED = Deadlines(attempt_seconds=2)  # so an unknown offer is late after half a second


async def test_a_second_offer_is_asked_when_the_first_is_late_and_the_quicker_speaks() -> None:
    stage = Stage(late_first(30), hedge=True, deadlines=HEDGED)  # type: ignore[arg-type]
    await stage.run()
    assert stage.asked == ["first", "second"]
    assert stage.outcomes() == [("abandoned", None), ("done", None)]
    assert stage.heard() == AUDIO[::-1]
    assert stage.attempts.made[0].owed_nano > 0
    assert [each.intent.kind for each in stage.extended] == ["hedge"]
    assert stage.in_flight() == 0


async def test_nobody_is_asked_beside_an_offer_that_is_in_time() -> None:
    stage = Stage(late_first(0.1), hedge=True, deadlines=HEDGED)  # type: ignore[arg-type]
    await stage.run()
    assert stage.asked == ["first"]


async def test_a_first_that_has_audio_after_all_is_heard_and_its_rival_broken_off() -> None:
    async def both_late(name: str) -> AsyncGenerator[bytes]:
        await asyncio.sleep(0.8 if name == "first" else 30)
        yield AUDIO

    stage = Stage(both_late, hedge=True, deadlines=HEDGED)
    await stage.run()
    assert stage.outcomes() == [("done", None), ("abandoned", None)]
    assert stage.heard() == AUDIO
    assert stage.in_flight() == 0


async def test_two_that_race_and_both_fail_are_followed_by_a_third() -> None:
    async def said(name: str) -> AsyncGenerator[bytes]:
        if name == "third":
            yield AUDIO
            return
        await asyncio.sleep(0.7 if name == "first" else 0)
        raise NotAudio("no")

    stage = Stage(said, "first", "second", "third", hedge=True, deadlines=HEDGED)
    await stage.run()
    assert stage.asked == ["first", "second", "third"]
    assert stage.heard() == AUDIO
    assert stage.in_flight() == 0


async def test_a_client_that_leaves_breaks_both_off() -> None:
    stage = Stage(silent, hedge=True, deadlines=HEDGED)
    running = asyncio.create_task(stage.run())
    while len(stage.asked) < 2:  # noqa: ASYNC110  # the stage has no event of its own
        await asyncio.sleep(0.01)
    stage.outlet.abandon()
    with pytest.raises(Abandoned):
        await asyncio.wait_for(running, 1)
    assert stage.outcomes() == [("abandoned", None)] * 2
    assert stage.in_flight() == 0


# Sentences.

TEXT = ("One, two, three. ", "Four, five, six. ", "Seven, eight. ", "Nine and ten.")
SENTENCES = {"parts": TEXT, "in_sentences": True, "text": "".join(TEXT)}


def breaking_at(call: int, *, at_once: bool = False) -> object:
    calls: list[str] = []

    async def said(name: str) -> AsyncGenerator[bytes]:
        calls.append(name)
        if name == "first" and len(calls) == call:
            if not at_once:
                yield AUDIO[:100]
            raise BrokenOff("the connection ended")
        yield AUDIO

    return said


async def test_a_clip_that_breaks_is_gone_on_with_at_the_next_sentence() -> None:
    stage = Stage(breaking_at(2), **SENTENCES)  # type: ignore[arg-type]
    await stage.run()
    assert stage.asked == ["first", "first", "second", "second"]
    assert stage.texts == [TEXT[0], TEXT[1], TEXT[2], TEXT[3]]
    assert stage.heard() == AUDIO + AUDIO[:100] + AUDIO * 2
    [resumed] = stage.extended
    assert (resumed.intent.kind, resumed.intent.from_character) == (
        "resume",
        len(TEXT[0] + TEXT[1]),
    )


async def test_a_sentence_that_nothing_was_heard_of_is_said_by_the_next() -> None:
    stage = Stage(breaking_at(3, at_once=True), **SENTENCES)  # type: ignore[arg-type]
    await stage.run()
    assert stage.texts == [TEXT[0], TEXT[1], TEXT[2], TEXT[2], TEXT[3]]


async def test_it_is_gone_on_with_once() -> None:
    async def said(_: str) -> AsyncGenerator[bytes]:
        yield AUDIO
        raise BrokenOff("the connection ended")

    stage = Stage(said, "first", "second", "third", **SENTENCES)  # type: ignore[arg-type]
    with pytest.raises(EveryProviderFailed):
        await stage.run()
    assert stage.asked == ["first", "second"]


async def test_without_being_asked_for_nothing_is_gone_on_with() -> None:
    stage = Stage(breaking_at(1))  # type: ignore[arg-type]
    with pytest.raises(EveryProviderFailed):
        await stage.run()
    assert stage.asked == ["first"]


# What offers are judged by.


@pytest.mark.parametrize(("seconds", "counted"), [(0.1, 0), (1.5, 1)])
async def test_a_deadline_too_short_for_anybody_is_not_the_offers_fault(
    seconds: float, counted: int
) -> None:
    deadlines = Deadlines(attempt_seconds=4)
    stage = Stage(silent, "only", deadlines=deadlines, first_audio_by=time.monotonic() + seconds)
    with pytest.raises(GatewayError):
        await stage.run()
    told = stage.standings.of("only:a/m", time.monotonic())
    assert told.failures == ({"timeout": 1} if counted else {})
    assert stage.outcomes() == [("failed", "timeout")]


async def test_one_that_has_just_recovered_is_asked_where_nobody_else_can_speak() -> None:
    stage = Stage(html_first)
    now = time.monotonic()
    for _ in range(5):
        stage.ended("second", Ending(NotAudio("no")), now - 20)
    for seconds in (3, 2, 1):
        stage.ended("second", Ending(first_audio_ms=100), now - seconds)
    await stage.run()
    assert stage.asked == ["first", "second"]


@pytest.mark.parametrize(
    ("told", "outcome"), [(True, ("done", None)), (False, ("failed", "broken_off"))]
)
async def test_an_answer_of_a_length_told_beforehand_may_end_anywhere(
    *, told: bool, outcome: tuple[str, str | None]
) -> None:
    async def odd(_: str) -> AsyncGenerator[bytes | Receipt]:
        yield Receipt(length_told=told)
        yield AUDIO + b"\1"

    stage = Stage(odd)  # type: ignore[arg-type]  # it gives receipts, too
    with suppress(GatewayError):
        await stage.run()
    assert stage.outcomes() == [outcome]

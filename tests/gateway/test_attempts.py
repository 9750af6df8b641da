"""Attempts without a network: what is tried, when it stops, and what is written down."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.audio.formats import Format, Sound
from gateway.dispatch.attempts import Attempts
from gateway.dispatch.outlet import Abandoned, Outlet
from gateway.dispatch.supervisor import Supervisor
from gateway.errors import EveryProviderFailed, GatewayError
from gateway.routing.plan import Choice
from gateway.routing.standings import Standings
from gateway.settings import Deadlines
from providers import NotAudio, Offer, Overloaded, Price, ProviderError, RateLimited, Speech

AUDIO = b"\1\2" * 400
Said = Callable[[str], AsyncGenerator[bytes]]


def offer(provider: str) -> Offer:
    voices = frozenset({"v"})
    return Offer(provider, "a/m", "m", voices, "v", {"pcm": "pcm"}, Price("character", 1000))


class Stage:
    """Two providers, `first` and `second`, whose speech a test writes."""

    def __init__(self, said: Said, attempt_seconds: float = 8) -> None:
        self.asked: list[str] = []
        self.outlet = Outlet()
        self.extending: Callable[[], None] = lambda: None
        self._said = said
        now = time.monotonic()
        choices = tuple(Choice(offer(name), "v", "pcm", 10) for name in ("first", "second"))
        job = SimpleNamespace(
            plan=SimpleNamespace(choices=choices),
            speech=Speech("Hello", "v", "pcm"),
            target=Sound(Format.PCM, 24_000),
            providers={"first": None, "second": None},
            options={},
            trace=SimpleNamespace(traceparent=None),
            opening=SimpleNamespace(id="g", key_hash="k"),
            began=now,
            planned=now,
            first_audio_by=now + 5,
            ends_by=now + 9,
            claim=None,
        )
        deadlines = Deadlines(attempt_seconds=attempt_seconds)
        tools = SimpleNamespace(
            client=None,
            speak=self._speak,
            writer=self,
            standings=Standings(),
            deadlines=deadlines,
            codecs=None,
        )
        self.attempts = Attempts(job, self.outlet, tools, (now, 10))  # type: ignore[arg-type]

    async def submit(self, _: object) -> bool:
        self.extending()
        return True

    def _speak(self, *arguments: Any) -> AsyncGenerator[bytes]:  # noqa: ANN401
        name = arguments[2].provider
        self.asked.append(name)
        return self._said(name)

    def outcomes(self) -> list[tuple[str, str | None]]:
        return [(each.outcome, each.error_type) for each in self.attempts.results]


async def fine(_: str) -> AsyncGenerator[bytes]:
    yield AUDIO


async def html_first(name: str) -> AsyncGenerator[bytes]:
    if name == "first":
        raise NotAudio("HTML instead of pcm")
    yield AUDIO


async def test_the_next_is_asked() -> None:
    stage = Stage(html_first)
    await stage.attempts.run()
    assert stage.asked == ["first", "second"]
    assert stage.outcomes() == [("failed", "not_audio"), ("done", None)]


@pytest.mark.parametrize(
    ("error", "tried"),
    [
        (Overloaded("busy"), ["first", "second", "second"]),
        (Overloaded("busy", wait=0.05), ["first", "second", "second"]),
        (Overloaded("busy", wait=60.0), ["first", "second"]),
        (RateLimited("slowly", wait=0.05), ["first", "second"]),
    ],
)
async def test_the_last_is_asked_again_where_that_may_help_soon(
    error: ProviderError, tried: list[str]
) -> None:
    async def failing(_: str) -> AsyncGenerator[bytes]:
        raise error
        yield b""

    stage = Stage(failing)
    with pytest.raises(EveryProviderFailed) as told:
        await stage.attempts.run()
    assert stage.asked == tried
    assert told.value.retry_after == error.wait


async def test_nobody_is_asked_for_a_client_that_left_while_more_was_held() -> None:
    stage = Stage(html_first)
    stage.extending = stage.outlet.abandon
    with pytest.raises(Abandoned):
        await stage.attempts.run()
    assert stage.asked == ["first"]


async def test_a_fault_of_our_own_is_not_written_down_as_done() -> None:
    async def broken(_: str) -> AsyncGenerator[bytes]:
        raise RuntimeError
        yield b""

    stage = Stage(broken)
    with pytest.raises(RuntimeError):
        await stage.attempts.run()
    assert stage.outcomes() == [("abandoned", None)]


async def test_a_client_that_leaves_breaks_the_attempt_off() -> None:
    closed = asyncio.Event()

    async def silent(_: str) -> AsyncGenerator[bytes]:
        try:
            await asyncio.sleep(60)
            yield b""
        finally:
            closed.set()

    stage = Stage(silent)
    running = asyncio.create_task(stage.attempts.run())
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

    async def silent(_: str) -> AsyncGenerator[bytes]:
        try:
            await asyncio.sleep(60)
            yield b""
        finally:
            try:
                stage.outlet.abandon()
            except RuntimeError as error:
                failures.append(error)

    stage = Stage(silent, attempt_seconds=0.05)
    with pytest.raises(Abandoned):
        await stage.attempts.run()
    assert failures == []


async def test_a_fault_of_the_supervisor_leaves_no_client_waiting() -> None:
    outlet = Supervisor(None).start(None)  # type: ignore[arg-type]  # nothing works with these
    with pytest.raises(GatewayError):
        await asyncio.wait_for(outlet.head(), 1)

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import aclosing

import pytest
from sounds import cut, encoded, foreign, hertz_of, played, tone, wav

from gateway.audio.formats import BrokenAudio, Format, Sound
from gateway.audio.transcode import passes_untouched, transcode

SOURCES = list(Format)
MP3_TO_OPUS = Sound(Format.MP3, 24_000), Sound(Format.OPUS, 24_000)


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


class Upstream:
    """An async source that counts what was taken from it and knows when it was closed."""

    def __init__(self, data: bytes, size: int = 512, error: Exception | None = None) -> None:
        self.pieces = cut(data, size)
        self.taken = 0
        self.closed = False
        self.error = error

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        try:
            for piece in self.pieces:
                self.taken += 1
                yield piece
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True


async def cancelled_once(moment: asyncio.Event, doing: Awaitable[object]) -> None:
    task = asyncio.ensure_future(doing)
    await moment.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def gathered(
    upstream: Upstream, source: Sound, target: Sound, executor: Executor
) -> list[bytes]:
    return [part async for part in transcode(upstream.chunks(), source, target, executor)]


@pytest.mark.parametrize("target", Format)
@pytest.mark.parametrize("source", SOURCES)
async def test_every_format_becomes_every_other(
    source: Format, target: Format, executor: Executor
) -> None:
    upstream = Upstream(encoded(source))
    wanted = Sound(target, 16_000)
    parts = await gathered(upstream, Sound(source, 24_000), wanted, executor)
    assert all(parts)
    assert upstream.closed
    data = b"".join(parts)
    rate, pcm = (16_000, data) if target is Format.PCM else played(data)[1::2]
    assert len(pcm) / 2 / rate == pytest.approx(1.0, abs=0.25)
    assert hertz_of(pcm, rate) == pytest.approx(440, rel=0.01)


@pytest.mark.parametrize("target", Format)
@pytest.mark.parametrize("source", SOURCES)
async def test_the_first_bytes_leave_long_before_the_source_ends(
    source: Format, target: Format, executor: Executor
) -> None:
    upstream = Upstream(encoded(source, seconds=4.0))
    stream = transcode(upstream.chunks(), Sound(source, 24_000), Sound(target, 24_000), executor)
    assert await anext(stream)
    assert upstream.taken <= len(upstream.pieces) / 8 + 1
    await stream.aclose()
    assert upstream.closed


async def test_a_large_chunk_does_not_wait_for_its_own_end(executor: Executor) -> None:
    upstream = Upstream(encoded(Format.PCM, seconds=4.0), size=1 << 20)
    source, target = Sound(Format.PCM, 24_000), Sound(Format.MP3, 24_000)
    parts = await gathered(upstream, source, target, executor)
    assert len(parts) > 30


async def test_an_error_of_the_source_comes_through_and_the_source_is_closed(
    executor: Executor,
) -> None:
    upstream = Upstream(encoded(Format.MP3), error=ConnectionError("gone"))
    with pytest.raises(ConnectionError, match="gone"):
        await gathered(upstream, Sound(Format.MP3, 24_000), Sound(Format.PCM, 24_000), executor)
    assert upstream.closed


@pytest.mark.parametrize("source", [each for each in Format if each is not Format.PCM])
async def test_what_is_no_audio_is_broken_and_the_source_is_closed(
    source: Format, executor: Executor
) -> None:
    upstream = Upstream(b"<html>Bad Gateway</html>" * 20)
    target = Sound(Format.MP3 if source is Format.OPUS else Format.OPUS, 24_000)
    with pytest.raises(BrokenAudio):
        await gathered(upstream, Sound(source, 24_000), target, executor)
    assert upstream.closed


@pytest.mark.parametrize("wanted", [each for each in Format if each is not Format.WAV])
async def test_the_same_format_passes_byte_for_byte(wanted: Format, executor: Executor) -> None:
    sound = Sound(wanted, 24_000)
    assert passes_untouched(sound, sound)
    upstream = Upstream(foreign(wanted) if wanted is not Format.PCM else tone())
    assert await gathered(upstream, sound, sound, executor) == upstream.pieces


def test_samples_pass_untouched_only_at_the_rate_asked_for() -> None:
    assert not passes_untouched(Sound(Format.PCM, 22_050), Sound(Format.PCM, 24_000))
    assert not passes_untouched(Sound(Format.WAV, 24_000), Sound(Format.PCM, 24_000))
    assert not passes_untouched(Sound(Format.MP3, 24_000), Sound(Format.AAC, 24_000))


async def test_a_wav_gets_our_header_without_a_thread_and_ends_with_its_samples() -> None:
    upstream = Upstream(foreign(Format.WAV) + b"LIST\x04\0\0\0INFO")
    sound = Sound(Format.WAV, 24_000)
    idle = ThreadPoolExecutor(1)
    idle.shutdown()  # would refuse any work
    parts = await gathered(upstream, sound, sound, idle)
    assert b"".join(parts) == encoded(Format.WAV)


async def test_a_stereo_wav_becomes_mono(executor: Executor) -> None:
    sound = Sound(Format.WAV, 24_000)
    parts = await gathered(Upstream(wav(tone(), channels=2)), sound, sound, executor)
    assert played(b"".join(parts))[2] == 1


async def test_the_rate_of_the_bytes_counts_and_not_the_one_declared(executor: Executor) -> None:
    upstream = Upstream(wav(tone(1.0, 22_050), rate=22_050))
    parts = await gathered(upstream, Sound(Format.WAV, 24_000), Sound(Format.PCM, 24_000), executor)
    assert len(b"".join(parts)) == 48_000


async def test_leaving_midway_leaks_no_thread(executor: Executor) -> None:
    before = threading.active_count()
    for _ in range(5):
        upstream = Upstream(encoded(Format.MP3))
        stream = transcode(upstream.chunks(), *MP3_TO_OPUS, executor)
        await anext(stream)
        await stream.aclose()
        assert upstream.closed
    assert threading.active_count() <= before + 2  # the executor's own


async def test_a_listener_cancelled_between_chunks_closes_the_source(executor: Executor) -> None:
    upstream = Upstream(encoded(Format.MP3))
    begun = asyncio.Event()

    async def listen() -> None:
        async with aclosing(transcode(upstream.chunks(), *MP3_TO_OPUS, executor)) as stream:
            async for _ in stream:
                begun.set()
                await asyncio.Event().wait()

    await cancelled_once(begun, listen())
    assert upstream.closed


async def test_a_listener_cancelled_while_waiting_closes_the_source(executor: Executor) -> None:
    waiting, closed = asyncio.Event(), asyncio.Event()

    async def silent() -> AsyncGenerator[bytes, None]:
        try:
            yield encoded(Format.MP3)[:100]
            waiting.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    await cancelled_once(waiting, anext(transcode(silent(), *MP3_TO_OPUS, executor)))
    assert closed.is_set()


async def test_a_listener_cancelled_during_a_conversion_closes_the_source() -> None:
    upstream = Upstream(encoded(Format.MP3))
    go_on = threading.Event()
    begun = asyncio.Event()

    with ThreadPoolExecutor(1) as busy:
        busy.submit(go_on.wait, 10)
        stream = transcode(upstream.chunks(), *MP3_TO_OPUS, busy)
        asyncio.get_running_loop().call_soon(begun.set)
        await cancelled_once(begun, anext(stream))
        go_on.set()
    assert upstream.closed


async def test_several_at_once_do_not_disturb_each_other(executor: Executor) -> None:
    target = Sound(Format.FLAC, 24_000)
    alone = await gathered(
        Upstream(encoded(Format.MP3)), Sound(Format.MP3, 24_000), target, executor
    )
    together = await asyncio.gather(
        *(
            gathered(Upstream(encoded(Format.MP3)), Sound(Format.MP3, 24_000), target, executor)
            for _ in range(8)
        )
    )
    assert all(parts == alone for parts in together)

"""The queue between supervisor and response, when either side stops, stalls or leaves."""

import asyncio

import pytest

from gateway.audio.formats import Format, Sound
from gateway.dispatch.outlet import MOST_WAITING_BYTES, Abandoned, Head, Outlet

HEAD = Head("p", "m", "v", 1, Sound(Format.PCM, 24_000), ())
MUCH = bytes(MOST_WAITING_BYTES + 1)


async def test_a_listener_who_makes_progress_is_waited_for() -> None:
    outlet = Outlet()
    for _ in range(6):
        await outlet.put(b"some", patience=1)
    outlet.close()

    async def listen() -> int:
        heard = 0
        async for _ in outlet.chunks():
            heard += 1
            await asyncio.sleep(0.03)
        outlet.finish()
        return heard

    listening = asyncio.create_task(listen())
    await outlet.ended(patience=0.1)
    assert not outlet.abandoned
    assert await listening == 6


async def test_a_listener_who_stands_still_is_given_up() -> None:
    outlet = Outlet()
    await outlet.put(b"some", patience=1)
    outlet.close()
    await asyncio.wait_for(outlet.ended(patience=0.01), 1)
    assert outlet.abandoned


async def test_a_full_queue_lets_go_when_the_client_leaves() -> None:
    outlet = Outlet()
    await outlet.put(MUCH, patience=1)
    putting = asyncio.create_task(outlet.put(b"more", patience=10))
    await asyncio.sleep(0)
    outlet.abandon()
    with pytest.raises(Abandoned):
        await asyncio.wait_for(putting, 1)


async def test_a_full_queue_gives_a_stuck_client_up() -> None:
    outlet = Outlet()
    left = []
    outlet.on_abandon = lambda: left.append(True)
    await outlet.put(MUCH, patience=1)
    with pytest.raises(Abandoned):
        await outlet.put(b"more", patience=0.01)
    assert left == [True]


async def test_who_leaves_between_the_head_and_the_first_chunk_has_had_nothing() -> None:
    outlet = Outlet()
    outlet.open(HEAD)
    assert await outlet.head() is HEAD
    await outlet.put(b"some", patience=1)
    outlet.abandon()
    with pytest.raises(Abandoned):
        await anext(outlet.chunks())
    assert not outlet.delivered


async def test_a_cancelled_response_does_not_trouble_the_supervisor() -> None:
    outlet = Outlet()
    asking = asyncio.create_task(outlet.head())
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    outlet.open(HEAD)
    outlet.close(ValueError("broken"))


async def test_what_broke_the_audio_comes_after_what_was_whole() -> None:
    outlet = Outlet()
    await outlet.put(b"some", patience=1)
    outlet.close(ValueError("broken"))
    chunks = outlet.chunks()
    assert await anext(chunks) == b"some"
    with pytest.raises(ValueError, match="broken"):
        await anext(chunks)

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


class Draft:
    """As the outlet sees a kept clip."""

    def __init__(self) -> None:
        self.heard = b""
        self.lost = False

    def write(self, chunk: bytes) -> None:
        self.heard += chunk

    def drop(self) -> None:
        self.lost = True


def recorded() -> tuple[Outlet, Draft, list[bool]]:
    outlet, draft, broken_off = Outlet(), Draft(), list[bool]()
    outlet.open(HEAD, draft)  # type: ignore[arg-type]  # all of it that an outlet uses
    outlet.on_abandon = lambda: broken_off.append(True)
    return outlet, draft, broken_off


async def heard_first(outlet: Outlet) -> None:
    await outlet.put(b"some", patience=1)
    chunks = outlet.chunks()
    await anext(chunks)
    reading = asyncio.ensure_future(anext(chunks))
    await asyncio.sleep(0)
    assert outlet.delivered
    reading.cancel()


async def test_a_clip_that_is_kept_goes_on_without_its_client() -> None:
    outlet, draft, broken_off = recorded()
    await heard_first(outlet)
    outlet.abandon()
    for _ in range(3):
        await outlet.put(MUCH, patience=0.01)
    assert draft.heard == b"some" + 3 * MUCH
    assert not outlet.deserted
    assert broken_off == []


async def test_a_clip_that_is_kept_goes_on_without_a_stuck_client() -> None:
    outlet, draft, _ = recorded()
    await heard_first(outlet)
    for _ in range(3):
        await outlet.put(MUCH, patience=0.01)
    assert outlet.abandoned
    assert draft.heard == b"some" + 3 * MUCH


async def test_who_has_heard_nothing_takes_the_kept_clip_along() -> None:
    outlet, _, broken_off = recorded()
    await outlet.put(b"some", patience=1)
    outlet.abandon()
    outlet.delivered = True  # the response's last breath changes nothing
    assert outlet.deserted
    assert broken_off == [True]
    with pytest.raises(Abandoned):
        await outlet.put(b"more", patience=1)


async def test_a_clip_that_can_no_longer_be_kept_ends_with_its_client() -> None:
    outlet, draft, _ = recorded()
    await heard_first(outlet)
    outlet.abandon()
    draft.drop()
    with pytest.raises(Abandoned):
        await outlet.put(b"more", patience=1)


@pytest.mark.parametrize("has_left", [False, True])
async def test_a_gateway_that_stops_breaks_off_what_is_kept_too(has_left: bool) -> None:  # noqa: FBT001  # pytest gives it
    outlet, draft, broken_off = recorded()
    await heard_first(outlet)
    if has_left:
        outlet.abandon()
    outlet.break_off()
    assert draft.lost
    assert outlet.deserted
    assert broken_off


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

"""How an upstream speaks: well, oddly, late, too little or too much, but with real audio."""

import asyncio

from tests.doubles.sound import clip
from tests.doubles.upstream.exchange import TYPES, Behaviour, Exchange


async def fine(x: Exchange) -> None:
    await x.send(200, TYPES[x.form], clip(x.form))


async def chunked(x: Exchange) -> None:
    await x.audio()
    audio = clip(x.form)
    for start in range(0, len(audio), 1500):
        await x.chunk(audio[start : start + 1500])
    await x.chunk(b"")


async def in_halves(x: Exchange) -> None:
    """Half of the audio, and the rest when the test says so."""
    audio = clip(x.form, 2.0)
    await x.audio()
    await x.chunk(audio[: len(audio) // 2])
    while not x.heard.go.is_set():  # noqa: ASYNC110  # the test sets it from another thread
        await asyncio.sleep(0.01)
    await x.chunk(audio[len(audio) // 2 :])
    await x.chunk(b"")


def late(seconds: float) -> Behaviour:
    async def speak(x: Exchange) -> None:
        await asyncio.sleep(seconds)
        await chunked(x)

    return speak


async def long(x: Exchange) -> None:
    """Half a minute of audio, all at once."""
    await x.send(200, TYPES[x.form], clip(x.form, 30.0))


async def very_long(x: Exchange) -> None:
    """More pcm than all buffers between here and a client that reads nothing can take."""
    await x.send(200, TYPES[x.form], clip(x.form, 30.0) * 4)


async def oversize(x: Exchange) -> None:
    """Twenty minutes of audio, whatever the text is, as fast as they are taken."""
    await x.audio()
    async with x.watched():
        for _ in range(40):
            await x.chunk(clip(x.form, 30.0))
        await x.chunk(b"")


async def endless(x: Exchange) -> None:
    """Audio without end, until the other side has gone."""
    await x.audio()
    async with x.watched():
        while not x.heard.gone.is_set():
            await x.chunk(clip("pcm", 1.0))
            await asyncio.sleep(0.02)


def dripping(at_once: int, each: int) -> Behaviour:
    """So many bytes at once, and then a few at a time, far below real time."""

    async def speak(x: Exchange) -> None:
        audio = clip(x.form, 30.0)
        await x.audio()
        async with x.watched():
            await x.chunk(audio[:at_once])
            for at in range(at_once, len(audio), each):
                if x.heard.gone.is_set():
                    break
                await x.chunk(audio[at : at + each])
                await asyncio.sleep(0.05)

    return speak


async def stalling(x: Exchange) -> None:
    """The beginning of a clip, and then silence."""
    await x.audio()
    await x.chunk(clip(x.form)[:4000])
    await x.until_gone()


async def cut_clean(x: Exchange) -> None:
    """Half of a clip, cut inside a frame or sample; only the connection's end ends it."""
    audio = clip(x.form, 20.0)
    await x.head(200, TYPES[x.form])
    await x.write(audio[: len(audio) // 4 * 2 + 1])


async def cut_clean_at_start(x: Exchange) -> None:
    """Seven bytes of a clip, and a clean end."""
    await x.send(200, TYPES[x.form], clip(x.form)[:7])


async def too_short(x: Exchange) -> None:
    """A whole clip, far too short for any text."""
    await x.send(200, TYPES[x.form], clip(x.form, 0.03))


async def long_id(x: Exchange) -> None:
    """Good audio under a request id that no column was made for."""
    await x.send(200, TYPES[x.form], clip(x.form), "x-generation-id: " + "long-" * 100)


async def cookie(x: Exchange) -> None:
    await x.send(200, TYPES[x.form], clip(x.form), "set-cookie: who=me; path=/")


async def billing(x: Exchange) -> None:
    """Good audio under the header lines that the request's own field `bill` lists."""
    bill = x.heard.body.get("bill", [])
    assert isinstance(bill, list)
    await x.send(200, TYPES[x.form], clip(x.form), *bill)

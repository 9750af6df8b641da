"""How an upstream fails without a status that says so: on the wire, or by what is no audio."""

import asyncio
import gzip
import struct
from functools import cache

from tests.doubles.sound import clip
from tests.doubles.upstream.exchange import TYPES, Behaviour, Exchange

HTML = b"<!doctype html><html><body>Welcome</body></html>"


def instead(kind: str, body: bytes) -> Behaviour:
    """200 with something else."""

    async def answer(x: Exchange) -> None:
        await x.send(200, kind, body)

    return answer


def disguised(body: bytes) -> Behaviour:
    """200 with something else that calls itself the audio."""

    async def answer(x: Exchange) -> None:
        await x.send(200, TYPES[x.form], body)

    return answer


async def wrong_type(x: Exchange) -> None:
    other = "wav" if x.form != "wav" else "mp3"
    await x.send(200, TYPES[other], clip(other))


async def wrong_audio(x: Exchange) -> None:
    other = "wav" if x.form != "wav" else "mp3"
    await x.send(200, TYPES[x.form], clip(other))


async def cut_at_start(x: Exchange) -> None:
    """A head that promises more than the seven bytes that come."""
    await x.head(200, TYPES[x.form], "content-length: 40000")
    await x.write(clip(x.form)[:7])


async def cut_in_the_middle(x: Exchange) -> None:
    audio = clip(x.form, 20.0)
    await x.head(200, TYPES[x.form], "content-length: " + str(len(audio)))
    await x.write(audio[: len(audio) // 2])


async def hang(x: Exchange) -> None:
    await x.until_gone()


async def head_only(x: Exchange) -> None:
    """The head of good audio, and then nothing."""
    await x.audio()
    await x.until_gone()


async def json_hanging(x: Exchange) -> None:
    """200 with the beginning of some JSON, and then nothing."""
    await x.head(200, "application/json", "content-length: 400")
    await x.write(b'{"error": ')
    await x.until_gone()


async def stalling_error(x: Exchange) -> None:
    await x.head(429, "application/json", "content-length: 400", "retry-after: 9")
    await x.until_gone()


async def cut_error(x: Exchange) -> None:
    await x.head(429, "application/json", "content-length: 400", "retry-after: 9")


async def endless_error(x: Exchange) -> None:
    """A refusal whose body never ends."""
    await x.head(500, "text/plain", "transfer-encoding: chunked")
    async with x.watched():
        while not x.heard.gone.is_set():
            await x.chunk(b"sorry " * 1000)
            await asyncio.sleep(0)


async def reset(x: Exchange) -> None:
    sock = x.writer.get_extra_info("socket")
    sock.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER 0: a close is a reset
    x.writer.close()


async def reset_in_the_middle(x: Exchange) -> None:
    await x.audio()
    await x.chunk(clip(x.form, 20.0)[:20_000])
    await asyncio.sleep(0.3)  # a reset throws away what the other side has not read yet
    await reset(x)


async def compressed(x: Exchange) -> None:
    await x.send(200, TYPES[x.form], gzip.compress(clip(x.form)), "content-encoding: gzip")


async def bomb(x: Exchange) -> None:
    """Some 200 kB that would inflate to 200 MB."""
    await x.send(200, TYPES[x.form], _bomb(), "content-encoding: gzip")


@cache
def _bomb() -> bytes:
    return gzip.compress(bytes(1 << 20)) * 200


def redirect(status: int) -> Behaviour:
    async def answer(x: Exchange) -> None:
        where = f"http://127.0.0.1:{x.writer.get_extra_info('sockname')[1]}/fine/v1/audio/speech"
        await x.send(status, "text/plain", b"", f"location: {where}")

    return answer


async def huge_header(x: Exchange) -> None:
    await x.send(200, TYPES[x.form], clip(x.form), "x-huge: " + "h" * 300_000)


def named(name: str) -> Behaviour:
    """Good audio under a request id with characters that belong in no header."""

    async def answer(x: Exchange) -> None:
        await x.send(200, TYPES[x.form], clip(x.form), f"x-generation-id: {name}")

    return answer


async def not_http(x: Exchange) -> None:
    await x.write(b"220 mail.example ESMTP ready\r\n\r\n")


async def wrong_chunk(x: Exchange) -> None:
    await x.audio()
    await x.chunk(clip(x.form)[:4000])
    await asyncio.sleep(0.3)  # so that the head has been read before the fault comes
    await x.write(b"not a length\r\n")

"""Answers that are not bare audio: what is read from them, and what is refused."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from providers import Client, NotAudio, QuotaExhausted
from providers.answers import events, lines
from providers.http import exchange
from tests.doubles.upstream import Upstream

Reader = Callable[[httpx.Response], AsyncIterator[dict[str, Any]]]


async def read(
    client: Client, upstream: Upstream, reader: Reader, body: str, kind: str = "text/event-stream"
) -> list[dict[str, Any]]:
    asked = {"input": "read", "answer": {"kind": kind, "body": body}}
    address = f"{upstream.address('scripted')}/audio/speech"
    async with exchange(client, address, headers={}, body=asked) as response:
        return [each async for each in reader(response)]


@pytest.mark.parametrize(
    "body",
    [
        'data: {"a": 1}\n\ndata: {"b": 2}\n\n',
        'data:{"a": 1}\r\n\r\ndata:{"b": 2}\r\n\r\n',
        ': hello\nid: 1\nevent: x\ndata: {"a":\ndata: 1}\n\n\n: still\n\ndata: {"b": 2}\n\n',
        'data: {"a": 1}\n\ndata: {"b": 2}\n\ndata: [DONE]\n\ndata: {"c": 3}\n\n',
        'data: {"a": 1}\n\ndata: {"b": 2}\n\ndata: {"cut off": ',
    ],
)
async def test_events_are_read_as_the_standard_says(
    client: Client, upstream: Upstream, body: str
) -> None:
    assert await read(client, upstream, events, body) == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize("body", ['{"a": 1}\n{"b": 2}\n', '{"a": 1}\r\n\r\n{"b": 2}'])
async def test_each_line_is_an_object(client: Client, upstream: Upstream, body: str) -> None:
    assert await read(client, upstream, lines, body) == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize("told", ["{oh no", "[1]", "1", '"so"', "\x00", "[" * 5000])
async def test_what_is_no_object_is_no_audio(client: Client, upstream: Upstream, told: str) -> None:
    for reader, body in ((events, f"data: {told}\n\n"), (lines, f"{told}\n")):
        with pytest.raises(NotAudio):
            await read(client, upstream, reader, body)


async def test_an_error_in_json_instead_of_events_is_told(
    client: Client, upstream: Upstream
) -> None:
    body = '{"error": {"code": "insufficient_quota"}}'
    with pytest.raises(QuotaExhausted):
        await read(client, upstream, events, body, "application/json")
    with pytest.raises(NotAudio, match="JSON instead of events"):
        await read(client, upstream, events, '{"data": 1}', "application/json; charset=utf-8")

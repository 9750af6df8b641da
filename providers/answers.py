"""Answers that are not bare audio: JSON, events, lines, downloads; each read under a cap."""

import base64
import binascii
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec

from providers.catalog import Provider
from providers.errors import BrokenOff, NotAudio, ProviderError
from providers.http import Client, chunks, exchange, refuse_json
from providers.refusals import inside

MOST_JSON_BYTES = 140_000_000
"""A hundred megabytes of audio, and a third more for base64."""
MOST_LINE_BYTES = 16_000_000
MOST_DOWNLOADED = 100_000_000


async def read_json(response: httpx.Response, most: int = MOST_JSON_BYTES) -> dict[str, Any]:
    """The answer as a JSON object; NotAudio where it is none."""
    body = bytearray()
    async for chunk in chunks(response):
        body += chunk
        if len(body) > most:
            raise NotAudio("an answer without end", status=response.status_code)
    return _object(bytes(body), response)


async def lines(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """JSON objects, one a line, as they come."""
    async for line in _split(response):
        if line:
            yield _object(line, response)


async def events(
    response: httpx.Response, *, until_done: bool = False
) -> AsyncIterator[dict[str, Any]]:
    """The JSON data of server-sent events as they come; `[DONE]` ends them.

    JSON instead of them is the error that it tells, or NotAudio.
    until_done: whether they break off where they end without `[DONE]`.

    Source: WHATWG HTML, section "Server-sent events".
    """
    await refuse_json(response, "events")
    data: list[bytes] = []
    size = 0
    async for line in _split(response):
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
            size += len(line)
            if size > MOST_LINE_BYTES:
                raise NotAudio("an event without end", status=response.status_code)
        elif not line and data:
            size = 0
            told, data = b"\n".join(data), []
            if told == b"[DONE]":
                return
            yield _object(told, response)
    if until_done:
        raise BrokenOff("its events end too early", status=response.status_code)


def told_error(
    response: httpx.Response, answer: Mapping[str, Any], *, spoke: bool
) -> ProviderError | None:
    """The error that an event or a line tells, if it does; spoke: whether audio came before it.

    Then it is BrokenOff whatever it tells: what was spoken may be billed.
    """
    error = failure_inside(response, answer)
    if error is None and answer.get("type") == "error":
        error = NotAudio("an error that says nothing", status=response.status_code)
    if error is None or not spoke:
        return error
    return BrokenOff("an error in the middle of the audio", status=error.status, code=error.code)


def audio_of(encoded: object, response: httpx.Response) -> bytes:
    """Base64, or a data URL that says to be audio; NotAudio for anything else."""
    if not isinstance(encoded, str) or not encoded:
        raise NotAudio("no audio in the answer", status=response.status_code)
    if encoded.startswith("data:"):
        head, _, encoded = encoded.partition(",")
        if not head.startswith(("data:audio/", "data:application/octet-stream")):
            raise NotAudio("a data URL that is not audio", status=response.status_code)
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise NotAudio("audio that is not base64", status=response.status_code) from None


@asynccontextmanager
async def download(
    client: Client, provider: Provider, url: object, headers: Mapping[str, str]
) -> AsyncGenerator[httpx.Response]:
    """The open answer of a URL that the provider gave; only where its own downloads lie.

    headers: none of ours with a key in them unless the URL is at the provider's own host.
    """
    place = _place(provider, url)
    at_home = place.host == httpx.URL(provider.address).host
    async with exchange(
        client, str(place), headers=headers if at_home else {}, method="GET"
    ) as response:
        told = response.headers.get("content-length", "0")
        if told.isdigit() and int(told) > MOST_DOWNLOADED:
            raise NotAudio("a download that is too large", status=response.status_code)
        yield response


async def downloaded(response: httpx.Response) -> AsyncIterator[bytes]:
    """The download as it comes, up to the cap whatever it said of its length."""
    came = 0
    async for chunk in chunks(response):
        came += len(chunk)
        if came > MOST_DOWNLOADED:
            raise NotAudio("a download that is too large", status=response.status_code)
        yield chunk


def _place(provider: Provider, url: object) -> httpx.URL:
    """The URL, if it leads where the provider's downloads lie; a stranger's host is not asked."""
    home = httpx.URL(provider.address)
    try:
        place = httpx.URL(str(url))
    except httpx.InvalidURL:
        raise NotAudio("no download in the answer") from None
    same = (place.scheme, place.host, place.port) == (home.scheme, home.host, home.port)
    known = place.scheme == "https" and place.port is None and _is_known(place.host, provider)
    if not (same or known) or place.userinfo:
        raise NotAudio("a download at a host that is not the provider's")
    return place


def _is_known(host: str, provider: Provider) -> bool:
    return any(
        host == each or (each.startswith(".") and host.endswith(each)) for each in provider.hosts
    )


async def _split(response: httpx.Response) -> AsyncIterator[bytes]:
    """Lines, without their ends."""
    line = bytearray()
    async for chunk in chunks(response):
        first, *others = chunk.split(b"\n")
        line += first
        for other in others:
            yield bytes(line).removesuffix(b"\r")
            line = bytearray(other)
        if len(line) > MOST_LINE_BYTES:
            raise NotAudio("a line without end", status=response.status_code)
    if line:
        yield bytes(line).removesuffix(b"\r")


def _object(told: bytes, response: httpx.Response) -> dict[str, Any]:
    """A JSON object, or NotAudio."""
    try:
        answer = msgspec.json.decode(told)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise NotAudio("not the JSON that was to come", status=response.status_code)
    return answer


def failure_inside(response: httpx.Response, answer: Mapping[str, Any]) -> ProviderError | None:
    """The error that an answer under 2xx tells, if it does."""
    return inside(response.status_code, response.headers, msgspec.json.encode(answer))

"""fal: an app answers at once, or takes a place in a queue that is asked after; then a download.

Which of the two, the address says (`https://fal.run`, `https://queue.fal.run`), and the answer by
its shape. Source: docs.fal.ai/model-endpoints/queue, and their SDK 1.0.3. Which fields an app
wants, its row's `extra` says (providers/templates.py).
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial
from urllib.parse import quote

import httpx

from providers.answers import at_home, audio_at, failure_inside, read_json
from providers.catalog import Offer, Provider
from providers.errors import NotAudio, Refused, begun
from providers.http import Client, exchange, id_of, limits, receipt
from providers.jobs import cancelled_unless_heard, finished
from providers.speech import Receipt, Speech
from providers.templates import filled


async def speak(
    client: Client, provider: Provider, offer: Offer, speech: Speech
) -> AsyncGenerator[bytes | Receipt]:
    async with exchange(
        client,
        f"{provider.address}/{quote(offer.upstream)}",
        body=filled(provider, offer, speech),
        headers=provider.headers(speech.traceparent),
        patience=offer.first_audio_seconds,
    ) as response:
        answer = await read_json(response)
    waiting = partial(_queued, patience=offer.first_audio_seconds)
    hear = waiting if "response_url" in answer else _spoken
    async with aclosing(hear(client, provider, speech, answer, response)) as pieces:
        async for piece in pieces:
            yield piece


async def _queued(  # noqa: PLR0913  # what was asked, what came, and for how long
    client: Client,
    provider: Provider,
    speech: Speech,
    place: Mapping[str, object],
    response: httpx.Response,
    *,
    patience: float,
) -> AsyncGenerator[bytes | Receipt]:
    headers = provider.headers(speech.traceparent)
    status, result, cancel = (
        at_home(provider, place.get(f"{name}_url")) for name in ("status", "response", "cancel")
    )
    with cancelled_unless_heard(client, "PUT", cancel, headers):
        yield Receipt(upstream_id=id_of(place.get("request_id")), limits=limits(response))
        asked = partial(_is_completed, client, status, headers)
        await finished(client, asked, patience)
        # What the app did not like about its input, too, is told only here.
        with begun("its result", Refused):
            async with exchange(client, result, method="GET", headers=headers) as given:
                answer = await read_json(given)
        async with aclosing(_spoken(client, provider, speech, answer, given)) as pieces:
            async for piece in pieces:
                yield piece


async def _is_completed(client: Client, status: str, headers: Mapping[str, str]) -> bool | None:
    async with exchange(client, status, method="GET", headers=headers) as response:
        told = await read_json(response)
    return told.get("status") == "COMPLETED" or None


async def _spoken(
    client: Client,
    provider: Provider,
    speech: Speech,
    answer: Mapping[str, object],
    response: httpx.Response,
) -> AsyncGenerator[bytes | Receipt]:
    file = answer.get("audio")
    url = file.get("url") if isinstance(file, dict) else None
    if url is None:
        raise failure_inside(response, answer) or NotAudio("no audio in the answer")
    yield receipt(response, provider, "x-fal-request-id")
    async with aclosing(audio_at(client, provider, speech, url, response)) as pieces:
        async for piece in pieces:
            yield piece

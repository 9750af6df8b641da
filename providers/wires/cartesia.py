"""Cartesia: one request a text; its audio comes as it is made, bare (bytes) or in events (SSE).

A row's formats are its `output_format` spelled as a query: "container=raw&encoding=pcm_s16le&...".
Source: docs.cartesia.ai/api-reference/tts/bytes and /sse, and their SDK 4.2.0.
"""

from collections.abc import AsyncGenerator
from urllib.parse import parse_qsl

from providers.answers import audio_of, events, told_error
from providers.catalog import Offer, Provider
from providers.errors import BrokenOff, NotAudio
from providers.http import Client, check_content_type, chunks, exchange, receipt
from providers.speech import Receipt, Speech


async def speak(
    client: Client, provider: Provider, offer: Offer, speech: Speech
) -> AsyncGenerator[bytes | Receipt]:
    async with exchange(
        client,
        f"{provider.address}/tts/bytes",
        body=_body(provider, offer, speech),
        headers=provider.headers(speech.traceparent),
    ) as response:
        await check_content_type(response, speech.format)
        yield receipt(response, provider)
        async for chunk in chunks(response):
            yield chunk


async def speak_events(
    client: Client, provider: Provider, offer: Offer, speech: Speech
) -> AsyncGenerator[bytes | Receipt]:
    """The same in events, raw formats only; they tell an error that comes after the head."""
    headers = provider.headers(speech.traceparent) | {"accept": "text/event-stream"}
    url, body = f"{provider.address}/tts/sse", _body(provider, offer, speech)
    async with exchange(client, url, body=body, headers=headers) as response:
        yield receipt(response, provider)
        spoke = False
        async for event in events(response):
            kind = event.get("type")
            if kind == "chunk":
                yield audio_of(event.get("data"), response)
                spoke = True
            elif kind == "done" and spoke:
                return
            elif error := told_error(response, event, spoke=spoke):
                raise error
        early = BrokenOff if spoke else NotAudio
        raise early("its events end too early", status=response.status_code)


def _body(provider: Provider, offer: Offer, speech: Speech) -> dict[str, object]:
    form = parse_qsl(offer.formats[speech.format])
    body: dict[str, object] = {
        **speech.options,
        "model_id": offer.upstream,
        "transcript": speech.text,
        # The newest versions need no mode, and older ones take no voice without it.
        "voice": {"mode": "id", "id": offer.voice_id(speech.voice)},
        "output_format": {name: int(each) if each.isdigit() else each for name, each in form},
        **provider.extra,
        **offer.extra,
    }
    if speech.speed is not None:
        given = body.get("generation_config")
        given = given if isinstance(given, dict) else {}
        body["generation_config"] = {**given, "speed": speech.speed}
    return {name: value for name, value in body.items() if name not in provider.omit}

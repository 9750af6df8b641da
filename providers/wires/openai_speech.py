"""OpenAI's `POST /audio/speech`: JSON in, raw audio out as it is made; spoken by many servers.

Source: OpenAI's OpenAPI document v2.3.0, CreateSpeechRequest.
"""

from collections.abc import AsyncGenerator
from dataclasses import replace

from providers.catalog import Offer, Provider
from providers.http import Client, check_content_type, chunks, exchange, receipt
from providers.speech import Receipt, Speech


async def speak(
    client: Client, provider: Provider, offer: Offer, speech: Speech
) -> AsyncGenerator[bytes | Receipt]:
    async with exchange(
        client,
        f"{provider.address}/audio/speech",
        body=_body(provider, offer, speech),
        headers=provider.headers(speech.traceparent),
        patience=offer.first_audio_seconds,
    ) as response:
        rate = await check_content_type(response, speech.format)
        yield replace(receipt(response, provider), sample_rate=rate)
        async for chunk in chunks(response):
            yield chunk


def _body(provider: Provider, offer: Offer, speech: Speech) -> dict[str, object]:
    # The caller's own options come first, so that none of them replaces what is metered.
    body: dict[str, object] = {
        **speech.options,
        "model": offer.upstream,
        "input": speech.text,
        "voice": offer.voice_id(speech.voice),
        "response_format": offer.formats[speech.format],
        **provider.extra,
        **offer.extra,
        **speech.sampling.chosen(),
    }
    if speech.speed is not None:
        body["speed"] = speech.speed
    if speech.instructions:
        body["instructions"] = speech.instructions
    return {name: value for name, value in body.items() if name not in provider.omit}

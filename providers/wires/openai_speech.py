"""OpenAI's `POST /audio/speech`: JSON in, raw audio out as it is made; spoken by many servers.

Source: OpenAI's OpenAPI document v2.3.0, CreateSpeechRequest. What was said before, and whose
request it is, go only to a server whose row says by which names it takes them (`fields`).
"""

import base64
from collections.abc import AsyncGenerator
from dataclasses import replace

from providers.catalog import Offer, Provider
from providers.http import Client, check_content_type, chunks, exchange, receipt
from providers.speech import Receipt, Speech, Turn


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
    body |= _beyond(provider, speech)
    return {name: value for name, value in body.items() if name not in provider.omit}


def _beyond(provider: Provider, speech: Speech) -> dict[str, object]:
    """What no OpenAI client says, by the provider's own names for it."""
    told = {
        "context": [_turn(turn, provider) for turn in speech.context],
        "caller": speech.caller,
    }
    return {theirs: told[ours] for ours, theirs in provider.fields.items() if told[ours]}


def _turn(turn: Turn, provider: Provider) -> dict[str, str]:
    """Its words, and its sound; what the same provider made, it may know better by its id."""
    told = {"speaker": turn.speaker, "text": turn.text}
    if turn.audio is not None:
        told["audio"] = base64.b64encode(turn.audio).decode()
    if turn.made is not None and turn.made.provider == provider.name:
        told["utterance_id"] = turn.made.upstream_id
    return told

"""Deepgram: the body is the text alone, all else is in the query; audio comes as it is made.

A row's formats are their part of the query: "encoding=linear16&container=none&sample_rate=24000".
Source: developers.deepgram.com/reference/text-to-speech/speak-request, and their SDK 7.17.0.
"""

from collections.abc import AsyncGenerator
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode

from providers.catalog import Offer, Provider
from providers.http import Client, check_content_type, chunks, exchange, receipt
from providers.speech import Receipt, Speech

ELSEWHERE = {"callback", "callback_method"}
"""With these it would send the audio to somebody else."""


async def speak(
    client: Client, provider: Provider, offer: Offer, speech: Speech
) -> AsyncGenerator[bytes | Receipt]:
    async with exchange(
        client,
        f"{provider.address}/v1/speak?{_query(provider, offer, speech)}",
        body={"text": speech.text},
        headers=provider.headers(speech.traceparent),
    ) as response:
        rate = await check_content_type(response, speech.format)
        yield replace(receipt(response, provider, "dg-request-id"), sample_rate=rate)
        async for chunk in chunks(response):
            yield chunk


def _query(provider: Provider, offer: Offer, speech: Speech) -> str:
    """A voice's id names model, voice and language at once."""
    query: dict[str, object] = {
        **speech.options,
        "model": offer.voice_id(speech.voice),
        **dict(parse_qsl(offer.formats[speech.format])),
        **provider.extra,
        **offer.extra,
    }
    if speech.speed is not None:
        query["speed"] = speech.speed
    refused = provider.omit | ELSEWHERE
    told = {name: _spelled(value) for name, value in query.items() if name not in refused}
    return urlencode(told, doseq=True)


def _spelled(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value

"""ElevenLabs: the voice is in the path, the format in the query, and audio comes as it is made.

Source: elevenlabs.io/docs/api-reference/text-to-speech/stream, and their SDK 2.78.0.
"""

from collections.abc import AsyncGenerator
from urllib.parse import quote

from providers.catalog import Offer, Provider
from providers.http import Client, check_content_type, chunks, exchange, receipt
from providers.speech import Receipt, Speech

MOST_SEED = 2**32


async def speak(
    client: Client, provider: Provider, offer: Offer, speech: Speech
) -> AsyncGenerator[bytes | Receipt]:
    voice = quote(offer.voice_id(speech.voice), safe="")
    form = quote(offer.formats[speech.format], safe="")
    async with exchange(
        client,
        f"{provider.address}/v1/text-to-speech/{voice}/stream?output_format={form}",
        body=_body(provider, offer, speech),
        headers=provider.headers(speech.traceparent),
    ) as response:
        await check_content_type(response, speech.format)
        yield receipt(response, provider, "request-id")
        async for chunk in chunks(response):
            yield chunk


def _body(provider: Provider, offer: Offer, speech: Speech) -> dict[str, object]:
    body: dict[str, object] = {
        **speech.options,
        "text": speech.text,
        "model_id": offer.upstream,
        **provider.extra,
        **offer.extra,
    }
    if speech.speed is not None:
        body["voice_settings"] = {"speed": speech.speed}
    if speech.sampling.seed is not None:
        body["seed"] = speech.sampling.seed % MOST_SEED
    if speech.context:
        body["previous_text"] = "\n".join(turn.text for turn in speech.context)
    return body

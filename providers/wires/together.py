"""Together: OpenAI's request, but raw samples come as server-sent events while they are made.

Source: docs.together.ai/docs/text-to-speech, and their SDK 3.1.1.
"""

from collections.abc import AsyncGenerator

from providers.answers import audio_of, events, told_error
from providers.catalog import Offer, Provider
from providers.http import Client, check_content_type, chunks, exchange, receipt
from providers.speech import Receipt, Speech

STREAMED = "raw"
"""The one format that it streams."""


async def speak(
    client: Client, provider: Provider, offer: Offer, speech: Speech
) -> AsyncGenerator[bytes | Receipt]:
    async with exchange(
        client,
        f"{provider.address}/audio/speech",
        body=_body(provider, offer, speech),
        headers=provider.headers(speech.traceparent),
    ) as response:
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            yield receipt(response, provider)
            spoke = False
            async for event in events(response, until_done=True):
                if "b64" in event:
                    yield audio_of(event["b64"], response)
                    spoke = True
                elif error := told_error(response, event, spoke=spoke):
                    raise error
        else:
            await check_content_type(response, speech.format)
            yield receipt(response, provider)
            async for chunk in chunks(response):
                yield chunk


def _body(provider: Provider, offer: Offer, speech: Speech) -> dict[str, object]:
    form = offer.formats[speech.format]
    return {
        **speech.options,
        "model": offer.upstream,
        "input": speech.text,
        "voice": offer.voice_id(speech.voice),
        "response_format": form,
        "stream": form == STREAMED,
        **provider.extra,
        **offer.extra,
    }

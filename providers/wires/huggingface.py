"""Hugging Face's own inference: the model is in the path, and its clip comes whole.

Source: huggingface.co/docs/inference-providers/tasks/text-to-speech, and huggingface_hub 2.4.0.
"""

from collections.abc import AsyncGenerator, Mapping
from urllib.parse import quote

from providers.catalog import Offer, Provider
from providers.http import Client, check_content_type, chunks, exchange, receipt
from providers.speech import Receipt, Speech

SAMPLING = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "max_tokens": "max_new_tokens",
}
"""Our name -> theirs; they take no other."""


async def speak(
    client: Client, provider: Provider, offer: Offer, speech: Speech
) -> AsyncGenerator[bytes | Receipt]:
    async with exchange(
        client,
        f"{provider.address}/models/{quote(offer.upstream)}",
        body=_body(provider, offer, speech),
        headers=provider.headers(speech.traceparent),
        patience=offer.first_audio_seconds,
    ) as response:
        await check_content_type(response, speech.format)
        yield receipt(response, provider)
        async for chunk in chunks(response):
            yield chunk


def _body(provider: Provider, offer: Offer, speech: Speech) -> dict[str, object]:
    body = {**provider.extra, **offer.extra, "inputs": speech.text}
    own, chosen = body.get("parameters"), speech.sampling.chosen()
    parameters = {
        **speech.options,
        **(own if isinstance(own, Mapping) else {}),
        **{theirs: chosen[ours] for ours, theirs in SAMPLING.items() if ours in chosen},
    }
    return {**body, "parameters": parameters}

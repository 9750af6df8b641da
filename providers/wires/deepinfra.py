"""DeepInfra's own inference: JSON in, JSON with the whole audio as a data URL out, and its cost.

Source: deepinfra.com/sesame/csm-1b/api.
"""

from collections.abc import AsyncGenerator
from urllib.parse import quote

from providers.answers import audio_of, failure_inside, read_json
from providers.billing import bill_told
from providers.catalog import Offer, Provider
from providers.http import Client, exchange, id_of, limits
from providers.speech import Receipt, Speech
from providers.templates import wav_url

NEVER = frozenset({"webhook"})
"""It would have the audio sent there instead."""


async def speak(
    client: Client, provider: Provider, offer: Offer, speech: Speech
) -> AsyncGenerator[bytes | Receipt]:
    async with exchange(
        client,
        f"{provider.address}/v1/inference/{quote(offer.upstream)}",
        body=_body(provider, offer, speech),
        headers=provider.headers(speech.traceparent),
        patience=offer.first_audio_seconds,
    ) as response:
        answer = await read_json(response)
        encoded = answer.get("audio")
        if not encoded and (error := failure_inside(response, answer)):
            raise error
        audio = audio_of(encoded, response)
        yield _receipt(answer, limits(response))
        yield audio


def _receipt(answer: dict[str, object], told: tuple[tuple[str, str], ...]) -> Receipt:
    status = answer.get("inference_status")
    cost = status.get("cost") if isinstance(status, dict) else None
    bill = bill_told(units=answer.get("input_character_length"), usd=cost)
    return Receipt(
        upstream_id=id_of(answer.get("request_id")),
        billed_units=bill.units,
        billed_nano=bill.nano,
        billed_malformed=bill.malformed,
        limits=told,
    )


def _body(provider: Provider, offer: Offer, speech: Speech) -> dict[str, object]:
    body: dict[str, object] = {
        **speech.options,
        "text": speech.text,
        "preset_voice": offer.voice_id(speech.voice),
        "response_format": offer.formats[speech.format],
        **provider.extra,
        **offer.extra,
    }
    if speech.sampling.temperature is not None:
        body["temperature"] = speech.sampling.temperature
    heard = next((turn for turn in reversed(speech.context) if turn.audio), None)
    if heard is not None and heard.audio:
        body["speaker_audio"] = wav_url(heard.audio)
        body["speaker_transcript"] = heard.text
    return {name: value for name, value in body.items() if name not in NEVER | provider.omit}

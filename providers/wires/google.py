"""Google Cloud Text-to-Speech: JSON in, and the whole clip out as base64 in JSON.

The row's `extra` may add to `voice` and to `audioConfig`, as they stand in the body.
Source: cloud.google.com/text-to-speech/docs/reference/rest/v1/text/synthesize; their SDK 2.38.0.
"""

from collections.abc import AsyncGenerator, Mapping

from providers.answers import audio_of, failure_inside, read_json
from providers.catalog import Offer, Provider
from providers.http import Client, exchange, receipt
from providers.markup import is_document, is_paced
from providers.speech import Receipt, Speech


async def speak(
    client: Client, provider: Provider, offer: Offer, speech: Speech
) -> AsyncGenerator[bytes | Receipt]:
    async with exchange(
        client,
        f"{provider.address}/v1/text:synthesize",
        body=_body(provider, offer, speech),
        headers=provider.headers(speech.traceparent),
        patience=offer.first_audio_seconds,
    ) as response:
        answer = await read_json(response)
        if "audioContent" not in answer and (error := failure_inside(response, answer)):
            raise error
        audio = audio_of(answer.get("audioContent"), response)
        yield receipt(response, provider)
        yield audio


def _body(provider: Provider, offer: Offer, speech: Speech) -> dict[str, object]:
    row = {**provider.extra, **offer.extra}
    return {
        **speech.options,
        **row,
        "input": _input(offer, speech),
        "voice": {**_voice(offer, speech), **_of(row, "voice")},
        "audioConfig": {**_audio(offer, speech), **_of(row, "audioConfig")},
    }


def _voice(offer: Offer, speech: Speech) -> dict[str, str]:
    """`en-US-Chirp3-HD-Charon` names its language and model; Gemini's `Charon` names neither."""
    name = offer.voice_id(speech.voice)
    language, _, rest = name.partition("-")
    if rest:
        return {"languageCode": f"{language}-{rest.partition('-')[0]}", "name": name}
    spoken = next(iter(offer.languages), "en-US")
    return {"languageCode": spoken, "name": name, "modelName": offer.upstream}


def _input(offer: Offer, speech: Speech) -> dict[str, str]:
    said = {"ssml" if is_document(offer, speech.text) else "text": speech.text}
    if speech.instructions and "instructions" in offer.capabilities:
        said["prompt"] = speech.instructions
    return said


def _audio(offer: Offer, speech: Speech) -> dict[str, object]:
    audio: dict[str, object] = {"audioEncoding": offer.formats[speech.format]}
    if is_paced(offer, speech):
        audio["speakingRate"] = speech.speed
    return audio


def _of(row: Mapping[str, object], name: str) -> dict[str, object]:
    found = row.get(name)
    return found if isinstance(found, dict) else {}

"""Hume's Octave: one utterance, acted as described; its audio comes as it is made, in JSON lines.

A voice with an id in the row is asked for by that, any other by its name in Hume's library; a row
of one's own voices says `extra = { voice_provider = "CUSTOM_VOICE" }`.
Hume's own pages say that this API ends on 2026-11-13.
Source: dev.hume.ai/reference/text-to-speech-tts/synthesize-json-streaming, and their SDK 0.14.1.
"""

from collections.abc import AsyncGenerator
from dataclasses import replace

from providers.answers import audio_of, lines, told_error
from providers.catalog import Offer, Provider
from providers.errors import NotAudio
from providers.http import Client, exchange, id_of, receipt
from providers.speech import Receipt, Speech

LIBRARY = "HUME_AI"


async def speak(
    client: Client, provider: Provider, offer: Offer, speech: Speech
) -> AsyncGenerator[bytes | Receipt]:
    async with exchange(
        client,
        f"{provider.address}/v0/tts/stream/json",
        body=_body(provider, offer, speech),
        headers=provider.headers(speech.traceparent),
    ) as response:
        spoke = False
        async for line in lines(response):
            if line.get("type") == "audio":
                if not spoke:
                    name = id_of(line.get("generation_id"))
                    yield replace(receipt(response, provider), upstream_id=name)
                yield audio_of(line.get("audio"), response)
                spoke = True
            elif error := told_error(response, line, spoke=spoke):
                raise error
        if not spoke:
            raise NotAudio("no audio in the answer", status=response.status_code)


def _body(provider: Provider, offer: Offer, speech: Speech) -> dict[str, object]:
    extra = {**provider.extra, **offer.extra}
    whose = extra.pop("voice_provider", LIBRARY)
    body: dict[str, object] = {
        **speech.options,
        "utterances": [_utterance(offer, speech, whose)],
        "format": {"type": offer.formats[speech.format]},
        "num_generations": 1,
        "strip_headers": True,  # else each chunk is a file of its own
        **extra,
    }
    if speech.sampling.temperature is not None:
        body["temperature"] = speech.sampling.temperature
    if speech.context:  # an earlier generation that the caller names says more than its words
        before = [{"text": turn.text} for turn in speech.context]
        body.setdefault("context", {"utterances": before})
    return {name: value for name, value in body.items() if name not in provider.omit}


def _utterance(offer: Offer, speech: Speech, whose: object) -> dict[str, object]:
    named = "id" if speech.voice in offer.voice_ids else "name"
    utterance: dict[str, object] = {
        "text": speech.text,
        "voice": {named: offer.voice_id(speech.voice), "provider": whose},
    }
    if speech.instructions:
        utterance["description"] = speech.instructions
    if speech.speed is not None:
        utterance["speed"] = speech.speed
    return utterance

"""The protocol families, one line each."""

from collections.abc import AsyncGenerator, Callable

from providers.catalog import Offer, Provider
from providers.http import Client
from providers.speech import Receipt, Speech
from providers.wires import (
    azure,
    cartesia,
    deepgram,
    elevenlabs,
    google,
    huggingface,
    hume,
    openai_speech,
    polly,
    together,
)

Wire = Callable[[Client, Provider, Offer, Speech], AsyncGenerator[bytes | Receipt]]

WIRES: dict[str, Wire] = {
    "azure": azure.speak,
    "cartesia": cartesia.speak,
    "cartesia_sse": cartesia.speak_events,
    "deepgram": deepgram.speak,
    "elevenlabs": elevenlabs.speak,
    "google": google.speak,
    "huggingface": huggingface.speak,
    "hume": hume.speak,
    "openai_speech": openai_speech.speak,
    "polly": polly.speak,
    "together": together.speak,
}

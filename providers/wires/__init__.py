"""The protocol families, one line each."""

from collections.abc import AsyncGenerator, Callable

from providers.catalog import Offer, Provider
from providers.http import Client
from providers.speech import Receipt, Speech
from providers.wires import cartesia, deepgram, elevenlabs, hume, openai_speech

Wire = Callable[[Client, Provider, Offer, Speech], AsyncGenerator[bytes | Receipt]]

WIRES: dict[str, Wire] = {
    "cartesia": cartesia.speak,
    "cartesia_sse": cartesia.speak_events,
    "deepgram": deepgram.speak,
    "elevenlabs": elevenlabs.speak,
    "hume": hume.speak,
    "openai_speech": openai_speech.speak,
}

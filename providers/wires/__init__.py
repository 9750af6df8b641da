"""The protocol families, one line each."""

from collections.abc import AsyncGenerator, Callable

from providers.catalog import Offer, Provider
from providers.http import Client
from providers.speech import Receipt, Speech
from providers.wires import deepinfra, elevenlabs, fal, openai_speech, replicate

Wire = Callable[[Client, Provider, Offer, Speech], AsyncGenerator[bytes | Receipt]]

WIRES: dict[str, Wire] = {
    "deepinfra": deepinfra.speak,
    "elevenlabs": elevenlabs.speak,
    "fal": fal.speak,
    "openai_speech": openai_speech.speak,
    "replicate": replicate.speak,
}

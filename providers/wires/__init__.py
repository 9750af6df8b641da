"""The protocol families, one line each."""

from collections.abc import AsyncGenerator, Callable

from providers.catalog import Offer, Provider
from providers.http import Client
from providers.speech import Receipt, Speech
from providers.wires import azure, elevenlabs, google, openai_speech, polly

Wire = Callable[[Client, Provider, Offer, Speech], AsyncGenerator[bytes | Receipt]]

WIRES: dict[str, Wire] = {
    "azure": azure.speak,
    "elevenlabs": elevenlabs.speak,
    "google": google.speak,
    "openai_speech": openai_speech.speak,
    "polly": polly.speak,
}

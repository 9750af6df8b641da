"""The protocol families, one line each."""

from collections.abc import AsyncGenerator, Callable

from providers.catalog import Offer, Provider
from providers.http import Client
from providers.speech import Receipt, Speech
from providers.wires import elevenlabs, huggingface, openai_speech, together

Wire = Callable[[Client, Provider, Offer, Speech], AsyncGenerator[bytes | Receipt]]

WIRES: dict[str, Wire] = {
    "elevenlabs": elevenlabs.speak,
    "huggingface": huggingface.speak,
    "openai_speech": openai_speech.speak,
    "together": together.speak,
}

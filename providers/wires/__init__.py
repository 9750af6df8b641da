"""The protocol families, one line each."""

from collections.abc import AsyncGenerator, Callable

import httpx

from providers.catalog import Offer, Provider
from providers.speech import Receipt, Speech
from providers.wires import openai_speech

Wire = Callable[[httpx.AsyncClient, Provider, Offer, Speech], AsyncGenerator[bytes | Receipt]]

WIRES: dict[str, Wire] = {
    "openai_speech": openai_speech.speak,
}

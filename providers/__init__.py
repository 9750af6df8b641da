"""Speaks every provider's protocol, and knows nothing of who asks or why. This is the door.

`speak` sends one Speech to one Offer and gives the audio as it arrives, with a Receipt of what was
learned. It never retries, falls back, prices or logs; every failure is a ProviderError.
"""

from collections.abc import AsyncGenerator

from providers.catalog import Catalog, CatalogError, Credential, Offer, Provider, read_catalog
from providers.errors import (
    BrokenOff,
    CredentialRefused,
    NotAudio,
    NotOffered,
    Overloaded,
    Owed,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    Refused,
    TimedOut,
    Unreachable,
)
from providers.health import EngineHealth, engine_health
from providers.http import Client, open_client
from providers.price import Count, Price
from providers.speech import Made, Receipt, Sampling, Speech, Turn
from providers.wires import WIRES, Wire

__all__ = [
    "WIRES",
    "BrokenOff",
    "Catalog",
    "CatalogError",
    "Client",
    "Count",
    "Credential",
    "CredentialRefused",
    "EngineHealth",
    "Made",
    "NotAudio",
    "NotOffered",
    "Offer",
    "Overloaded",
    "Owed",
    "Price",
    "Provider",
    "ProviderError",
    "QuotaExhausted",
    "RateLimited",
    "Receipt",
    "Refused",
    "Sampling",
    "Speech",
    "TimedOut",
    "Turn",
    "Unreachable",
    "Wire",
    "engine_health",
    "open_client",
    "read_catalog",
    "speak",
]


def speak(
    client: Client, provider: Provider, offer: Offer, speech: Speech
) -> AsyncGenerator[bytes | Receipt]:
    """The audio of `speech` from `offer`, chunk by chunk; close it (`aclose`) to cancel."""
    return WIRES[provider.wire](client, provider, offer, speech)

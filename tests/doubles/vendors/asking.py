"""Asking a fake over our own wire: what came and what was learned, or how it failed."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Any

from providers import (
    Client,
    Credential,
    Offer,
    Price,
    Provider,
    ProviderError,
    Receipt,
    Speech,
    speak,
)


def provider(wire: str, address: str, **more: Any) -> Provider:  # noqa: ANN401
    credential = Credential("TEST_KEY", str(more.pop("secret", "test-key")))
    return replace(Provider(wire, wire, address, (credential,), credential), **more)


def offer(formats: Mapping[str, str], **more: Any) -> Offer:  # noqa: ANN401
    plain = Offer(
        provider="test",
        model="test/m",
        upstream="m",
        voices=frozenset({"v"}),
        default_voice="v",
        formats=formats,
        price=Price(per="free"),
    )
    return replace(plain, **more)


def saying(text: str, form: str = "pcm", **more: Any) -> Speech:  # noqa: ANN401
    return replace(Speech(text=text, voice="v", format=form), **more)


async def heard(
    client: Client, whom: Provider, of: Offer, speech: Speech
) -> tuple[bytes, list[Receipt]]:
    pieces = [piece async for piece in speak(client, whom, of, speech)]
    audio = b"".join(piece for piece in pieces if isinstance(piece, bytes))
    return audio, [piece for piece in pieces if isinstance(piece, Receipt)]


async def failure(client: Client, whom: Provider, of: Offer, speech: Speech) -> ProviderError:
    try:
        audio, _ = await heard(client, whom, of, speech)
    except ProviderError as error:
        return error
    raise AssertionError(f"it gave {len(audio)} bytes instead of failing")


async def begun(
    client: Client, whom: Provider, of: Offer, speech: Speech
) -> AsyncGenerator[bytes | Receipt]:
    """What else comes, once the first audio has."""
    pieces = speak(client, whom, of, speech)
    async for piece in pieces:
        if isinstance(piece, bytes):
            return pieces
    raise AssertionError("no audio came")

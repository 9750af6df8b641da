"""Asking one upstream over its wire, the way an attempt does: what came, or how it failed."""

from dataclasses import replace

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
from tests.doubles.upstream import Upstream

OFFER = Offer(
    provider="test",
    model="test/m",
    upstream="m",
    voices=frozenset({"alloy"}),
    default_voice="alloy",
    formats={"mp3": "mp3", "pcm": "pcm", "opus": "ogg_opus"},
    price=Price(per="free"),
)


def provider(address: str, **more: object) -> Provider:
    if "secret" in more:
        more["credential"] = Credential("TEST_KEY", str(more.pop("secret")))
    plain = Provider(name="test", wire="openai_speech", address=address)
    return replace(plain, **more)  # type: ignore[arg-type]  # the tests name its fields


def saying(text: str, form: str = "mp3", **more: object) -> Speech:
    return replace(Speech(text=text, voice="alloy", format=form), **more)  # type: ignore[arg-type]  # as above


async def ask(client: Client, whom: Provider, speech: Speech) -> tuple[bytes, Receipt]:
    """The whole audio and what was learned."""
    pieces = [piece async for piece in speak(client, whom, OFFER, speech)]
    [receipt] = [piece for piece in pieces if isinstance(piece, Receipt)]
    return b"".join(piece for piece in pieces if isinstance(piece, bytes)), receipt


async def failure(client: Client, whom: Provider, speech: Speech) -> ProviderError:
    """How it failed."""
    try:
        audio, _ = await ask(client, whom, speech)
    except ProviderError as error:
        return error
    raise AssertionError(f"it gave {len(audio)} bytes instead of failing")


async def scripted(client: Client, upstream: Upstream, **answer: object) -> ProviderError:
    """How it failed when the upstream answered just so."""
    speech = saying("scripted", options={"answer": answer})
    return await failure(client, provider(upstream.address("scripted")), speech)

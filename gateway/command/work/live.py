"""`gateway check --live`: every credential says one word, and what came of it is told."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from gateway.audio.formats import Format, Sound
from gateway.audio.length import Meter
from gateway.dispatch.costs import cost_of
from gateway.dispatch.first_audio import Heard, first_audio
from gateway.metering.prices import dearness, upper_bound, usd
from gateway.metering.spoken import longest_ms
from gateway.routing.judging import Choice
from providers import (
    BrokenOff,
    Catalog,
    Client,
    Offer,
    Provider,
    ProviderError,
    Speech,
    TimedOut,
    open_client,
    speak,
)

TEXT = "Hello."
CHECK_SECONDS = 60.0
AT_ONCE = 8
TELLING = ("wav", "mp3", "flac", "opus", "aac", "pcm")
"""What to ask for: first the formats whose audio cannot be taken for anything else."""


@dataclass(frozen=True, slots=True)
class Check:
    """One credential of a provider, and the cheapest offer there."""

    provider: Provider
    choice: Choice

    @property
    def speech(self) -> Speech:
        return Speech(TEXT, self.choice.voice, self.choice.native_format)


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of it."""

    provider: str
    model: str
    credential: str | None
    """The variable that holds it."""
    ok: bool
    first_audio_ms: int | None = None
    bytes: int = 0
    billed_units: int | None = None
    """As the provider says."""
    cost: str | None = None
    """USD: what the provider says, or what its price comes to; None is not known."""
    error_type: str | None = None
    reason: str | None = None


def checks_of(catalog: Catalog) -> list[Check]:
    """One for each credential of each provider that is on."""
    return [each for row in catalog.providers.values() for each in _checks(catalog, row)]


def _checks(catalog: Catalog, row: Provider) -> Iterator[Check]:
    offers = [each for model in catalog.models.values() for each in model]
    choices = [_choice(each) for each in offers if each.provider == row.name]
    if row.off or not choices:
        return
    cheapest = min(choices, key=lambda each: dearness(each.bound_nano))
    for credential in row.credentials or (None,):
        yield Check(row.using(credential), cheapest)


def _choice(offer: Offer) -> Choice:
    form = next(name for name in TELLING if name in offer.formats)
    return Choice(
        offer, offer.default_voice, form, upper_bound(offer.price, TEXT, longest_ms(TEXT))
    )


def warning(checks: Sequence[Check]) -> str:
    """What it may cost, before it starts."""
    bounds = [each.choice.bound_nano for each in checks]
    most = usd(sum(each for each in bounds if each is not None))
    unknown = f", and {bounds.count(None)} at a price not known" if None in bounds else ""
    return (
        f"saying {TEXT!r} with each credential, {len(checks)} in all: at most {most} USD{unknown}"
    )


async def run(checks: Sequence[Check], advance: Callable[[], object]) -> list[Checked]:
    """All of them, a few at once; `advance` is told of each that is done."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(client: Client, check: Check) -> Checked:
        async with gate:
            checked = await _check(client, check)
        advance()
        return checked

    async with open_client() as client:
        return await asyncio.gather(*(one(client, each) for each in checks))


async def _check(client: Client, check: Check) -> Checked:
    choice, credential = check.choice, check.provider.credential
    blank = Checked(
        choice.offer.provider,
        choice.offer.model,
        credential.variable if credential else None,
        ok=False,
    )
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await _listen(client, check, blank)
    except ProviderError as error:
        failed = error
    except TimeoutError:
        failed = TimedOut(f"did not end within {CHECK_SECONDS:g} seconds")
    owed = "0" if failed.owed == "nothing" else None
    return replace(blank, error_type=failed.kind, reason=failed.reason, cost=owed)


async def _listen(client: Client, check: Check, blank: Checked) -> Checked:
    began, choice, speech = time.monotonic(), check.choice, check.speech
    heard = Heard(Sound(Format(choice.native_format), choice.offer.sample_rate))
    pieces = speak(client, check.provider, choice.offer, speech)
    async with aclosing(pieces), aclosing(first_audio(pieces, heard)) as audio:
        first = await anext(audio)
        first_audio_ms = round((time.monotonic() - began) * 1000)
        meter, size = Meter(heard.sound), len(first)
        meter.feed(first)
        async for chunk in audio:
            meter.feed(chunk)
            size += len(chunk)
    if not (meter.complete or heard.may_be_ragged):
        raise BrokenOff("it ended inside a frame")
    cost = cost_of(choice, speech, heard, meter.seconds, whole=True).nano
    return replace(
        blank,
        ok=True,
        first_audio_ms=first_audio_ms,
        bytes=size,
        billed_units=heard.billed_units,
        cost=None if cost is None else usd(cost),
    )

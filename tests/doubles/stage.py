"""A stage: attempts without a network or a ledger, at providers whose speech a test writes."""

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from random import Random
from types import MappingProxyType, SimpleNamespace
from typing import Any

from gateway.audio.formats import Format, Sound
from gateway.dispatch.admission import Admission
from gateway.dispatch.attempts import Attempts
from gateway.dispatch.course import Course, Try
from gateway.dispatch.delivery import Delivery
from gateway.dispatch.outlet import Outlet
from gateway.metering.operations import Extend
from gateway.routing.allowance import Allowance
from gateway.routing.plan import Choice, Plan
from gateway.routing.standings import Ending, Grant, Standings
from gateway.settings import Deadlines, Load
from providers import Catalog, Credential, Offer, Price, Provider, Speech, Turn

AUDIO = b"\1\2" * 400
Said = Callable[[str], AsyncGenerator[bytes]]


def offer(provider: str, **more: Any) -> Offer:  # noqa: ANN401
    voices = frozenset({"v"})
    plain = Offer(provider, "a/m", "m", voices, "v", {"pcm": "pcm"}, Price("character", 1000))
    return replace(plain, **more)


class Stage:
    """Providers in the order of a plan; `said` is what the one of a name says."""

    def __init__(
        self,
        said: Said,
        *names: str,
        text: str = "Hello",
        deadlines: Deadlines = Deadlines(),  # noqa: B008  # frozen
        credentials: int = 0,
        offered: Mapping[str, Any] = MappingProxyType({}),
        **job: Any,  # noqa: ANN401
    ) -> None:
        names = names or ("first", "second")
        self.asked: list[str] = []
        self.texts: list[str] = []
        self.contexts: list[tuple[Turn, ...]] = []
        self.keys: list[str | None] = []
        self.extended: list[Extend] = []
        self.extending: Callable[[], None] = lambda: None
        self.outlet = Outlet()
        self._said = said
        keys = tuple(Credential(f"KEY_{n}", "s") for n in range(credentials))
        rows = {
            name: Provider(name, "w", "http://a", keys, keys[0] if keys else None) for name in names
        }
        choices = tuple(Choice(offer(name, **offered), "v", "pcm", len(text)) for name in names)
        now = time.monotonic()
        plain = {
            "plan": Plan(choices, (), "price"),
            "speech": Speech(text, "v", "pcm"),
            "parts": (text,),
            "target": Sound(Format.PCM, 24_000),
            "catalog": Catalog(rows, {}, {}),
            "options": {},
            "trace": SimpleNamespace(traceparent=None),
            "opening": SimpleNamespace(id="g", key_hash="k"),
            "began": now,
            "planned": now,
            "first_audio_by": now + 5,
            "ends_by": now + 9,
            "claim": None,
            "keep_audio_ms": 0,
            "hedge": False,
            "in_sentences": False,
        }
        self.standings = Standings(random=Random(1))
        self.tools = SimpleNamespace(
            client=None,
            speak=self._speak,
            writer=self,
            standings=self.standings,
            retries=Allowance(0.2),
            hedges=Allowance(0.05),
            admission=Admission(Load()),
            deadlines=deadlines,
            codecs=None,
            kept=SimpleNamespace(lifetime_ms=0),
        )
        self.job: Any = SimpleNamespace(**(plain | job))
        self.course = Course(choices, rows, self.standings, self.tools.retries)
        delivery = Delivery(self.job, self.outlet, self.tools, now, now)  # type: ignore[arg-type]
        self.attempts = Attempts(self.job, delivery, self.tools, self.course)  # type: ignore[arg-type]

    async def run(self) -> None:
        first = self.course.first(time.monotonic())
        assert isinstance(first, Try)
        await self.attempts.run(first)

    def ended(self, name: str, ending: Ending, now: float) -> None:
        """An earlier attempt at it, and how it ended."""
        row = self.job.catalog.providers[name]
        granted = self.standings.grant(row, offer(name), "v", now, desperate=True)
        assert isinstance(granted, Grant)
        self.standings.ended(granted, ending, now)

    async def submit(self, operation: Extend) -> bool:
        self.extended.append(operation)
        self.extending()
        return True

    def _speak(self, *arguments: Any) -> AsyncGenerator[bytes]:  # noqa: ANN401
        _, provider, asked, speech = arguments
        self.asked.append(asked.provider)
        self.texts.append(speech.text)
        self.contexts.append(speech.context)
        self.keys.append(provider.credential and provider.credential.variable)
        return self._said(asked.provider)

    def outcomes(self) -> list[tuple[str, str | None]]:
        results = [each.result for each in self.attempts.made]
        return [(each.outcome, each.error_type) for each in results]

    def heard(self) -> bytes:
        """What the client has been given so far."""
        return b"".join(self.outlet._chunks)  # noqa: SLF001  # nobody reads it here

    def in_flight(self) -> int:
        now = time.monotonic()
        names = {choice.offer.name for choice in self.job.plan.choices}
        return sum(self.standings.of(name, now + 2).in_flight for name in names)

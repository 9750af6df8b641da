"""Models: who speaks, and each one's offers side by side, its use, and code that asks for it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from litestar import Response, get

from gateway.dashboard.flowing import flowing
from gateway.dashboard.offering import OfferRow, from_words, offer_rows
from gateway.dashboard.rendering import html
from gateway.dashboard.snippets import snippets
from gateway.dashboard.visitor import Plain, visitor_of
from gateway.endpoints.catalogue import meant
from gateway.endpoints.listing import SORTS, Shown, Wish, in_order
from gateway.endpoints.offers import description
from gateway.endpoints.state import Gateway
from gateway.metering.model_use import use_by_model, use_of_model
from gateway.metering.usage import Use
from gateway.routing.tasks import TASK_PREFIX
from providers import Offer

CHART_WIDTH, CHART_HEIGHT = 600, 120
SORT_TITLES = {
    "": "As the catalogue has them",
    "most-used": "Most characters in 30 days",
    "pricing-low-to-high": "Price, low to high",
    "latency-low-to-high": "Time to first audio",
    "newest": "Newest",
}


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One line of the list."""

    shown: Shown
    """With all its offers, those that are off too."""
    ready: tuple[Offer, ...]
    """Those whose provider is on."""
    use: Use

    @property
    def description(self) -> str:
        return description(self.shown.offers)

    @property
    def capabilities(self) -> list[str]:
        return sorted(_all(self.shown.offers, "capabilities"))

    @property
    def languages(self) -> list[str]:
        return sorted(_all(self.shown.offers, "languages"))

    @property
    def priced(self) -> Shown:
        """With the offers whose price counts: of those that can be asked, where any can."""
        return Shown(self.shown.name, self.ready or self.shown.offers)

    @property
    def price(self) -> str:
        return from_words(self.priced.usd_per_million)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be listed; an empty value wants nothing in particular."""

    q: str = ""
    capability: str = ""
    language: str = ""
    provider: str = ""
    sort: str = ""
    ready: str = ""
    """Not empty: only what can be asked now."""

    def wants(self, shown: Shown) -> bool:
        wish = Wish(
            q=self.q.strip().casefold(),
            providers=frozenset({self.provider} if self.provider else ()),
        )
        return (
            wish.wants(shown)
            and self.capability in {"", *_all(shown.offers, "capabilities")}
            and self.language in {"", *_all(shown.offers, "languages")}
        )


@get("/dashboard/models")
async def page(request: Plain) -> Response[Any]:
    """Every model that the catalogue knows, and how much of each the visitor's keys used."""
    visitor = await visitor_of(request)
    gateway, query = visitor.gateway, request.query_params
    asked = Asked(**{name: query.get(name, "")[:200] for name in Asked.__slots__})
    offers = [each for offers in gateway.routes.catalog.models.values() for each in offers]
    values = {
        "visitor": visitor,
        "page": "models",
        "asked": asked,
        "named": _stand_ins(gateway),
        "capabilities": sorted(_all(offers, "capabilities")),
        "languages": sorted(_all(offers, "languages")),
        "providers": list(gateway.routes.catalog.providers),
        "sorts": SORT_TITLES,
    }

    async def find() -> dict[str, object]:
        async with gateway.reading.connect() as connection:
            used = await use_by_model(connection, visitor.caller.sees)
        return {"rows": _listed(gateway, asked, used)}

    return await flowing(request, ("models.html", "models_list.html"), values, find)


@get("/dashboard/models/{name:path}")
async def one(request: Plain, name: str) -> Response[Any]:
    """A model, or a task or alias, by what it stands for."""
    visitor = await visitor_of(request)
    gateway, name = visitor.gateway, name.strip("/")
    catalog = gateway.routes.catalog
    models = (name,) if name in catalog.models else meant(gateway.routes, name)
    offers = [offer for model in models for offer in catalog.models[model]]
    rows = offer_rows(gateway, offers, gateway.moment())
    voice = rows[0].offer.default_voice if len(models) == 1 else next(iter(catalog.families), "")
    values = {
        "visitor": visitor,
        "page": "models",
        "name": name,
        "models": models,
        "rows": rows,
        "description": description(offers),
        "languages": sorted(_all(offers, "languages")),
        "capabilities": sorted(_all(offers, "capabilities")),
        "voices": _voices(rows),
        "width": CHART_WIDTH,
        "height": CHART_HEIGHT,
        "snippets": snippets(str(request.base_url).rstrip("/"), name, voice),
    }
    if name != models[0]:
        return html("model.html", values)

    async def find() -> dict[str, object]:
        async with gateway.reading.connect() as connection:
            used = await use_of_model(connection, name, visitor.caller.sees)
        return {"use": used, "bars": bars([use.characters for _, use in used.days])}

    return await flowing(request, ("model.html", "model_use.html"), values, find)


def bars(amounts: list[int]) -> list[tuple[float, float, float, float]]:
    """Bars over the chart's width, each as x, y, width and height; the highest fills it."""
    most = max(amounts, default=0) or 1
    step = CHART_WIDTH / max(len(amounts), 1)
    return [
        (
            round(place * step + 1, 1),
            round(CHART_HEIGHT * (1 - amount / most), 1),
            round(step - 2, 1),
            round(CHART_HEIGHT * amount / most, 1),
        )
        for place, amount in enumerate(amounts)
    ]


def _listed(gateway: Gateway, asked: Asked, used: Mapping[str, Use]) -> list[ModelRow]:
    catalog, moment = gateway.routes.catalog, gateway.moment()
    rows: dict[str, ModelRow] = {}
    for name, offers in catalog.models.items():
        on = tuple(each for each in offers if not catalog.providers[each.provider].off)
        if on or not asked.ready:
            rows[name] = ModelRow(Shown(name, offers), on, used.get(name, Use()))
    wanted = [row.priced for row in rows.values() if asked.wants(row.shown)]
    sort = asked.sort if asked.sort in SORTS else None
    ordered = in_order(wanted, sort, lambda offer: moment.standings.of(offer.name, moment.now))
    listed = [rows[shown.name] for shown in ordered]
    if asked.sort == "most-used":
        return sorted(listed, key=lambda row: -row.use.characters)
    return listed if sort else sorted(listed, key=lambda row: not row.ready)


def _stand_ins(gateway: Gateway) -> list[tuple[str, str]]:
    """Tasks and aliases, with what they are answered by."""
    routes = gateway.routes
    tasks = [
        (TASK_PREFIX + task, ", ".join(routes.tasks[task].models[:3])) for task in routes.tasks
    ]
    return [*tasks, *routes.aliases.items()]


def _voices(rows: Iterable[OfferRow]) -> list[tuple[str, str]]:
    """Each with who has it, by name."""
    had: dict[str, list[str]] = {}
    for row in rows:
        for voice in row.offer.voices:
            had.setdefault(voice, []).append(row.offer.provider)
    return [(voice, ", ".join(dict.fromkeys(had[voice]))) for voice in sorted(had, key=str.lower)]


def _all(offers: Iterable[Offer], what: str) -> set[str]:
    """What any of them has, of its capabilities or languages."""
    return {each for offer in offers for each in getattr(offer, what)}

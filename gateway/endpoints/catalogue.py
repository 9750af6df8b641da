"""`/models`, `/providers`, `/audio/...`: what is offered, for clients that look first."""

import time
from collections.abc import Iterable
from typing import Annotated, Any
from urllib.parse import urlencode

from litestar import Request, get
from litestar.params import QueryParameter

from gateway.endpoints.listing import Shown, in_order, wish_of
from gateway.endpoints.offers import (
    ARCHITECTURE,
    created,
    description,
    endpoints,
    parameters,
    pricing,
)
from gateway.endpoints.paths import both
from gateway.endpoints.state import Gateway, Routes, gateway_of
from gateway.endpoints.who import told_providers, told_voices
from gateway.errors import ModelNotFound
from gateway.routing.tasks import TASK_PREFIX, resolve
from providers import Catalog, Offer

Plain = Request[Any, Any, Any]
SINGULAR = ("/v1/model/", "/api/v1/model/")
# A model's name may hold slashes, so no route can tell it from what stands behind it.
ENDPOINTS = "/endpoints"


@get(both("/models"))
async def models(  # noqa: PLR0913, PLR0917  # the query's own names
    request: Plain,
    offset: Annotated[int, QueryParameter(ge=0)] = 0,
    limit: Annotated[int | None, QueryParameter(ge=1, le=1000)] = None,
    sort: str | None = None,
    min_price: float | None = None,
    max_price: float | None = None,
) -> dict[str, Any]:
    """Every model that somebody can be asked for, then the tasks and aliases; fewer if so wished.

    What else OpenRouter's clients may ask by stands in `Wish`; prices are of a million characters.
    """
    gateway = await _looking(request)
    wish, now = wish_of(request, min_price=min_price, max_price=max_price), time.monotonic()
    wanted = [shown for shown in speaking(gateway.routes) if wish.wants(shown)]
    ordered = in_order(wanted, sort, lambda offer: gateway.standings.of(offer.name, now))
    end = len(ordered) if limit is None else offset + limit
    more = _next(request, end) if end < len(ordered) else None
    page = [_model(shown) for shown in ordered[offset:end]]
    return {"object": "list", "data": page, "total_count": len(ordered), "links": {"next": more}}


@get([*both("/models/{name:path}"), *both("/model/{name:path}")])
async def model(request: Plain, name: str) -> dict[str, Any]:
    """One model, task or alias, with its slash encoded or not; the singular path wraps it.

    With `/endpoints` behind it: its offers, and how each one does.
    """
    gateway = await _looking(request)
    name = name.strip("/")
    if name.endswith(ENDPOINTS) and name not in gateway.routes.catalog.models:
        return {"data": _endpoints(gateway, name.removesuffix(ENDPOINTS))}
    shown = Shown(name, _offers(gateway.routes, name))
    if not shown.offers:
        raise ModelNotFound(f"no provider can be asked for model {name[:100]!r}", param="model")
    told = _model(shown)
    return {"data": told} if request.url.path.startswith(SINGULAR) else told


@get(both("/providers"))
async def providers(request: Plain) -> dict[str, Any]:
    """Who is in the catalogue, who of them is off and why, and what they have."""
    gateway = await _looking(request)
    return {"data": told_providers(gateway.routes.catalog)}


@get(both("/audio/models"))
async def audio_models(request: Plain) -> dict[str, Any]:
    """The models in the shape that speech clients read."""
    gateway = await _looking(request)
    named = [{"id": shown.name, "name": shown.name} for shown in speaking(gateway.routes)]
    return {"object": "list", "models": named, "data": named}


@get(both("/audio/voices"))
async def voices(
    request: Plain, model: str | None = None, provider: str | None = None
) -> dict[str, Any]:
    """Every voice, with who has it, in which languages and with what; of one model or provider."""
    gateway = await _looking(request)
    catalog, can = gateway.routes.catalog, askable(gateway.routes.catalog)
    names = list(can) if model is None else meant(gateway.routes, model)
    offers = [offer for name in names for offer in can.get(name, ())]
    among = [offer for offer in offers if provider in {None, offer.provider}]
    return {"object": "list", "voices": told_voices(among, catalog)}


async def _looking(request: Plain) -> Gateway:
    """The gateway, for whoever may see its catalogue: with a key, or where no key is needed."""
    gateway = gateway_of(request)
    if not gateway.public_catalogue:
        await gateway.callers.accept(request.headers.get("authorization"))
    return gateway


def askable(catalog: Catalog) -> dict[str, tuple[Offer, ...]]:
    """Models with the offers whose provider is on."""
    on = {
        name: tuple(offer for offer in offers if not catalog.providers[offer.provider].off)
        for name, offers in catalog.models.items()
    }
    return {name: offers for name, offers in on.items() if offers}


def speaking(routes: Routes) -> list[Shown]:
    """Every name that speaks (models, then tasks and aliases), with the offers behind it."""
    named = askable(routes.catalog)
    for name in [*(TASK_PREFIX + task for task in routes.tasks), *routes.aliases]:
        if offers := _offers(routes, name):
            named[name] = offers
    return [Shown(name, offers) for name, offers in named.items()]


def _offers(routes: Routes, name: str) -> tuple[Offer, ...]:
    """The offers that a request for `name` may come to; ModelNotFound for a name of nothing."""
    can = askable(routes.catalog)
    return tuple(offer for known in meant(routes, name) for offer in can.get(known, ()))


def _endpoints(gateway: Gateway, name: str) -> dict[str, Any]:
    catalog = gateway.routes.catalog
    offers = [offer for known in meant(gateway.routes, name) for offer in catalog.models[known]]
    return endpoints(name, offers, catalog, gateway.standings, time.monotonic())


def meant(routes: Routes, name: str) -> tuple[str, ...]:
    """The models that a name stands for."""
    return resolve((name,), routes.aliases, routes.tasks, routes.catalog).models


def _next(request: Plain, offset: int) -> str:
    """The next page of the same list."""
    asked = {name: value for name, value in request.query_params.items() if name != "offset"}
    return f"{request.url.path}?{urlencode({'offset': offset, **asked})}"


def _model(shown: Shown) -> dict[str, Any]:
    """A model as OpenAI and OpenRouter list it, at the cheapest price of who is asked first."""
    name, offers = shown.name, shown.offers
    own = name == offers[0].model
    return {
        "id": name,
        "object": "model",
        "created": created(offers) if own else 0,
        "owned_by": name.partition("/")[0] if own else "voxroute",
        "canonical_slug": name,
        "name": name,
        "description": description(offers) if own else _stands_for(shown),
        "context_length": shown.longest,
        "architecture": ARCHITECTURE,
        "pricing": pricing(shown.cheapest),
        "top_provider": {
            "is_moderated": False,
            "context_length": shown.longest,
            "max_completion_tokens": None,
        },
        "per_request_limits": None,
        "default_parameters": None,
        "expiration_date": _expiration(shown.first),
        "supported_parameters": sorted({each for offer in offers for each in parameters(offer)}),
        "supported_voices": sorted({voice for offer in offers for voice in offer.voices}),
        "languages": sorted({each for offer in offers for each in offer.languages}),
        "capabilities": sorted({each for offer in offers for each in offer.capabilities}),
        "quality": max((offer.quality or 0.0 for offer in shown.first), default=0.0) or None,
        "links": {"details": f"/api/v1/models/{name}/endpoints"},
    }


def _stands_for(shown: Shown) -> str:
    """What a task or an alias is answered by."""
    return "Answered by " + ", then ".join(dict.fromkeys(offer.model for offer in shown.offers))


def _expiration(offers: Iterable[Offer]) -> str | None:
    days = [offer.retires for offer in offers if offer.retires]
    return min(days).isoformat() if days else None

"""`/models`, `/audio/models`, `/audio/voices`: what is offered, for clients that look first."""

import time
from typing import Annotated, Any

from litestar import Request, get
from litestar.params import QueryParameter

from gateway.endpoints.offers import ARCHITECTURE, endpoints, pricing
from gateway.endpoints.paths import both
from gateway.endpoints.state import Gateway, Routes, gateway_of
from gateway.errors import ModelNotFound
from gateway.metering.prices import dearness, upper_bound
from gateway.metering.spoken import longest_ms
from gateway.routing.tasks import TASK_PREFIX, resolve
from providers import Catalog, Offer

Plain = Request[Any, Any, Any]
SINGULAR = ("/v1/model/", "/api/v1/model/")
# Offers priced in different units are compared by what a page of text may cost at most.
PAGE = "e" * 1800
PAGE_MS = longest_ms(PAGE)
# A model's name may hold slashes, so no route can tell it from what stands behind it.
ENDPOINTS = "/endpoints"


@get(both("/models"))
async def models(
    request: Plain,
    offset: Annotated[int, QueryParameter(ge=0)] = 0,
    limit: Annotated[int | None, QueryParameter(ge=1, le=1000)] = None,
) -> dict[str, Any]:
    """Every model that somebody can be asked for, then the tasks and aliases."""
    gateway = await _looking(request)
    told = [_model(name, offers) for name, offers in _speaking(gateway.routes).items()]
    end = len(told) if limit is None else offset + limit
    more = f"{request.url.path}?offset={end}&limit={limit}" if end < len(told) else None
    page = told[offset:end]
    return {"object": "list", "data": page, "total_count": len(told), "links": {"next": more}}


@get([*both("/models/{name:path}"), *both("/model/{name:path}")])
async def model(request: Plain, name: str) -> dict[str, Any]:
    """One model, task or alias, with its slash encoded or not; the singular path wraps it.

    With `/endpoints` behind it: its offers, and how each one does.
    """
    gateway = await _looking(request)
    name = name.strip("/")
    if name.endswith(ENDPOINTS) and name not in gateway.routes.catalog.models:
        return {"data": _endpoints(gateway, name.removesuffix(ENDPOINTS))}
    offers = _offers(gateway.routes, name)
    if not offers:
        raise ModelNotFound(f"no provider can be asked for model {name[:100]!r}", param="model")
    told = _model(name, offers)
    return {"data": told} if request.url.path.startswith(SINGULAR) else told


@get(both("/audio/models"))
async def audio_models(request: Plain) -> dict[str, Any]:
    """The models in the shape that speech clients read."""
    gateway = await _looking(request)
    named = [{"id": name, "name": name} for name in _speaking(gateway.routes)]
    return {"object": "list", "models": named, "data": named}


@get(both("/audio/voices"))
async def voices(request: Plain) -> dict[str, Any]:
    """Every voice, with the models that have it."""
    gateway = await _looking(request)
    catalog = gateway.routes.catalog
    by_voice: dict[str, list[str]] = {name: [] for name in catalog.families}
    for name, offers in _askable(catalog).items():
        for voice in sorted({voice for offer in offers for voice in offer.voices}):
            by_voice.setdefault(voice, []).append(name)
    told = [
        {"id": voice, "name": voice, "models": had, "family": voice in catalog.families}
        for voice, had in by_voice.items()
    ]
    return {"object": "list", "voices": told}


async def _looking(request: Plain) -> Gateway:
    """The gateway, for whoever may see its catalogue: with a key, or where no key is needed."""
    gateway = gateway_of(request)
    if not gateway.public_catalogue:
        await gateway.callers.accept(request.headers.get("authorization"))
    return gateway


def _askable(catalog: Catalog) -> dict[str, list[Offer]]:
    """Models with the offers whose provider is on."""
    on = {
        name: [offer for offer in offers if not catalog.providers[offer.provider].off]
        for name, offers in catalog.models.items()
    }
    return {name: offers for name, offers in on.items() if offers}


def _speaking(routes: Routes) -> dict[str, list[Offer]]:
    """Every name that speaks (models, then tasks and aliases), with the offers behind it."""
    named = _askable(routes.catalog)
    for name in [*(TASK_PREFIX + task for task in routes.tasks), *routes.aliases]:
        if offers := _offers(routes, name):
            named[name] = offers
    return named


def _offers(routes: Routes, name: str) -> list[Offer]:
    """The offers that a request for `name` may come to; ModelNotFound for a name of nothing."""
    askable = _askable(routes.catalog)
    return [offer for known in _meant(routes, name) for offer in askable.get(known, ())]


def _endpoints(gateway: Gateway, name: str) -> dict[str, Any]:
    catalog = gateway.routes.catalog
    offers = [offer for known in _meant(gateway.routes, name) for offer in catalog.models[known]]
    return endpoints(name, offers, catalog, gateway.standings, time.monotonic())


def _meant(routes: Routes, name: str) -> tuple[str, ...]:
    """The models that a name stands for."""
    return resolve((name,), routes.aliases, routes.tasks, routes.catalog).models


def _model(name: str, offers: list[Offer]) -> dict[str, Any]:
    """A model as OpenAI and OpenRouter list it, at the cheapest price of who is asked first."""
    first = [offer.price for offer in offers if offer.model == offers[0].model]
    price = min(first, key=lambda each: dearness(upper_bound(each, PAGE, PAGE_MS)))
    own = name == offers[0].model
    longest = max((offer.max_characters or 0 for offer in offers), default=0) or None
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": name.partition("/")[0] if own else "voxroute",
        "canonical_slug": name,
        "name": name,
        "description": "",
        "context_length": longest,
        "architecture": ARCHITECTURE,
        "pricing": pricing(price),
        "top_provider": {
            "is_moderated": False,
            "context_length": longest,
            "max_completion_tokens": None,
        },
        "per_request_limits": None,
        "default_parameters": None,
        "supported_parameters": sorted({each for offer in offers for each in offer.capabilities}),
        "supported_voices": sorted({voice for offer in offers for voice in offer.voices}),
        "links": {"details": f"/api/v1/models/{name}/endpoints"},
    }

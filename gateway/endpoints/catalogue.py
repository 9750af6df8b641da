"""`/models`, `/audio/models`, `/audio/voices`: what is offered, for clients that look first."""

from decimal import Decimal
from typing import Any

from litestar import Request, get

from gateway.access.keys import SPEAK
from gateway.endpoints.state import Gateway, gateway_of
from gateway.errors import NotFound
from providers import Catalog, Offer

Plain = Request[Any, Any, Any]
PICO = 10**12


@get("/models")
async def models(request: Plain) -> dict[str, Any]:
    """Every model that somebody can be asked for, then the tasks and aliases."""
    gateway = await _looking(request)
    routes = gateway.routes
    data = [_model(name, offers) for name, offers in _askable(routes.catalog).items()]
    names = [f"task/{name}" for name in routes.tasks] + list(routes.aliases)
    data += [
        {"id": name, "object": "model", "created": 0, "owned_by": "voxroute"} for name in names
    ]
    return {"object": "list", "data": data, "total_count": len(data), "links": {"next": None}}


@get("/models/{name:path}")
async def model(request: Plain, name: str) -> dict[str, Any]:
    """One model, by `author/slug`, with its slash encoded or not."""
    gateway = await _looking(request)
    name = name.strip("/")
    offers = _askable(gateway.routes.catalog).get(name)
    if offers is None:
        raise NotFound(f"model {name[:100]!r} is not offered here", param="model")
    return _model(name, offers)


@get("/audio/models")
async def audio_models(request: Plain) -> dict[str, Any]:
    """The models in the shape that speech clients read."""
    gateway = await _looking(request)
    named = [{"id": name, "name": name} for name in _askable(gateway.routes.catalog)]
    return {"object": "list", "models": named, "data": named}


@get("/audio/voices")
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
        await gateway.callers.accept(request.headers.get("authorization"), SPEAK)
    return gateway


def _askable(catalog: Catalog) -> dict[str, list[Offer]]:
    """Models with the offers whose provider is on."""
    on = {
        name: [offer for offer in offers if not catalog.providers[offer.provider].off]
        for name, offers in catalog.models.items()
    }
    return {name: offers for name, offers in on.items() if offers}


def _model(name: str, offers: list[Offer]) -> dict[str, Any]:
    """A model as OpenAI and OpenRouter list it; the price is the cheapest offer's per character."""
    priced = [offer.price.rate for offer in offers if offer.price.per in {"character", "free"}]
    prompt = f"{Decimal(min(priced, default=0)) / PICO:f}"
    longest = max((offer.max_characters or 0 for offer in offers), default=0) or None
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": name.partition("/")[0],
        "canonical_slug": name,
        "name": name,
        "description": "",
        "context_length": longest,
        "architecture": {
            "modality": "text->speech",
            "input_modalities": ["text"],
            "output_modalities": ["speech"],
            "tokenizer": None,
            "instruct_type": None,
        },
        "pricing": {"prompt": prompt, "completion": "0"},
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

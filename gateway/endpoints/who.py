"""Who speaks: providers as OpenRouter tells them, and voices as speech clients read them."""

from collections.abc import Iterable
from typing import Any

from providers import Catalog, Offer


def told_providers(catalog: Catalog) -> list[dict[str, Any]]:
    """Each with its models; what OpenRouter tells of a company, nobody here knows."""
    had: dict[str, list[str]] = {name: [] for name in catalog.providers}
    for model, offers in catalog.models.items():
        for offer in offers:
            had[offer.provider].append(model)
    return [
        {
            "name": name,
            "slug": name,
            "privacy_policy_url": None,
            "terms_of_service_url": None,
            "status_page_url": None,
            "headquarters": None,
            "datacenters": None,
            "off": row.off,
            "credentials": len(row.credentials),
            "models": had[name],
        }
        for name, row in catalog.providers.items()
    ]


def told_voices(offers: Iterable[Offer], catalog: Catalog) -> list[dict[str, Any]]:
    """Names that everybody understands first, and then the offers' own.

    Open WebUI reads `id` and `name` and nothing else.
    """
    having: dict[str, list[Offer]] = {name: [] for name in catalog.families}
    reached: set[str] = set()
    for offer in offers:
        reached |= {name for name in catalog.families if catalog.kin(offer, name)}
        for voice in sorted(offer.voices):
            having.setdefault(voice, []).append(offer)
    return [
        _voice(voice, had, is_family=voice in catalog.families)
        for voice, had in having.items()
        if had or voice in reached
    ]


def _voice(name: str, had: Iterable[Offer], *, is_family: bool) -> dict[str, Any]:
    had = list(had)
    return {
        "id": name,
        "name": name,
        "models": list(dict.fromkeys(offer.model for offer in had)),
        "providers": list(dict.fromkeys(offer.provider for offer in had)),
        "languages": sorted({each for offer in had for each in offer.languages}),
        "capabilities": sorted({each for offer in had for each in offer.capabilities}),
        "family": is_family,
    }

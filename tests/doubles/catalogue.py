"""A catalogue of test offers: each behaviour of the upstream as a provider, with a fallback."""

import json
from collections.abc import Sequence

from tests.doubles.upstream import BEHAVIOURS, Upstream

SIX = '{ mp3 = "mp3", opus = "opus", aac = "aac", flac = "flac", wav = "wav", pcm = "pcm" }'
SOURCE = 'source = "test", as_of = "2026-11-22"'

STEADY = {
    "GATEWAY_DEFAULTS_POLICY": "price",
    "GATEWAY_RESILIENCE_BREAKER_FAILURES": "1000000",
    "GATEWAY_RESILIENCE_RETRY_SHARE": "2",
    "GATEWAY_RESILIENCE_EXPLORE_SHARE": "0",
}
"""Variables of a gateway whose requests do not learn from each other's failures."""
GATED = {"bad-key", "forbidden", "cut-error", "stalling-error", "throttled-400", "busy-429"}
GATED |= {"no-credit", "no-credit-401", "no-credit-402", "no-credit-words", "json-quota"}
GATED |= {"too-many", "too-many-silent", "too-many-ms", "too-many-date", "too-many-date-dated"}
GATED |= {"too-many-date-skewed", "too-many-past", "too-many-absurd", "json-status", "json-key"}
GATED |= {"overloaded", "overloaded-529", "json-code"}
"""Behaviours after which a credential or a provider is left alone for a while."""

DATED = (
    "released = 2025-03-13",
    "retires = 2031-01-06",
    'description = "Says what it is."',
    'languages = ["en"]',
    'capabilities = ["seed"]',
)
BILL = 'billed_units_header = "x-units"\nbilled_usd_header = "x-usd"'


def offer(model: str, usd_per_million: str, *more: str, formats: str = SIX) -> str:
    price = f'per = "character", usd_per_million = "{usd_per_million}", {SOURCE}'
    return priced(model, price, *more, formats=formats)


def priced(model: str, price: str, *more: str, formats: str = SIX) -> str:
    return "\n".join(
        [
            "[[provider.offer]]",
            f'model = "{model}"',
            'upstream = "m"',
            'voices = ["test-voice", "alloy"]',
            f"formats = {formats}",
            f"price = {{ {price} }}",
            *more,
        ]
    )


def provider(name: str, address: str, *offers: str, key: str | Sequence[str] | None = None) -> str:
    head = ["[[provider]]", f'name = "{name}"', 'wire = "openai_speech"', f'address = "{address}"']
    if key:
        head.append(f"key = {json.dumps(key)}")
    if name == "billing":
        head.append(BILL)
    return "\n".join([*head, "", *offers, ""])


def firsts(behaviour: str) -> dict[str, str]:
    """Family of models -> the provider at which it meets the behaviour.

    Where failing closes a provider to all of its models, each family has one of its own.
    """
    gated = behaviour in GATED
    return {
        "test": behaviour,
        "pair": f"{behaviour}-pair" if gated else behaviour,
        "again": f"{behaviour}-again" if gated else behaviour,
    }


def catalogue(upstream: Upstream) -> str:
    """For each behaviour B: `test/B` at provider `B` alone, and `pair/B` at `B` and then `second`.

    `again/B` is for who asks often, and leaves it closed. Providers of GATED behaviours are one
    for each family. Also `only/FORMAT` at providers that speak one format, `off/model` whose key
    is not set, `test/unpriced` whose price nobody knows, and `test/dated` that tells of itself.
    """
    rows: list[str] = []
    for name in BEHAVIOURS:
        offers: dict[str, list[str]] = {}
        for family, whom in firsts(name).items():
            offers.setdefault(whom, []).append(offer(f"{family}/{name}", "15"))
        rows += [provider(whom, upstream.address(name), *has) for whom, has in offers.items()]
    second = [offer(f"pair/{name}", "30") for name in (*BEHAVIOURS, "refused")]
    short = offer("test/short", "15", "max_characters = 20")
    rows.append(provider("second", upstream.address("chunked"), *second, short))
    for form in ("mp3", "opus", "aac", "flac", "wav", "pcm"):
        one = offer(f"only/{form}", "15", formats=f'{{ {form} = "{form}" }}')
        rows.append(provider(f"only-{form}", upstream.address("chunked"), one))
    dated = offer("test/dated", "15", *DATED)
    rows.append(provider("dated", upstream.address("fine"), dated))
    unpriced = priced("test/unpriced", 'per = "unknown"')
    rows.append(provider("unpriced", upstream.address("fine"), unpriced))
    refused = offer("test/refused", "15"), offer("pair/refused", "15")
    rows.append(provider("refused", "http://127.0.0.1:1/v1", *refused))
    rows.append(
        provider("keyless", upstream.address("fine"), offer("off/model", "1"), key="TEST_UNSET_KEY")
    )
    rows.append(
        provider(
            "secret", upstream.address("fine"), offer("test/secret", "1"), key="TEST_SECRET_KEY"
        )
    )
    return "\n".join(rows)

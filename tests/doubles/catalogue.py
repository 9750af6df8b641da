"""A catalogue of test offers: each behaviour of the upstream as a provider, with a fallback."""

from tests.doubles.upstream import BEHAVIOURS, Upstream

SIX = '{ mp3 = "mp3", opus = "opus", aac = "aac", flac = "flac", wav = "wav", pcm = "pcm" }'
SOURCE = 'source = "test", as_of = "2026-11-22"'

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


def provider(name: str, address: str, *offers: str, key: str | None = None) -> str:
    head = ["[[provider]]", f'name = "{name}"', 'wire = "openai_speech"', f'address = "{address}"']
    if key:
        head.append(f'key = "{key}"')
    if name == "billing":
        head.append(BILL)
    return "\n".join([*head, "", *offers, ""])


def catalogue(upstream: Upstream) -> str:
    """For each behaviour B: `test/B` at provider `B` alone, and `pair/B` at `B` and then `second`.

    Also `only/FORMAT` at providers that speak one format, `off/model` whose key is not set, and
    `test/unpriced` whose price nobody knows.
    """
    rows = [
        provider(
            name, upstream.address(name), offer(f"test/{name}", "15"), offer(f"pair/{name}", "15")
        )
        for name in BEHAVIOURS
    ]
    second = [offer(f"pair/{name}", "30") for name in (*BEHAVIOURS, "refused")]
    short = offer("test/short", "15", "max_characters = 20")
    rows.append(provider("second", upstream.address("chunked"), *second, short))
    for form in ("mp3", "opus", "aac", "flac", "wav", "pcm"):
        one = offer(f"only/{form}", "15", formats=f'{{ {form} = "{form}" }}')
        rows.append(provider(f"only-{form}", upstream.address("chunked"), one))
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

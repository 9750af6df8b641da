"""`gateway providers`, `models` and `voices`: what a running gateway has to offer."""

from typing import Any

import click

from gateway.command.client import Place, client_options, segment
from gateway.command.printing import EXAMPLE, as_json_option, print_json, print_table

MILLION = 10**6
Told = dict[str, Any]


@click.command(
    help="List providers: who is on, who is off and why, and which offers rest."
    + EXAMPLE
    + "gateway providers"
)
@client_options
@as_json_option
def providers(url: str | None, key: str | None, as_json: bool) -> None:  # noqa: FBT001
    place = Place.of(url, key)
    found = place.ask("/api/v1/providers")["data"]
    resting = place.ask("/health/ready", verbose="").get("resting", {})
    rows = [each | {"resting": resting.get(each["name"], {})} for each in found]
    if as_json:
        print_json({"data": rows})
    else:
        print_table("providers, in the catalogue's order", [_provider(row) for row in rows])


@click.command(
    help="List models, tasks and aliases; with a NAME, the offers behind it and how each does."
    + EXAMPLE
    + "gateway models\n  gateway models openai/gpt-4o-mini-tts"
)
@click.argument("name", required=False)
@click.option("-q", "--search", help="Only those with this in their name or description.")
@click.option("--sort", help="As pricing-low-to-high, latency-low-to-high, newest.")
@client_options
@as_json_option
def models(  # noqa: PLR0913, PLR0917  # the command's options
    name: str | None,
    search: str | None,
    sort: str | None,
    url: str | None,
    key: str | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    place = Place.of(url, key)
    if name is None:
        told = place.ask("/api/v1/models", q=search, sort=sort)["data"]
        title, rows = "models, tasks and aliases", [_model(each) for each in told]
    else:
        told = place.ask(f"/api/v1/models/{segment(name)}/endpoints")["data"]
        title, rows = f"offers of {name}", [_offer(each) for each in told["endpoints"]]
    if as_json:
        print_json({"data": told})
    else:
        print_table(title, rows)


@click.command(
    help="List voices: who has each of them, and in which languages."
    + EXAMPLE
    + "gateway voices --model local/espeak-ng"
)
@click.option("--model", help="Of one model, task or alias.")
@click.option("--provider", help="Of one provider.")
@click.option("--language", help="That speak it: en, de-AT.")
@client_options
@as_json_option
def voices(  # noqa: PLR0913, PLR0917  # the command's options
    model: str | None,
    provider: str | None,
    language: str | None,
    url: str | None,
    key: str | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    place = Place.of(url, key)
    found = place.ask("/v1/audio/voices", model=model, provider=provider)["voices"]
    rows = [each for each in found if language is None or _speaks(each, language)]
    if as_json:
        print_json({"data": rows})
    else:
        print_table("voices", [_voice(row) for row in rows])


def per_million(pricing: Told) -> str:
    """A price as it is compared: USD, by what it counts."""
    if pricing["per"] in {"free", "unknown"}:
        return "free" if pricing["per"] == "free" else "not known"
    into, out = float(pricing["prompt"]), float(pricing["completion"])
    if pricing["per"] == "run":
        return f"{float(pricing['request']):g} USD a run"
    if pricing["per"] == "second":
        return f"{out:g} USD a second"
    both = f"{into * MILLION:g}" + (f" in, {out * MILLION:g} out" if out else "")
    return f"{both} USD per million {pricing['per']}s"


def _provider(row: Told) -> Told:
    resting = [f"{model} {rest['seconds']:.0f} s" for model, rest in row["resting"].items()]
    return {
        "provider": row["name"],
        "state": f"off: {row['off']}" if row["off"] else "on",
        "credentials": row["credentials"],
        "models": row["models"],
        "resting": resting or None,
    }


def _model(row: Told) -> Told:
    return {
        "model": row["id"],
        "price, at the cheapest": per_million(row["pricing"]),
        "characters at once": row["context_length"],
        "voices": len(row["supported_voices"]),
        "languages": len(row["languages"]),
        "description": row["description"],
    }


def _offer(row: Told) -> Told:
    rest = row["resting"]
    state = f"off: {row['off']}" if row["off"] else "on"
    latency, factor = row["latency_last_30m"], row["real_time_factor"]
    return {
        "provider": row["provider_name"],
        "model": row["model_id"],
        "state": f"rests {rest['seconds']:.0f} s: {rest['reason']}" if rest else state,
        "price": per_million(row["pricing"]),
        "first audio p50, ms": latency and round(latency["p50"]),
        "real-time factor p50": factor and f"{factor['p50']:.2f}",
        "uptime 1 d": row["uptime_last_1d"] and f"{row['uptime_last_1d']:.1f} %",
        "voices": len(row["voices"]),
    }


def _voice(row: Told) -> Told:
    return {
        "voice": row["id"],
        "providers": row["providers"],
        "models": row["models"],
        "languages": row["languages"],
    }


def _speaks(voice: Told, language: str) -> bool:
    """Whether it has the language, or a kind of it: `en` is also en-GB."""
    wanted = language.casefold()
    spoken = [each.casefold() for each in voice["languages"]]
    return any(each == wanted or each.startswith(f"{wanted}-") for each in spoken)

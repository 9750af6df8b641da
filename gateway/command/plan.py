"""`gateway plan`: whom a running gateway would ask to say a text, and at what price; a dry run."""

from typing import Any

import click

from gateway.command.catalogue import per_million
from gateway.command.client import Place, client_options
from gateway.command.printing import EXAMPLE, as_json_option, out, print_json, print_table
from gateway.command.say import FORMATS
from gateway.command.telling import amount

Told = dict[str, Any]


@click.command(
    help="Tell whom a text would be spoken by, in which order, at most for how much, and why "
    "nobody else; nothing is spent. Exit status 1 tells that nobody can speak it."
    + EXAMPLE
    + 'gateway plan "Hello there" --model task/narration --max-price 20'
)
@click.argument("text")
@click.option("--model", default="auto", show_default=True, help="Model, task or alias.")
@click.option("--voice", help="Voice; left out, the offer's own.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="mp3", show_default=True)
@click.option("--sort", help="The policy: price, latency, quality, throughput, availability.")
@click.option("--only", multiple=True, help="This provider and nobody else; may be repeated.")
@click.option("--max-price", help="USD per million characters.")
@client_options
@as_json_option
def plan(  # noqa: PLR0913, PLR0917  # the command's options
    text: str,
    model: str,
    voice: str | None,
    form: str,
    sort: str | None,
    only: tuple[str, ...],
    max_price: str | None,
    url: str | None,
    key: str | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    wishes = _given(sort=sort, only=list(only) or None, max_price=max_price)
    body = {"model": model, "input": text, "response_format": form}
    body |= _given(voice=voice, provider=wishes or None)
    told = Place.of(url, key).tell("/v1/audio/speech/plan", body)
    if as_json:
        print_json(told)
    else:
        _print(told)
    if told["error"]:
        raise click.ClickException(told["error"]["message"])


def _given(**values: object) -> Told:
    return {name: value for name, value in values.items() if value is not None}


def _print(told: Told) -> None:
    title = f"{told['characters']} characters for {told['model']}, by {told['policy']}: in order"
    print_table(title, [_choice(place, each) for place, each in enumerate(told["choices"], 1)])
    if told["excluded"]:
        print_table("left out", [_exclusion(each) for each in told["excluded"]])
    bounds = (told["cost_at_most"], told["liability_at_most"])
    cost, owed = (amount(each) for each in bounds)
    out.print(f"costs at most {cost}; all attempts together {owed}", highlight=False)


def _choice(place: int, choice: Told) -> Told:
    heard = choice["standing"]["first_audio_ms"]
    return {
        "": place,
        "provider": choice["provider"],
        "model": choice["model"],
        "voice": choice["voice"],
        "price": per_million(choice["price"]),
        "at most": amount(choice["cost_at_most"]),
        "first audio p50, ms": heard and round(heard["p50"]),
        "put last because": choice["demoted"],
    }


def _exclusion(exclusion: Told) -> Told:
    return {
        "provider": exclusion["provider"],
        "model": exclusion["model"],
        "reason": exclusion["reason"],
        "detail": exclusion["detail"],
        "at most": amount(exclusion["cost_at_most"]),
    }

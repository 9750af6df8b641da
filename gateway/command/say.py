"""`gateway say`: a client of the running gateway, like any other."""

from pathlib import Path

import click

from gateway.audio.formats import Format
from gateway.command.client import Place, client_options
from gateway.command.download import receive
from gateway.command.printing import EXAMPLE, as_json_option, out, print_json

FORMATS = tuple(each.value for each in Format)
TOLD = ("provider", "model", "voice", "generation-id")


@click.command(
    help="Say something through a running gateway, into a file; its suffix chooses the format."
    + EXAMPLE
    + 'gateway say "Hello there" -o hello.wav'
)
@click.argument("text")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--model", default="auto", show_default=True, help="Model, task or alias.")
@click.option("--voice", help="Voice; left out, the offer's own.")
@click.option("--speed", type=click.FloatRange(0.25, 4.0), help="1.0 is normal.")
@click.option("--instructions", help="How to say it, where the offer listens to that.")
@client_options
@as_json_option
def say(  # noqa: PLR0913, PLR0917  # the command's options
    text: str,
    output: Path,
    model: str,
    voice: str | None,
    speed: float | None,
    instructions: str | None,
    url: str | None,
    key: str | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    suffix = output.suffix.removeprefix(".").lower()
    form = {"ogg": "opus", "raw": "pcm"}.get(suffix, suffix)
    if form not in FORMATS:
        raise click.UsageError(f"-o: the suffix must be one of {', '.join(FORMATS)}")
    body: dict[str, object] = {"model": model, "input": text, "response_format": form}
    body |= {"voice": voice, "speed": speed, "instructions": instructions}
    place = Place.of(url, key)
    sent = {name: value for name, value in body.items() if value is not None}
    request = place.request("POST", "/v1/audio/speech", json=sent)
    headers = receive(place, request, output)
    told = {name.replace("-", "_"): headers.get(f"x-{name}") for name in TOLD}
    told |= {"file": str(output), "bytes": output.stat().st_size}
    if as_json:
        print_json(told)
    else:
        said = f"{output}: {told['bytes']} bytes, by {told['provider']} as {told['voice']}"
        out.print(said, soft_wrap=True, highlight=False)

"""`gateway say`: a client of the running gateway, like any other."""

import contextlib
from pathlib import Path
from typing import Any, get_args

import click
import httpx
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from gateway.command.printing import EXAMPLE, as_json_option, err, out, print_json
from gateway.endpoints.shapes import FormatName
from gateway.settings import Settings, read_settings

FORMATS = get_args(FormatName)


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
@click.option("--url", envvar="GATEWAY_URL", help="The gateway; default the configured address.")
@click.option("--key", envvar="GATEWAY_KEY", help="API key; default data/admin.key.")
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
    settings = read_settings()
    suffix = output.suffix.removeprefix(".").lower()
    form = {"ogg": "opus", "raw": "pcm"}.get(suffix, suffix)
    if form not in FORMATS:
        raise click.UsageError(f"-o: the suffix must be one of {', '.join(FORMATS)}")
    url = (url or f"http://{settings.server.host}:{settings.server.port}").rstrip("/")
    body: dict[str, object] = {"model": model, "input": text, "response_format": form}
    body |= {"voice": voice, "speed": speed, "instructions": instructions}
    request = httpx.Request(
        "POST",
        f"{url}/v1/audio/speech",
        json={name: value for name, value in body.items() if value is not None},
        headers={"authorization": f"Bearer {key or _own_key(settings)}"},
        extensions={"timeout": httpx.Timeout(5, read=60).as_dict()},
    )
    told = _receive(request, output, url)
    if as_json:
        print_json(told)
    else:
        said = f"{output}: {told['bytes']} bytes, by {told['provider']} as {told['voice']}"
        out.print(said, soft_wrap=True, highlight=False)


def _receive(request: httpx.Request, output: Path, url: str) -> dict[str, Any]:
    """Stream the answer into a file beside its place; only a whole clip takes that place."""
    partial = output.with_name(f".{output.name}.part")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    try:
        with httpx.Client() as client, Progress(*columns, console=err, transient=True) as progress:
            bar = progress.add_task("waiting for the first audio", total=None)
            response = client.send(request, stream=True)
            if not response.is_success:
                response.read()
                raise click.ClickException(_message(response))
            progress.update(bar, description="speaking")
            with partial.open("wb") as file:
                for chunk in response.iter_raw():
                    progress.advance(bar, file.write(chunk))
            partial.replace(output)
    except httpx.ConnectError:
        wrong = f"no gateway answers at {url}; start one with `gateway serve`"
        raise click.ClickException(wrong) from None
    except httpx.HTTPError:
        raise click.ClickException("the audio broke off; nothing was kept") from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            partial.unlink()
    names = ("provider", "model", "voice", "generation-id")
    told = {name.replace("-", "_"): response.headers.get(f"x-{name}") for name in names}
    return {"file": str(output), "bytes": output.stat().st_size, **told}


def _own_key(settings: Settings) -> str:
    file = settings.data / "admin.key"
    if settings.admin_key:
        return settings.admin_key
    if not file.exists():
        raise click.UsageError(f"no API key: give --key or GATEWAY_KEY, or have {file}")
    return file.read_text(encoding="utf-8").strip()


def _message(response: httpx.Response) -> str:
    try:
        message: str = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return f"the gateway answered {response.status_code}"
    return message

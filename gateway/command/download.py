"""Audio from a running gateway into a file: with a bar, and whole or not at all."""

import contextlib
from pathlib import Path

import click
import httpx
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from gateway.command.client import Place, refused
from gateway.command.printing import err

_COLUMNS = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())


def receive(place: Place, request: httpx.Request, output: Path) -> httpx.Headers:
    """Stream the answer into a file beside its place; only a whole clip takes that place."""
    partial = output.with_name(f".{output.name}.part")
    try:
        with httpx.Client() as client, Progress(*_COLUMNS, console=err, transient=True) as progress:
            headers = _stream(client, request, partial, progress)
        partial.replace(output)
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise place.unreachable(error) from None
    except httpx.HTTPError:
        raise click.ClickException("the audio broke off; nothing was kept") from None
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    return headers


def _stream(
    client: httpx.Client, request: httpx.Request, file: Path, progress: Progress
) -> httpx.Headers:
    bar = progress.add_task("waiting for the first audio", total=None)
    response = client.send(request, stream=True)
    if not response.is_success:
        response.read()
        raise refused(response)
    progress.update(bar, description="speaking")
    with file.open("wb") as opened:
        for chunk in response.iter_raw():
            progress.advance(bar, opened.write(chunk))
    return response.headers

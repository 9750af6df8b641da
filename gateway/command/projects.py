"""`gateway projects`: the projects and organisations that keys count on."""

from typing import Any

import click

from gateway.command.printing import EXAMPLE, as_json_option

_text_option = click.option(
    "--keep-text-hours", type=int, help="How long requests' text is kept; 0: not."
)
_audio_option = click.option(
    "--keep-audio-hours", type=int, help="How long requests' audio is kept; 0: not."
)


@click.group(
    help="Projects, and the organisations that they are of."
    + EXAMPLE
    + "gateway projects create audiobooks"
)
def projects() -> None:
    """Hold the project commands."""


@projects.command("list", help="List projects." + EXAMPLE + "gateway projects list")
@as_json_option
def list_projects(as_json: bool) -> None:  # noqa: FBT001
    from gateway.command.work import projects as work

    work.list_projects(as_json=as_json)


@projects.command(
    help="Make a project; its organisation is made with it where it is new."
    + EXAMPLE
    + "gateway projects create audiobooks --organisation acme"
)
@click.argument("id_", metavar="ID")
@click.option("--name", help="Left out: the id.")
@click.option("--organisation", default="default", show_default=True)
@_text_option
@_audio_option
@as_json_option
def create(id_: str, as_json: bool, **options: Any) -> None:  # noqa: ANN401, FBT001  # click's
    from gateway.command.work import projects as work

    work.create(id_, options, as_json=as_json)


@projects.command(
    help="Rename a project, or say how long its requests' text and audio are kept."
    + EXAMPLE
    + "gateway projects change audiobooks --keep-text-hours 24 --keep-audio-hours 72"
)
@click.argument("id_", metavar="ID")
@click.option("--name")
@_text_option
@_audio_option
@as_json_option
def change(id_: str, as_json: bool, **options: Any) -> None:  # noqa: ANN401, FBT001  # click's
    from gateway.command.work import projects as work

    work.change(id_, options, as_json=as_json)

"""The command `python -m local_engine`."""

import argparse
import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import uvloop

from local_engine.csm.server.config import FLAGS, read_models
from local_engine.csm.server.settings import ENGINE, Settings
from local_engine.errors import StartError
from local_engine.serve import Listening, Speaker, serve

_ESPEAK = "espeak-ng"
_SERVER_FLAGS = ("step_seconds", "stall_seconds")
_EXAMPLES = """examples:
  python -m local_engine --model espeak-ng --port 8801 --workers 2
  python -m local_engine --model sesame/csm-1b --voices voices.toml
  python -m local_engine --model anna=/models/anna --model tiny-random --slots 8 --device cpu
  python -m local_engine --config engine.toml

engine.toml has a table for each model, with the fields of EngineSettings (csm/settings.py):
  [[model]]
  name = "anna"
  source = "/models/anna"
  snapshot_megabytes = 2048
"""

Given = Mapping[str, object]
"""Flags that are on the command line, by name; none of the others."""


def main(arguments: Sequence[str] | None = None, program: tuple[str, ...] = ENGINE) -> None:
    """Read the command line and serve; `program` is what runs as CSM's engine process."""
    given = vars(_parser().parse_args(arguments))
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    listening = Listening(
        given.pop("host"), given.pop("port"), given.pop("drain_seconds"), given.pop("stdin")
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(serve(listening, _speaker(given, program)))
        except StartError as error:
            raise SystemExit(f"local_engine: {error}") from error


def _speaker(given: dict[str, object], program: tuple[str, ...]) -> Speaker:
    named = _words(given.pop("model", None))
    file = given.pop("config", None)
    if not named and file is None:
        named = [_ESPEAK]
    try:
        if _ESPEAK in named:
            return _espeak(given, alone=named == [_ESPEAK] and file is None)
        return _csm(named, file if isinstance(file, Path) else None, given, program)
    except ModuleNotFoundError as error:
        extra = "espeak" if _ESPEAK in named else "engine"
        told = f"{error.name} is not installed; voxroute[{extra}] brings it"
        raise StartError(told) from error


def _espeak(given: Given, *, alone: bool) -> Speaker:
    if not alone:
        raise StartError(f"{_ESPEAK} is served alone; start another server for other models")
    _refuse(given, {"workers", "waiting"}, _ESPEAK)
    # Each voice is an extra with needs of its own, and may be installed without the other.
    from local_engine.espeak import settings, speaker  # noqa: PLC0415

    numbers = {name: value for name, value in given.items() if isinstance(value, int)}
    return speaker.EspeakSpeaker(settings.Settings(**numbers))


def _csm(
    named: Sequence[str], file: Path | None, given: Given, program: tuple[str, ...]
) -> Speaker:
    _refuse(given, {*FLAGS, *_SERVER_FLAGS, "waiting", "deterministic"}, "CSM")
    from local_engine.csm.server.speaker import CsmSpeaker  # noqa: PLC0415  # as with eSpeak

    ours = {name: v for name, v in given.items() if name in _SERVER_FLAGS and isinstance(v, float)}
    flags = {name: value for name, value in given.items() if name not in _SERVER_FLAGS}
    return CsmSpeaker(Settings(read_models(named, file, flags), program, **ours))


def _refuse(given: Given, known: set[str], voice: str) -> None:
    """Say which flag means nothing to this voice, rather than pass it over."""
    for name in given:
        if name not in known:
            raise StartError(f"--{name.replace('_', '-')} means nothing to {voice}")


def _words(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Tells defaults, and leaves the examples as they are."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local_engine",
        description="Serve local voices over OpenAI's speech wire: eSpeak NG, or CSM models.",
        epilog=_EXAMPLES,
        formatter_class=_Help,
    )
    _add_server(parser)
    espeak = parser.add_argument_group("eSpeak NG only", argument_default=argparse.SUPPRESS)
    espeak.add_argument("--workers", type=_positive, help="utterances spoken at once (2)")
    _add_engine(parser.add_argument_group("CSM only", argument_default=argparse.SUPPRESS))
    return parser


def _add_server(parser: argparse.ArgumentParser) -> None:
    defaults = Listening()
    parser.add_argument(
        "--model",
        action="append",
        metavar="NAME[=SOURCE]",
        default=argparse.SUPPRESS,
        help="espeak-ng (if no model is named), or a CSM model: a hub id, a folder or tiny-random; "
        "several may be named",
    )
    parser.add_argument("--host", default=defaults.host, help="the address to listen on")
    parser.add_argument("--port", type=int, default=defaults.port, help="the port to listen on")
    parser.add_argument(
        "--waiting",
        type=_positive,
        default=argparse.SUPPRESS,
        help="requests that may wait; the next one is answered 429 (64)",
    )
    parser.add_argument(
        "--drain-seconds",
        type=_seconds,
        default=defaults.drain_seconds,
        help="how long running requests may go on after SIGTERM",
    )
    parser.add_argument(
        "--exit-with-stdin",
        action="store_true",
        dest="stdin",
        help="end when stdin ends, as with its launcher",
    )


def _add_engine(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--config", type=Path, metavar="FILE", help="a TOML file of [[model]] tables; flags win"
    )
    for name, told in FLAGS.items():
        group.add_argument(f"--{name.replace('_', '-')}", help=told)
    group.add_argument("--deterministic", action="store_true", help="one batch size for every step")
    group.add_argument(
        "--step-seconds",
        type=_seconds,
        help="an engine that is still for so long is killed (10; on a CPU 60)",
    )
    group.add_argument(
        "--stall-seconds",
        type=_seconds,
        help="a client that takes nothing for so long loses its clip (60)",
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it must be 1 or more")
    return number


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError("it must be above 0")
    return seconds


if __name__ == "__main__":
    main()

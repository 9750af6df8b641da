"""The command `python -m local_engine`."""

import argparse
import asyncio
import logging

import uvloop

from local_engine.errors import StartError
from local_engine.serve import serve
from local_engine.settings import MODEL, Settings


def main() -> None:
    """Read the command line and serve."""
    arguments = _parser().parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = Settings(arguments.host, arguments.port, arguments.workers, arguments.waiting)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(serve(settings, exit_with_stdin=arguments.exit_with_stdin))
        except StartError as error:
            raise SystemExit(f"local_engine: {error}") from error


def _parser() -> argparse.ArgumentParser:
    defaults = Settings()
    parser = argparse.ArgumentParser(
        prog="python -m local_engine",
        description="Serve eSpeak NG's voices over OpenAI's speech wire.",
        epilog="example: python -m local_engine --model espeak-ng --port 8801 --workers 2",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--model", choices=[MODEL], default=MODEL, help="what speaks")
    parser.add_argument("--host", default=defaults.host, help="the address to listen on")
    parser.add_argument("--port", type=int, default=defaults.port, help="the port to listen on")
    parser.add_argument(
        "--workers", type=_positive, default=defaults.workers, help="utterances spoken at once"
    )
    parser.add_argument(
        "--waiting", type=_positive, default=defaults.waiting, help="requests that may wait"
    )
    parser.add_argument(
        "--exit-with-stdin", action="store_true", help="end when stdin ends, as with its launcher"
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it must be 1 or more")
    return number


if __name__ == "__main__":
    main()

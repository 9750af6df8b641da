"""`python -m tests.observability [board] [tree --phoenix PATH]`; fails when a proof does."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.observability import board, tree


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.observability")
    parser.add_argument("what", nargs="*", choices=["board", "tree", []], help="both, if none")
    phoenix = "the `phoenix` program, in an environment of its own"
    parser.add_argument(
        "--phoenix", type=Path, default=Path(".venv-phoenix/bin/phoenix"), help=phoenix
    )
    told = parser.parse_args()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        if not told.what or "board" in told.what:
            wrong += board.run(Path(folder))
        if not told.what or "tree" in told.what:
            wrong += tree.run(Path(folder), told.phoenix)
    for each in wrong:
        print(f"WRONG: {each}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()

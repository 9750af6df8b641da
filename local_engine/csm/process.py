"""The engine process: `python -m local_engine.csm.process --fd N --settings JSON`."""

import os
import sys

from local_engine.csm.building import build
from local_engine.csm.speaking.life import run
from local_engine.csm.speaking.loop import FATAL


def main() -> None:
    """Live, and end with the status that tells the supervisor why."""
    status = run(sys.argv[1:], build)
    if status == FATAL:
        # Taking down a broken CUDA context may hang for ever.
        os._exit(status)
    sys.exit(status)


if __name__ == "__main__":
    main()

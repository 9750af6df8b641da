"""An engine process with the fake runner: `python process_double.py --fd N --settings JSON`.

The settings' `source` holds words that shape it: `depth=2 silent=1 fails=1`.
"""

import logging
import sys

from fake_runner import FakePreparer, FakeRunner, Script, parts

from local_engine.csm.settings import EngineSettings
from local_engine.csm.speaking.engine import Parts
from local_engine.csm.speaking.life import Progress, run


def build(settings: EngineSettings, progress: Progress) -> Parts:
    asked = dict(word.split("=") for word in settings.source.split())
    progress("weights", 1, 2)
    logging.getLogger("httpx").info("GET https://hub/weights?Signature=secret")
    logging.getLogger("local_engine.csm.building").info("so much memory")
    if "fails" in asked:
        raise ValueError("no such model")
    runner = FakeRunner(settings.slots or 4, depth=int(asked.get("depth", 1)))
    runner.always = Script(silent=0) if "silent" in asked else None
    progress("weights", 2, 2)
    return parts(runner, FakePreparer(runner, settings.clip_seconds))


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], build))

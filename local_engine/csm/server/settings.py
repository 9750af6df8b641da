"""What CSM's server is told at start; each model's own settings are EngineSettings."""

import sys
from dataclasses import dataclass

from local_engine.csm.settings import EngineSettings

ENGINE = (sys.executable, "-m", "local_engine.csm.process")
"""The program of an engine process."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The models that are served, and how long the server is patient."""

    models: tuple[EngineSettings, ...]
    program: tuple[str, ...] = ENGINE
    step_seconds: float | None = None
    """An engine that tells nothing for so long is killed; None is 10 on a GPU and 60 on a CPU,
    where a long prompt takes its time."""
    stall_seconds: float = 60
    """How long a client may take no audio before its clip is ended."""

    def patience_seconds(self, device: str) -> float:
        """Say how long an engine on this device may tell nothing."""
        if self.step_seconds is not None:
            return self.step_seconds
        return 60 if device == "cpu" else 10

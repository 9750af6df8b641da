"""CSM as `serve` holds it: a keeper for each model, and the endpoints around them."""

import asyncio
from collections.abc import Callable

from litestar import Litestar

from local_engine.app import create_app
from local_engine.csm.server.client import Client
from local_engine.csm.server.endpoints import ENDPOINTS, Engine
from local_engine.csm.server.keeper import Keeper
from local_engine.csm.server.metrics import Metrics, ModelMetrics
from local_engine.csm.server.progress import StartProgress
from local_engine.csm.server.results import Results
from local_engine.csm.server.settings import Settings
from local_engine.csm.settings import EngineSettings
from local_engine.errors import StartError

_MAX_BODY_BYTES = 40_000_000
"""Ten turns of a minute each at 24 kHz, in base64."""


class CsmSpeaker:
    """Models, each in an engine process of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engine = Engine(settings, {}, Results(), Metrics())

    async def open(self, fail: Callable[[StartError], None]) -> Litestar:
        """Begin to start the engines; `/health/ready` tells how far they are."""
        progress = StartProgress()
        models = self._settings.models
        self._engine.keepers = {each.name: self._keeper(each, progress, fail) for each in models}
        for keeper in self._engine.keepers.values():
            keeper.start()
        return create_app(ENDPOINTS, self._engine, _MAX_BODY_BYTES)

    def drain(self) -> None:
        """Take no new work, and let each engine end with its last clip."""
        self._engine.draining = True
        for keeper in self._engine.keepers.values():
            keeper.drain()

    async def close(self) -> None:
        await asyncio.gather(*(keeper.close() for keeper in self._engine.keepers.values()))

    def _keeper(
        self, model: EngineSettings, progress: StartProgress, fail: Callable[[StartError], None]
    ) -> Keeper:
        metrics = ModelMetrics(self._engine.metrics, model.name)
        client = Client(model.name, self._engine.results, metrics)
        return Keeper(model, self._settings, client, metrics, progress, fail)

"""The embedded voice as `serve` holds it: its pool, opened, and its endpoints around it."""

from collections.abc import Callable

from litestar import Litestar

from local_engine.app import create_app
from local_engine.errors import StartError
from local_engine.espeak.endpoints import ENDPOINTS, Engine
from local_engine.espeak.pool import Pool
from local_engine.espeak.settings import Settings
from local_engine.espeak.voices import Voices

_MAX_BODY_BYTES = 2_000_000


class EspeakSpeaker:
    """eSpeak NG's voices in worker processes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool = Pool(settings)
        self._engine: Engine | None = None

    async def open(self, _: Callable[[StartError], None]) -> Litestar:
        """Start the workers; StartError when one does not start."""
        worker = await self._pool.open()
        voices = Voices.of(worker.voices, worker.variants)
        self._engine = Engine(self._settings, self._pool, voices)
        return create_app(ENDPOINTS, self._engine, _MAX_BODY_BYTES)

    def drain(self) -> None:
        """Take no new work."""
        if self._engine is not None:
            self._engine.draining = True

    async def close(self) -> None:
        await self._pool.close()

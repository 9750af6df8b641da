"""Where the engine's parts become a Litestar application."""

from litestar import Litestar
from litestar.di import Provide
from litestar.exceptions import HTTPException

from local_engine.endpoints import ENDPOINTS, Engine
from local_engine.errors import Refusal, tell_bug, tell_http, tell_refusal

_MAX_BODY_BYTES = 2_000_000


def create_app(engine: Engine) -> Litestar:
    """Join endpoints and errors around an open pool."""
    return Litestar(
        ENDPOINTS,
        dependencies={"engine": Provide(lambda: engine, sync_to_thread=False)},
        exception_handlers={
            Refusal: tell_refusal,
            HTTPException: tell_http,
            Exception: tell_bug,
        },
        logging_config=None,
        openapi_config=None,
        request_max_body_size=_MAX_BODY_BYTES,
    )

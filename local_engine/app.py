"""Where a voice's endpoints become a Litestar application."""

from collections.abc import Sequence

from litestar import Litestar
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler

from local_engine.errors import Refusal, tell_bug, tell_http, tell_refusal


def create_app(
    endpoints: Sequence[HTTPRouteHandler], engine: object, max_body_bytes: int
) -> Litestar:
    """Join endpoints and errors around an open engine, which endpoints ask for by that name."""
    return Litestar(
        endpoints,
        dependencies={"engine": Provide(lambda: engine, sync_to_thread=False)},
        exception_handlers={
            Refusal: tell_refusal,
            HTTPException: tell_http,
            Exception: tell_bug,
        },
        logging_config=None,
        openapi_config=None,
        request_max_body_size=max_body_bytes,
    )

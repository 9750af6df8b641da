"""What a caller can be told: one exception tree, and OpenAI's error body made of it.

Refusal             400  the request is wrong, and `param` says where
├── UnknownModel    404
├── UnknownUtterance 404
├── Unspeakable     400  a worker found nothing to say in the text
├── Overloaded      429  the queue is full
└── Unavailable     503  nobody could speak; another try may succeed
    ├── WorkerLost   it died speaking: 503 before the first audio, a cut body after it
    └── EngineLost   as WorkerLost, of the process in which all of a model's clips are made
"""

import logging
from http import HTTPStatus

from litestar import MediaType, Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException

log = logging.getLogger(__name__)

ErrorResponse = Response[dict[str, dict[str, object]]]
AnyRequest = Request[None, None, State]


class StartError(Exception):
    """The engine cannot start, and says why."""


class Refusal(Exception):
    """An answer other than audio."""

    status = HTTPStatus.BAD_REQUEST
    retry_after: int | None = None

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class UnknownModel(Refusal):
    """None of the engine's models is the one asked for."""

    status = HTTPStatus.NOT_FOUND


class UnknownUtterance(Refusal):
    """No clip of this id is remembered."""

    status = HTTPStatus.NOT_FOUND


class Unspeakable(Refusal):
    """No sound came of the text."""

    def __init__(self) -> None:
        super().__init__("input has nothing in it that can be spoken", "input")


class Overloaded(Refusal):
    """Everybody speaks, and the queue is full."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    retry_after = 1


class Unavailable(Refusal):
    """There is nobody to speak, for now."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    retry_after = 1


class WorkerLost(Unavailable):
    """The worker died, perhaps of this very text."""

    def __init__(self) -> None:
        super().__init__("the worker that was speaking died; another is being started")


class EngineLost(Unavailable):
    """The engine process ended, and every clip with it."""

    def __init__(self) -> None:
        super().__init__("the engine that was speaking ended; it is being started again")


def tell_refusal(_: AnyRequest, refusal: Refusal) -> ErrorResponse:
    """Answer a refusal of ours."""
    return _answer(refusal.status, refusal.message, refusal.param, refusal.retry_after)


def tell_http(_: AnyRequest, error: HTTPException) -> ErrorResponse:
    """Answer what Litestar refused: an unknown path, a wrong method, a body too large."""
    return _answer(error.status_code, error.detail)


def tell_bug(_: AnyRequest, error: Exception) -> ErrorResponse:
    """Answer what nobody foresaw, and log it."""
    log.error("request failed", exc_info=error)
    return _answer(HTTPStatus.INTERNAL_SERVER_ERROR, "the engine failed; its log says how")


def _answer(
    status: int, message: str, param: str | None = None, retry_after: int | None = None
) -> ErrorResponse:
    faulty = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS
    error: dict[str, object] = {
        "code": int(status),
        "message": message,
        "type": "server_error" if faulty else "invalid_request_error",
        "param": param,
    }
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Response(
        {"error": error}, status_code=status, media_type=MediaType.JSON, headers=headers
    )

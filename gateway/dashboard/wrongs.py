"""What went wrong, as a page tells it: a status, and a sentence for a person."""

from litestar.exceptions import HTTPException
from sqlalchemy.exc import SQLAlchemyError

from gateway.dashboard.visitor import Plain
from gateway.endpoints import answers
from gateway.errors import GatewayError, MeteringUnavailable, NotFound


def told(request: Plain, error: Exception) -> tuple[int, str]:
    """A fault of the gateway's own is logged besides."""
    match error:
        case GatewayError():
            return error.status, error.message
        case HTTPException(status_code=NotFound.status):
            return NotFound.status, "There is no such page."
        case HTTPException():
            return error.status_code, error.detail
        case SQLAlchemyError():
            return MeteringUnavailable.status, "The database does not answer."
        case _:
            answers.log_fault(request, error)
            return GatewayError.status, "The gateway itself failed; its log says why."

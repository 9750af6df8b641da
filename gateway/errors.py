"""What a caller can be told: every refusal as a class, and the one table that makes it HTTP."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

SOON_SECONDS = 10.0
"""A client may be sent to wait for so long and to ask again by itself."""


class GatewayError(Exception):
    """A request that ends without speech. Subclasses are the rows of the table error -> HTTP."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    error_type: ClassVar[str] = "server"
    should_retry: bool | None = None
    """Sent as x-should-retry where a repeat is pointless (False) or wanted (True)."""

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after: float | None = None,
        attempts: Sequence[Mapping[str, object]] = (),
        generation_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after
        self.attempts = attempts
        self.generation_id = generation_id
        """The record that tells more, where it is another request's."""

    def body(self, request_id: str) -> bytes:
        """The one error body, readable by every client SDK in use (design.md section 6)."""
        metadata: dict[str, object] = {"error_type": self.error_type, "request_id": request_id}
        if self.attempts:
            metadata["attempts"] = list(self.attempts)
        if self.generation_id is not None:
            metadata["generation_id"] = self.generation_id
        return msgspec.json.encode(
            {
                "error": {
                    "code": self.status,
                    "message": self.message,
                    "type": self.type,
                    "param": self.param,
                    "metadata": metadata,
                }
            }
        )

    def headers(self) -> list[tuple[str, str]]:
        headers = []
        if self.retry_after is not None:
            headers.append(("Retry-After", str(max(1, round(self.retry_after)))))
        if self.should_retry is not None:
            headers.append(("X-Should-Retry", "true" if self.should_retry else "false"))
        return headers


class InvalidRequest(GatewayError):
    """The request cannot be understood or spoken; `param` names the field."""

    status = 400
    type = "invalid_request_error"
    error_type = "invalid_request"


class Unauthenticated(GatewayError):
    """No key, a wrong key, a disabled or an expired one."""

    status = 401
    type = "authentication_error"
    error_type = "authentication"


class BudgetExceeded(GatewayError):
    """The key's limit does not cover the request."""

    status = 402
    type = "insufficient_quota"
    error_type = "payment_required"
    should_retry = False


class OfferRefused(BudgetExceeded):
    """An offer that a budget does not let be asked; another one may still do."""


class SoftLimit(GatewayError):
    """A soft threshold would be passed, and a cheaper plan is at hand; callers never see it."""


class RateLimited(GatewayError):
    """Too many requests, characters or streams for now; `retry_after` tells when to come back."""

    status = 429
    type = "rate_limit_error"
    error_type = "rate_limit_exceeded"


class Conflict(GatewayError):
    """A request with the same Idempotency-Key is still running."""

    status = 409
    type = "invalid_request_error"
    error_type = "conflict"


class Mismatch(GatewayError):
    """The same Idempotency-Key came with another body."""

    status = 422
    type = "invalid_request_error"
    error_type = "idempotency_mismatch"
    should_retry = False


class Replay(GatewayError):
    """The Idempotency-Key's request has ended; its audio answers. Callers never see it."""

    def __init__(self, generation_id: str) -> None:
        super().__init__("this request was answered before")
        self.replayed_id = generation_id


class Gone(GatewayError):
    """The request was answered and charged once, and its audio is kept no longer."""

    status = 410
    type = "invalid_request_error"
    error_type = "gone"
    should_retry = False


class Forbidden(GatewayError):
    """The key is good and may not do this."""

    status = 403
    type = "permission_error"
    error_type = "permission_denied"


class NotFound(GatewayError):
    """There is no such thing, or not for this key."""

    status = 404
    type = "invalid_request_error"
    error_type = "not_found"


class ModelNotFound(NotFound):
    """No offer carries the model."""

    error_type = "model_not_found"


class ConstraintFiltered(NotFound):
    """Offers exist, and the request's own constraints leave none."""

    error_type = "constraint_filtered"
    should_retry = False


class MethodNotAllowed(GatewayError):
    """The path exists, the method does not."""

    status = 405
    type = "invalid_request_error"
    error_type = "method_not_allowed"


class PayloadTooLarge(GatewayError):
    """The body is larger than the gateway takes."""

    status = 413
    type = "invalid_request_error"
    error_type = "payload_too_large"


class ClientLeft(GatewayError):
    """The client hung up before the first audio; only logs and records see this one."""

    status = 499
    type = "client_error"
    error_type = "client_left"


class EveryProviderFailed(GatewayError):
    """Every offer of the plan was tried."""

    status = 502
    error_type = "provider_unavailable"


class Unavailable(GatewayError):
    """Nobody could be asked: no provider is configured, or the gateway is draining."""

    status = 503
    type = "service_unavailable_error"
    error_type = "no_provider"


class NoProvider(Unavailable):
    """Every offer's provider is switched off, which no repeat will change."""

    should_retry = False


class Resting(Unavailable):
    """Every offer that could say it is left alone for now."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message, retry_after=retry_after)
        # A client's library waits without a word; whoever waits longer should know of it.
        self.should_retry = retry_after <= SOON_SECONDS


class Busy(Unavailable):
    """The gateway has as much to do as it can; a later request may find it free."""

    error_type = "overloaded"
    should_retry = True


class Draining(Unavailable):
    """The gateway is about to stop."""

    error_type = "draining"


class MeteringUnavailable(Unavailable):
    """The ledger's database does not answer, so nothing may be spent."""

    error_type = "metering_unavailable"


class InDoubt(MeteringUnavailable):
    """The database went away while it was writing: it may or may not have been done."""


class FirstAudioLate(GatewayError):
    """No audio came within the deadline."""

    status = 504
    error_type = "timeout"

"""How attempts are told: to the ledger before, to the trace after, to the caller at last."""

import time
from collections.abc import Sequence

from gateway.errors import EveryProviderFailed, FirstAudioLate, GatewayError
from gateway.metering.operations import AttemptResult, Intent
from gateway.routing.plan import Choice
from gateway.tracing import Step
from providers import ProviderError


def intent_of(choice: Choice, seq: int) -> Intent:
    """An attempt about to be made, for the ledger."""
    return Intent(
        seq=seq,
        provider=choice.offer.provider,
        model=choice.offer.model,
        voice=choice.voice,
        started_ms=int(time.time() * 1000),
        nano=choice.bound_nano,
        price=choice.offer.price.version,
    )


def attempt_step(choice: Choice, result: AttemptResult, start: float, end: float) -> Step:
    """An attempt that was made, for the trace."""
    attributes = {
        "gen_ai.provider.name": choice.offer.provider,
        "gen_ai.request.model": choice.offer.model,
        "gen_ai.response.id": result.upstream_id,
        "voxroute.voice": choice.voice,
        "voxroute.outcome": result.outcome,
        "voxroute.liability_nano_usd": result.liability_nano,
        "http.response.status_code": result.http_status,
        "error.type": result.error_type,
    }
    return Step("attempt", start, end, attributes, result.error_type)


def told(errors: Sequence[tuple[Choice, ProviderError]], *, late: bool) -> GatewayError:
    """Attempts that all failed, for the caller: who was asked, and how each one failed."""
    attempts = [
        {
            "provider": choice.offer.provider,
            "model": choice.offer.model,
            "status": error.status,
            "error_type": error.kind,
            "reason": error.reason,
        }
        for choice, error in errors
    ]
    if late:
        return FirstAudioLate("no provider gave audio within the deadline", attempts=attempts)
    tried = ", ".join(f"{choice.offer.provider}: {error.reason}" for choice, error in errors)
    waits = [error.wait for _, error in errors if error.wait is not None]
    return EveryProviderFailed(
        f"no provider could say this ({tried})",
        attempts=attempts,
        retry_after=min(waits, default=None),
    )

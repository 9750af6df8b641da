"""How attempts are told: to the ledger before, to the trace after, to the caller at last."""

import time
from collections.abc import Iterator, Sequence

from gateway.dispatch.attempt import Attempt
from gateway.dispatch.course import Try
from gateway.errors import EveryProviderFailed, FirstAudioLate, GatewayError
from gateway.metering.operations import Intent
from gateway.tracing import Step


def intent_of(found: Try, seq: int, from_character: int = 0) -> Intent:
    """An attempt about to be made, for the ledger."""
    choice, credential = found.choice, found.grant.credential
    return Intent(
        seq=seq,
        provider=choice.offer.provider,
        model=choice.offer.model,
        voice=choice.voice,
        started_ms=int(time.time() * 1000),
        nano=choice.bound_nano,
        price=choice.offer.price.version,
        kind=found.kind,
        credential=credential.variable if credential else None,
        from_character=from_character,
    )


def steps_of(attempt: Attempt) -> Iterator[Step]:
    """An attempt that was made, for the trace."""
    choice, result = attempt.found.choice, attempt.result
    attributes = {
        "gen_ai.provider.name": choice.offer.provider,
        "gen_ai.request.model": choice.offer.model,
        "gen_ai.response.id": result.upstream_id,
        "voxroute.voice": choice.voice,
        "voxroute.kind": attempt.found.kind,
        "voxroute.outcome": result.outcome,
        "voxroute.liability_nano_usd": result.liability_nano,
        "http.response.status_code": result.http_status,
        "error.type": result.error_type,
        **{f"voxroute.upstream.{header}": value for header, value in attempt.limits},
    }
    yield Step("attempt", attempt.started, attempt.ended, attributes, result.error_type)
    if attempt.opened_at is not None:
        yield Step("first audio", attempt.started, attempt.opened_at)


def told(failed: Sequence[Attempt], *, late: bool) -> GatewayError:
    """Attempts that all failed, for the caller: who was asked, and how each one failed."""
    errors = [(each.found.choice.offer, each.error) for each in failed if each.error is not None]
    attempts = [
        {
            "provider": offer.provider,
            "model": offer.model,
            "status": error.status,
            "error_type": error.kind,
            "reason": error.reason,
        }
        for offer, error in errors
    ]
    if late:
        return FirstAudioLate("no provider gave audio within the deadline", attempts=attempts)
    tried = ", ".join(f"{offer.provider}: {error.reason}" for offer, error in errors)
    waits = [error.wait for _, error in errors if error.wait is not None]
    return EveryProviderFailed(
        f"no provider could say this ({tried})",
        attempts=attempts,
        retry_after=min(waits, default=None),
    )

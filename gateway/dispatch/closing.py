"""The closing: what became of a request, for the ledger and for the trace."""

import time
from dataclasses import replace

from gateway.dispatch.attempts import Attempts
from gateway.dispatch.costs import NOTHING, cost_of, flags_of, together
from gateway.dispatch.first_audio import Heard
from gateway.dispatch.job import Job
from gateway.dispatch.outlet import Outlet
from gateway.errors import ClientLeft, Draining, GatewayError
from gateway.metering.operations import Closing, Flag
from gateway.metering.prices import Cost
from gateway.tracing import Attributes


def closing_of(job: Job, attempts: Attempts, outlet: Outlet, error: GatewayError | None) -> Closing:
    """Who pays (design.md section 10): in full once audio has left, unless we broke the clip."""
    pays = outlet.delivered and (error is None or isinstance(error, ClientLeft))
    opener = attempts.delivery.opener
    choice = opener.choice if opener else None
    cost, cap = cost_to_the_key(job, attempts), job.plan.cap_nano
    nano = cost.nano or 0
    is_capped = cap is not None and nano > cap
    results = tuple(each.result for each in attempts.made)
    return Closing(
        status="settled" if pays else "voided",
        http_status=error.status if error else 200,
        error_type=error.error_type if error else None,
        duration_ms=elapsed_ms(job),
        model=choice.offer.model if choice else None,
        provider=choice.offer.provider if choice else None,
        voice=choice.voice if choice else None,
        upstream_id=attempts.upstream_id,
        cost_nano=min(nano, cap) if pays and cap is not None else nano if pays else 0,
        charged_characters=job.opening.characters if pays else 0,
        audio_ms=round(attempts.delivery.seconds * 1000),
        first_audio_ms=attempts.delivery.first_audio_ms,
        cancelled=isinstance(error, ClientLeft),
        attempts=results,
        flags=flags_of(cost) + _flags(job, attempts, error, is_capped=pays and is_capped),
    )


def cost_to_the_key(job: Job, attempts: Attempts) -> Cost:
    """What the clip comes to: as its speaker bills it; in full, also where its client left.

    Where two have said a part of it each, it is what the first would have charged for all of it.
    """
    given = [each for each in attempts.made if each.opened_at is not None]
    if not given:
        return NOTHING
    first, heard = given[0], Heard(job.target)
    choice = first.found.choice
    parts = [replace(job.speech, text=part) for part in job.parts]
    if len(given) == 1:
        rest = (cost_of(choice, each, heard, 0.0, whole=False) for each in parts[first.asked :])
        return together([first.cost, *rest])
    a_character = attempts.delivery.seconds / len(job.speech.text)
    return together(
        cost_of(choice, each, heard, len(each.text) * a_character, whole=True) for each in parts
    )


def _flags(
    job: Job, attempts: Attempts, error: GatewayError | None, *, is_capped: bool
) -> tuple[Flag, ...]:
    kinds = {each.found.kind for each in attempts.made}
    was_ours = error is not None and not isinstance(error, ClientLeft | Draining)
    remarkable: dict[Flag, bool] = {
        "downgraded": job.is_downgraded or job.plan.downgraded is not None,
        "hedged": "hedge" in kinds,
        "resumed": "resume" in kinds,
        "cut": was_ours and attempts.delivery.opener is not None,
        "capped": is_capped,
    }
    return tuple(flag for flag, is_so in remarkable.items() if is_so)


def settled(closing: Closing) -> Attributes:
    """The settle's attributes."""
    return {"voxroute.status": closing.status, "voxroute.cost_nano_usd": closing.cost_nano}


def attributes_of(job: Job, closing: Closing) -> Attributes:
    """The request span's attributes; GenAI names where the convention has one."""
    return {
        "gen_ai.operation.name": "text_to_speech",
        "gen_ai.output.type": "speech",
        "gen_ai.request.model": job.opening.requested_model,
        "gen_ai.response.model": closing.model,
        "gen_ai.response.id": job.opening.id,
        "gen_ai.provider.name": closing.provider,
        "http.request.method": "POST",
        "http.response.status_code": closing.http_status,
        "voxroute.voice": closing.voice,
        "voxroute.format": job.opening.format,
        "voxroute.characters": job.opening.characters,
        "voxroute.cost_nano_usd": closing.cost_nano,
        "voxroute.audio_ms": closing.audio_ms,
        "voxroute.attempts": len(closing.attempts),
        "voxroute.outcome": closing.status,
        "error.type": closing.error_type,
    }


def elapsed_ms(job: Job) -> int:
    """How long the request has taken so far."""
    return round((time.monotonic() - job.began) * 1000)

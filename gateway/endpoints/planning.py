"""`POST /audio/speech/plan`: what a speech request would come to; spends, writes, asks nothing."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import msgspec
from litestar import Request, post

from gateway.access.keys import SPEAK
from gateway.dispatch.course import MOST_PER_PROVIDER
from gateway.endpoints.answers import request_id
from gateway.endpoints.body import read_body
from gateway.endpoints.offers import pricing
from gateway.endpoints.paths import OPENAI, both
from gateway.endpoints.state import Gateway, gateway_of
from gateway.errors import GatewayError
from gateway.metering.prices import usd
from gateway.routing.judging import Choice, Exclusion
from gateway.routing.plan import Moment, Plan
from gateway.routing.planning import Planned, plan_request
from gateway.routing.standings import Percentiles, Standing

Told = Mapping[str, object]


@post(both("/audio/speech/plan"), status_code=200)
async def plan(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """The plan of a speech body, and the most that it can cost."""
    gateway = gateway_of(request)
    caller = await gateway.callers.accept(request.headers.get("authorization"), SPEAK)
    openai = request.url.path.startswith(OPENAI + "/")
    wanted = read_body(
        await request.body(),
        default_format="mp3" if openai else "pcm",
        strict=openai,
        default_task=caller.default_task,
    )
    wanted = await wanted.recalled(caller.key_hash, gateway.reading, gateway.kept)
    asked, moment = wanted.asked(caller.allowed), gateway.moment()
    planned = plan_request(asked, gateway.routes, gateway.default_policy, moment)
    return {
        "object": "speech.plan",
        "model": wanted.names[0],
        "task": planned.task.name if planned.task else None,
        "characters": len(planned.speech.text),
        **_plan(planned.plan, gateway, moment),
        "downgrade": planned.cheaper and _plan(planned.cheaper, gateway, moment),
        "error": _error(planned, request_id(request)),
    }


def _plan(plan: Plan, gateway: Gateway, moment: Moment) -> Told:
    return {
        "policy": plan.policy,
        "choices": [_choice(each, moment) for each in plan.choices],
        "excluded": [_exclusion(each) for each in plan.exclusions],
        "cost_at_most": _usd(most(plan, 1)),
        "liability_at_most": _usd(most(plan, gateway.deadlines.attempts)),
        "cap": _usd(plan.cap_nano),
        "downgraded": plan.downgraded,
    }


def most(plan: Plan, attempts: int) -> int | None:
    """What so many attempts can cost at most, nano-USD; None where a price is not known."""
    dearest: dict[str, int] = {}
    for choice in plan.choices:
        if choice.bound_nano is None:
            return None
        provider = choice.offer.provider
        dearest[provider] = max(choice.bound_nano, dearest.get(provider, 0))
    return sum(sorted(list(dearest.values()) * MOST_PER_PROVIDER, reverse=True)[:attempts])


def _choice(choice: Choice, moment: Moment) -> Told:
    offer = choice.offer
    return {
        "provider": offer.provider,
        "model": offer.model,
        "voice": choice.voice,
        "format": choice.native_format,
        "price": pricing(offer.price),
        "cost_at_most": _usd(choice.bound_nano),
        "demoted": choice.demoted,
        "share": choice.share,
        "standing": _standing(moment.standings.of(offer.name, moment.now)),
    }


def _exclusion(exclusion: Exclusion) -> Told:
    return {
        "provider": exclusion.offer.provider,
        "model": exclusion.offer.model,
        "reason": exclusion.reason,
        "detail": exclusion.detail,
        "cost_at_most": _usd(exclusion.bound_nano),
    }


def _standing(standing: Standing) -> Told:
    return {each.name: getattr(standing, each.name) for each in fields(standing)} | {
        "first_audio_ms": standing.first_audio_ms and _percentiles(standing.first_audio_ms),
        "real_time_factor": standing.real_time_factor and _percentiles(standing.real_time_factor),
        "failures": dict(standing.failures),
    }


def _percentiles(seen: Percentiles) -> Told:
    return {each.name: getattr(seen, each.name) for each in fields(seen)}


def _error(planned: Planned, request_id: str) -> object:
    """The inner object of the error body that the speech endpoint would answer with."""
    error: GatewayError | None = planned.error
    return error and msgspec.json.decode(error.body(request_id))["error"]


def _usd(nano: int | None) -> str | None:
    return None if nano is None else usd(nano)

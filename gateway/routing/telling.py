"""Telling: a plan as its generation's record keeps it."""

from collections.abc import Mapping

import msgspec

from gateway.routing.judging import Choice, Exclusion
from gateway.routing.plan import Plan


def told(plan: Plan) -> str:
    """The plan as JSON. Whoever changes a plan tells it anew."""
    record = {
        "policy": plan.policy,
        "cap_nano_usd": plan.cap_nano,
        "downgraded": plan.downgraded,
        "choices": [_choice(each) for each in plan.choices],
        "excluded": [_exclusion(each) for each in plan.exclusions],
    }
    return msgspec.json.encode(record).decode()


def _choice(choice: Choice) -> Mapping[str, object]:
    return {
        "provider": choice.offer.provider,
        "model": choice.offer.model,
        "voice": choice.voice,
        "format": choice.native_format,
        "at_most_nano_usd": choice.bound_nano,
        "demoted": choice.demoted,
        "share": choice.share,
    }


def _exclusion(exclusion: Exclusion) -> Mapping[str, object]:
    return {
        "provider": exclusion.offer.provider,
        "model": exclusion.offer.model,
        "reason": exclusion.reason,
        "detail": exclusion.detail,
        "at_most_nano_usd": exclusion.bound_nano,
    }

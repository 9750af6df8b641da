"""Costs: what an attempt came to, from what was heard of it; and how much of that is posted."""

from dataclasses import replace

from gateway.dispatch.first_audio import Heard
from gateway.metering.prices import Cost, actual
from gateway.routing.plan import Choice
from providers import Speech

NOTHING = Cost(nano=0, units=0)


def cost_of(choice: Choice, speech: Speech, heard: Heard, seconds: float, *, whole: bool) -> Cost:
    """What an attempt came to; a clip not heard to its end costs its bound, unless it was told."""
    cost = actual(
        choice.offer.price,
        speech.text,
        round(seconds * 1000),
        speech.instructions,
        heard.billed_units,
        heard.billed_nano,
        heard.billed_malformed,
    )
    if whole or cost.reported:
        return cost
    return replace(cost, nano=choice.bound_nano, units=None)


def posted(cost: Cost, choice: Choice) -> int:
    """A cost as the ledger takes it today: nothing beyond what was held for it."""
    return choice.hold_nano if cost.nano is None else min(cost.nano, choice.hold_nano)

"""Costs: what an attempt came to, from what was heard of it."""

from dataclasses import replace

from gateway.dispatch.first_audio import Heard
from gateway.metering.operations import Flag
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


def flags_of(cost: Cost) -> tuple[Flag, ...]:
    """What is remarkable about a cost."""
    flags: list[Flag] = []
    if cost.nano is None:
        flags.append("unpriced")
    if cost.drift:
        flags.append("drift")
    if cost.malformed:
        flags.append("malformed_bill")
    return tuple(flags)

"""Costs: what an attempt came to, from what was heard of it."""

from collections.abc import Iterable
from dataclasses import replace

from gateway.dispatch.first_audio import Heard
from gateway.metering.operations import Flag
from gateway.metering.prices import Cost, actual, upper_bound
from gateway.metering.spoken import longest_ms
from gateway.routing.plan import Choice
from providers import Speech

NOTHING = Cost(nano=0, units=0)


def cost_of(choice: Choice, speech: Speech, heard: Heard, seconds: float, whole: bool) -> Cost:  # noqa: FBT001  # it stands beside what it is about
    """What one call came to; one not heard to its end costs its bound, unless it was told."""
    price, text = choice.offer.price, speech.text
    cost = actual(
        price,
        text,
        round(seconds * 1000),
        speech.instructions,
        heard.billed_units,
        heard.billed_nano,
        heard.billed_malformed,
    )
    if whole or cost.reported:
        return cost
    bound = upper_bound(price, text, longest_ms(text, speech.speed), speech.instructions)
    return replace(cost, nano=bound, units=None)


def together(costs: Iterable[Cost]) -> Cost:
    """Several calls as one: what is not known of one is not known of all."""
    total = NOTHING
    for each in costs:
        total = Cost(
            nano=_sum(total.nano, each.nano),
            units=_sum(total.units, each.units),
            reported=total.reported or each.reported,
            drift=total.drift or each.drift,
            malformed=total.malformed or each.malformed,
        )
    return total


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


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other

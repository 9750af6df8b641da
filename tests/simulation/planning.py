"""The one place where the simulation meets the plan's signature."""

from random import Random

from gateway.routing.plan import Moment, Plan, make_plan
from gateway.routing.policies import Policy
from gateway.routing.preferences import Preferences
from gateway.routing.standings import Standings
from gateway.routing.tasks import Wanted
from providers import Catalog, Speech

EXPLORE_SHARE = 0.05


def planned(  # noqa: PLR0913, PLR0917  # as the plan itself
    catalog: Catalog,
    preferences: Preferences,
    policy: Policy,
    voice: str,
    standings: Standings,
    random: Random,
    now: float,
) -> Plan:
    wanted = Wanted(tuple(catalog.models))
    speech = Speech(text="0123456789", voice=voice, format="mp3")
    moment = Moment(standings, now, random, EXPLORE_SHARE)
    return make_plan(catalog, wanted, speech, preferences, policy, moment)

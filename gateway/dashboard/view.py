"""The usage page's view: what its address asks for, checked, and addresses of its neighbours."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlencode

from gateway.access.keys import Caller
from gateway.dashboard.ranges import Range, range_of
from gateway.errors import InvalidRequest
from gateway.metering.usage import Group, Measure

PLACE = "/dashboard"
NAME = "name"
MEASURES: Mapping[Measure, str] = {
    "characters": "Characters",
    "cost": "Spend",
    "requests": "Requests",
    "audio": "Audio",
    "errors": "Errors",
    "fallbacks": "Fallbacks",
    "cache_hits": "Cache hits",
}
GROUPS: Mapping[Group, str] = {
    "key": "Key",
    "project": "Project",
    "model": "Model",
    "provider": "Provider",
    "app": "App",
    "task": "Task",
}
_FIELDS = ("range", "from", "to", "bucket", "measure", "by", "sort")
_TIMES = {"range", "from", "to", "bucket"}
Known = TypeVar("Known", bound=str)


@dataclass(frozen=True, slots=True)
class View:
    """What is looked at."""

    query: Mapping[str, str]
    range: Range
    measure: Measure
    """What the chart shows."""
    by: Group
    groups: Mapping[Group, str]
    """The ways to split that tell this visitor something."""
    sort: Measure | None
    """Whose most come first; None: by name."""

    @property
    def ranking(self) -> Measure:
        """What shares are shares of."""
        return self.sort or self.measure

    def link(self, place: str = PLACE, **changes: str) -> str:
        """The address of the same with something else chosen; another range has its own steps."""
        left_out = _TIMES if "range" in changes else set[str]()
        kept = {name: said for name, said in self.query.items() if name not in left_out}
        query = {**kept, **changes}
        told = {name: query[name] for name in _FIELDS if query.get(name)}
        return f"{place}?{urlencode(told)}" if told else place


def view_of(given: Mapping[str, str], caller: Caller) -> View:
    """InvalidRequest with a sentence for a person, where there is nothing like it."""
    query = {name: given.get(name) or "" for name in _FIELDS}
    groups = _groups(caller)
    measure = _one(query, "measure", tuple(MEASURES)) or "characters"
    usual: Group = next(iter(groups))
    by = _one(query, "by", tuple(GROUPS)) or usual
    sort = None if query["sort"] == NAME else _one(query, "sort", tuple(MEASURES)) or measure
    chosen = range_of(query, caller.sees, int(time.time() * 1000))
    return View(query, chosen, measure, by, groups, sort)


def _groups(caller: Caller) -> dict[Group, str]:
    of_key, of_project = caller.sees
    idle = {"key", "project"} if of_key else {"project"} if of_project else set[str]()
    return {group: title for group, title in GROUPS.items() if group not in idle}


def _one(query: Mapping[str, str], field: str, known: tuple[Known, ...]) -> Known | None:
    given = query[field]
    found = next((each for each in known if each == given), None)
    if given and found is None:
        raise InvalidRequest(f"{field}: {given[:20]!r} is none of {', '.join(known)}")
    return found

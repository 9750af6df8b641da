"""What the endpoints work with: the joined parts of the gateway, as the app holds them."""

import time
from dataclasses import dataclass, field
from random import Random
from typing import Any

from litestar import Request
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.access.callers import Callers
from gateway.dispatch.supervisor import Supervisor
from gateway.endpoints.gauges import Scrape
from gateway.errors import Draining
from gateway.kept.clips import Clips
from gateway.metering.writer import Writer
from gateway.routing.plan import Moment
from gateway.routing.planning import Routes
from gateway.routing.policies import Policy
from gateway.routing.standings import Standings
from gateway.settings import Deadlines
from gateway.tracing import Tracing
from providers import Client

__all__ = ["Gateway", "Routes", "gateway_of"]


@dataclass(slots=True)
class Gateway:
    """The running gateway. `routes` and `draining` are all that ever changes."""

    routes: Routes
    callers: Callers
    supervisor: Supervisor
    standings: Standings
    tracing: Tracing
    writer: Writer
    reading: AsyncEngine
    pepper: bytes
    kept: Clips
    deadlines: Deadlines
    default_policy: Policy
    public_catalogue: bool
    public_metrics: bool
    scrape: Scrape
    explore_share: float
    client: Client
    """The way out to providers, for what is asked of them beside speech."""
    engines: tuple[str, ...]
    """The catalogue's rows that our own engines answer for: the embedded voice's, then CSM's."""
    trace_url: str = ""
    """A trace's page elsewhere, with {trace_id} in it."""
    random: Random = field(default_factory=Random)
    draining: bool = False

    def refuse_while_draining(self) -> None:
        if self.draining:
            raise Draining("the gateway is about to stop", retry_after=5)

    def moment(self) -> Moment:
        """What a plan that is made now depends on."""
        return Moment(self.standings, time.monotonic(), self.random, self.explore_share)


def gateway_of(request: Request[Any, Any, Any]) -> Gateway:
    gateway = request.app.state["gateway"]
    assert isinstance(gateway, Gateway)  # noqa: S101  # app state is untyped; this is its type
    return gateway

"""create_app: the only place where the parts are joined. uvicorn serves it as well as granian."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from typing import get_args

from litestar import Litestar
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler

import providers
from gateway.access.callers import Callers
from gateway.access.pepper import check_pepper, read_pepper
from gateway.configuration import read_settings
from gateway.dashboard.routes import dashboard, tell_http
from gateway.dispatch.admission import Admission
from gateway.dispatch.job import Tools
from gateway.dispatch.supervisor import Supervisor
from gateway.docs import routes as docs
from gateway.endpoints import (
    budgets,
    catalogue,
    contents,
    generations,
    health,
    keys,
    metrics,
    planning,
    projects,
    speech,
    spending,
    usage,
)
from gateway.endpoints.answers import exception_handlers
from gateway.endpoints.gauges import Gauges, Scrape
from gateway.endpoints.state import Gateway, Routes
from gateway.kept.clips import Clips
from gateway.kept.retention import Retention
from gateway.metering.database import alone_on, database_url, open_reading, open_writing
from gateway.metering.journal import Journal
from gateway.metering.keeping import Keeping
from gateway.metering.pricebook import keep_prices
from gateway.metering.recovery import Recovery
from gateway.metering.writer import Writer
from gateway.metrics.instruments import Metrics
from gateway.metrics.lag import Lag
from gateway.metrics.otlp import REFRESH_SECONDS, Export
from gateway.routing.allowance import Allowance
from gateway.routing.policies import Policy
from gateway.routing.standings import Standings
from gateway.routing.taskfile import read_tasks
from gateway.settings import Settings, SettingsError
from gateway.tracing import Tracing

CODEC_THREADS = 4
HEDGES_PER_SECOND = 0.3
"""How many there may be whatever the traffic: a few in ten seconds."""


def create_app(
    settings: Settings | None = None,
    environ: Mapping[str, str] = os.environ,
    addresses: Mapping[str, Sequence[str]] | None = None,
) -> Litestar:
    """The gateway as an ASGI application; its database must have been migrated.

    settings: read from `environ` when left out, as an ASGI server's factory does.
    addresses: where providers are that were started beside the gateway, by name.
    """
    settings = settings or read_settings(environ)
    routes = read_routes(settings, environ, addresses or {})
    if settings.defaults.policy not in get_args(Policy):
        listed = ", ".join(get_args(Policy))
        raise SettingsError(
            f"[defaults] policy: {settings.defaults.policy!r} is not one of {listed}"
        )

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncGenerator[None]:
        with alone_on(database_url(settings.database.url)):
            async with running(settings, routes, environ) as gateway:
                app.state["gateway"] = gateway
                yield

    api: list[ControllerRouterHandler] = [
        speech.speak,
        planning.plan,
        usage.usage,
        spending.credits_,
        spending.activity,
        generations.generation,
        generations.generations,
        contents.audio,
        contents.content,
        contents.forget,
        keys.own_key,
        keys.list_keys,
        keys.create_key,
        keys.read_key,
        keys.change_key,
        keys.rotate_key,
        keys.delete_key,
        budgets.list_budgets,
        budgets.set_budget,
        budgets.remove_budget,
        projects.list_organisations,
        projects.create_organisation,
        projects.list_projects,
        projects.create_project,
        projects.change_project,
        projects.list_changes,
        catalogue.models,
        catalogue.model,
        catalogue.providers,
        catalogue.audio_models,
        catalogue.voices,
    ]
    return Litestar(
        route_handlers=[
            *api,
            health.live,
            health.ready,
            metrics.metrics,
            dashboard,
            docs.openapi,
            docs.page,
        ],
        lifespan=[lifespan],
        exception_handlers={**exception_handlers, HTTPException: tell_http},
        request_max_body_size=settings.server.max_body_bytes,
        openapi_config=None,
        logging_config=None,
        state=State({}),
        pdb_on_exception=False,
    )


def read_routes(
    settings: Settings, environ: Mapping[str, str], addresses: Mapping[str, Sequence[str]]
) -> Routes:
    """Read and check catalogue, tasks and aliases; nothing half-read ever comes back."""
    wires = frozenset(providers.WIRES)
    engine = settings.engine
    if engine.addresses:
        addresses = {engine.provider: engine.addresses} | dict(addresses)
    catalog = providers.read_catalog(settings.catalog_files, environ, wires, addresses)
    if (engine.model or engine.addresses) and engine.provider not in catalog.providers:
        raise SettingsError(f"[engine] provider: the catalogue has no row {engine.provider!r}")
    tasks = read_tasks(settings.config / "tasks.toml", catalog, settings.aliases)
    for alias, target in settings.aliases.items():
        known = target in settings.aliases or target in catalog.models
        if not known and target.removeprefix("task/") not in tasks:
            raise SettingsError(f"[aliases] {alias} = {target!r}: there is no such model or task")
    return Routes(catalog, tasks, settings.aliases)


@asynccontextmanager
async def running(
    settings: Settings, routes: Routes, environ: Mapping[str, str]
) -> AsyncGenerator[Gateway]:
    """The gateway between start and stop; what runs at the stop is settled first."""
    url = database_url(settings.database.url)
    pepper = read_pepper(settings)
    reading = open_reading(url)
    await check_pepper(reading, pepper)
    writer = Writer(open_writing(url, checkpoints=True))
    client = providers.open_client()
    tracing = Tracing(environ)
    standings = Standings(settings.resilience, settings.load)
    codecs = ThreadPoolExecutor(CODEC_THREADS, "codec")
    journal = Journal(settings.data / "journal", writer.instance)
    kept = Clips(settings.kept_folder, settings.kept)
    tools = Tools(
        client=client,
        speak=providers.speak,
        writer=writer,
        journal=journal,
        standings=standings,
        retries=Allowance(settings.resilience.retry_share),
        hedges=Allowance(settings.resilience.hedge_share, floor_per_second=HEDGES_PER_SECOND),
        admission=Admission(settings.load),
        deadlines=settings.deadlines,
        load=settings.load,
        codecs=codecs,
        kept=kept,
        metrics=Metrics(),
    )
    callers, lag = Callers(reading, pepper), Lag()
    gauges = Gauges(tools, callers, reading, lag)
    tools.metrics.registry.register(gauges)
    export = Export(environ, tools.metrics.registry, _from_a_thread(gauges.refresh))
    supervisor = Supervisor(tools)
    recovery = Recovery(writer, reading, journal, settings.recovery, supervisor.running)
    gateway = Gateway(
        routes=routes,
        callers=callers,
        supervisor=supervisor,
        standings=standings,
        tracing=tracing,
        writer=writer,
        reading=reading,
        pepper=pepper,
        kept=kept,
        deadlines=settings.deadlines,
        default_policy=settings.defaults.policy,  # type: ignore[arg-type]  # create_app checked it
        public_catalogue=settings.server.public_catalogue or _is_loopback(settings.server.host),
        public_metrics=settings.telemetry.public_metrics or _is_loopback(settings.server.host),
        scrape=Scrape(tools.metrics, gauges),
        explore_share=settings.resilience.explore_share,
        client=client,
        engines=(settings.embedded_voice.provider, settings.engine.provider),
        trace_url=settings.telemetry.trace_url,
    )
    retention = Retention(writer, Keeping(reading), kept)
    try:
        await recovery.start()
        await keep_prices(writer, routes.catalog)
        lag.start()
        export.start()
        yield gateway
    finally:
        gateway.draining = True
        await gateway.supervisor.drain(settings.server.drain_seconds)
        await recovery.stop()
        await retention.stop()
        lag.stop()
        await gauges.refresh()
        await client.aclose()
        await writer.close()
        await reading.dispose()
        # Beside each other: a collector that hangs is waited for once.
        await asyncio.gather(asyncio.to_thread(tracing.close), asyncio.to_thread(export.close))
        await kept.close()
        codecs.shutdown(cancel_futures=True)


def _from_a_thread(work: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """Have it done in this event loop, for a thread that waits a few seconds for it at most."""
    loop = asyncio.get_running_loop()

    def do() -> None:
        with suppress(TimeoutError, RuntimeError):  # the loop is busy, or has ended
            asyncio.run_coroutine_threadsafe(work(), loop).result(REFRESH_SECONDS)

    return do


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

"""`gateway serve`: migrate, make the first key, start the engines, listen, reload, drain."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server
from litestar import Litestar
from sqlalchemy import func, select

from gateway import logs
from gateway.access.keys import MANAGE, SPEAK, label, new_id, new_key, plausible
from gateway.access.pepper import keyed_hash
from gateway.app import create_app, read_routes
from gateway.configuration import read_settings
from gateway.endpoints.state import Gateway
from gateway.engine import EngineKeeper, engines
from gateway.greeting import greeting
from gateway.metering.database import DatabaseError
from gateway.metering.operations import CreateKey
from gateway.metering.pricebook import keep_prices
from gateway.migrating import migrate
from gateway.settings import Settings, SettingsError
from gateway.tables import api_key, secret
from providers import CatalogError

log = logging.getLogger(__name__)
Addresses = Mapping[str, Sequence[str]]
"""Where providers are that were started beside the gateway, by name."""


def serve(settings: Settings, environ: Mapping[str, str] = os.environ, *, no_migrate: bool) -> None:
    """Run until SIGTERM or SIGINT."""
    logs.set_up(settings.telemetry)
    _check_free(settings.server.host, settings.server.port)
    migrate(settings, check_only=no_migrate)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, environ))


async def _serve(settings: Settings, environ: Mapping[str, str]) -> None:
    keepers = [EngineKeeper(each) for each in engines(settings)]
    for keeper in keepers:
        keeper.start()
    addresses = {each.engine.provider: (each.address,) for each in keepers}
    try:
        app = create_app(settings, environ, addresses)
        async with app.lifespan():
            gateway: Gateway = app.state["gateway"]
            _leave_alone_while_loading(keepers, gateway)
            key = await first_key(settings, gateway)
            await _listen(settings, environ, addresses, app, gateway, keepers, key)
    except ExceptionGroup as group:  # the lifespan's; what an operator can mend is told alone
        known, _ = group.split((DatabaseError, SettingsError))
        raise known.exceptions[0] if known else group from None
    finally:
        await asyncio.gather(*(keeper.stop() for keeper in keepers))


def _leave_alone_while_loading(keepers: Sequence[EngineKeeper], gateway: Gateway) -> None:
    """Nobody waits for an engine that takes minutes to load: the next offer is asked."""
    for keeper in keepers:
        if keeper.engine.is_slow:
            keeper.telling(partial(gateway.standings.leave_alone, keeper.engine.provider))


async def _listen(  # noqa: PLR0913, PLR0917  # everything that a running server holds together
    settings: Settings,
    environ: Mapping[str, str],
    addresses: Addresses,
    app: Litestar,
    gateway: Gateway,
    keepers: Sequence[EngineKeeper],
    key: str | None,
) -> None:
    # What is loaded by now stays for good: the collector need not walk through it at every turn.
    gc.collect()
    gc.freeze()
    server = Server(
        app,
        address=settings.server.host,
        port=settings.server.port,
        interface=Interfaces.ASGINL,
        websockets=False,
        log_enabled=False,
        backlog=1024,
    )
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, _reloader(environ, addresses, gateway))
    serving = asyncio.create_task(server.serve())
    welcoming = asyncio.create_task(_welcome(settings, gateway, keepers, key))
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        welcoming.cancel()
        serving.result()
        raise SettingsError(f"port {settings.server.port} cannot be served")
    log.info("draining")
    gateway.draining = True
    await gateway.supervisor.drain(settings.server.drain_seconds)
    server.stop()  # type: ignore[no-untyped-call]  # granian has no annotation here
    await serving
    welcoming.cancel()
    stop.cancel()


def _reloader(
    environ: Mapping[str, str], addresses: Addresses, gateway: Gateway
) -> Callable[[], None]:
    """What SIGHUP does; the loop itself keeps only weak references to its tasks."""
    keeping: set[asyncio.Task[None]] = set()

    def reload_now() -> None:
        reload(environ, addresses, gateway)
        task = asyncio.create_task(keep_prices(gateway.writer, gateway.routes.catalog))
        keeping.add(task)
        task.add_done_callback(keeping.discard)

    return reload_now


def reload(
    environ: Mapping[str, str],
    addresses: Addresses,
    gateway: Gateway,
) -> None:
    """Read catalogue, tasks and aliases anew; what cannot be read changes nothing and says why."""
    try:
        gateway.routes = read_routes(read_settings(environ), environ, addresses)
    except (CatalogError, SettingsError, OSError, UnicodeDecodeError) as error:
        log.error("reload refused, the old configuration stays: %s", error)  # noqa: TRY400
    else:
        log.warning("configuration reloaded")


async def first_key(settings: Settings, gateway: Gateway) -> str | None:
    """Where no key may manage: make one that may, write it to data/admin.key, give it once."""
    managing = select(func.count()).where(
        api_key.c.scopes.contains(MANAGE), api_key.c.deleted_ms.is_(None)
    )
    async with gateway.reading.connect() as connection:
        made = (await connection.execute(managing)).scalar_one()
        given = settings.admin_key
        hashed = keyed_hash(gateway.pepper, given or "")
        wanted = select(secret.c.hash).where(secret.c.hash == hashed)
        known = (await connection.execute(wanted)).one_or_none()
    if made and (given is None or known is not None):
        return None
    if known is not None:
        raise SettingsError("GATEWAY_ADMIN_KEY: this key manages no more; set another one")
    if given is not None and not plausible(given):
        raise SettingsError("GATEWAY_ADMIN_KEY begins like a key of ours and is not one")
    key = given or new_key()
    now = int(time.time() * 1000)
    scopes = f"{SPEAK} {MANAGE}"
    hashed = keyed_hash(gateway.pepper, key)
    admin = CreateKey(
        new_id(),
        hashed,
        "admin",
        label(key),
        scopes,
        now,
        actor="first start",
        unless="known" if given else "managed",
    )
    if not await gateway.writer.submit(admin) or given is not None:
        return None
    _write_secret(settings.data / "admin.key", key)
    return key


async def _welcome(
    settings: Settings, gateway: Gateway, keepers: Sequence[EngineKeeper], key: str | None
) -> None:
    """Say where the gateway is, who can speak, and what to try."""
    loading = {each.engine.provider for each in keepers if each.engine.is_slow and each.is_loading}
    for keeper in keepers:
        if not keeper.engine.is_slow and not await keeper.ready():
            name = keeper.engine.name
            print(f"{name} does not start; see the messages above", file=sys.stderr)
    print(greeting(settings, gateway.routes.catalog, loading, key), flush=True)


def _check_free(host: str, port: int) -> None:
    """Refuse a port in use: granian would share it with another gateway, and neither would tell."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise SettingsError(f"cannot listen on {host}:{port}: {error.strerror}") from error


def _write_secret(file: Path, secret: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        file.unlink()
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(secret + "\n")

"""What `gateway serve` says once it serves: where it is, who can speak, and what to do next."""

from collections.abc import Collection, Mapping, Sequence

from gateway.settings import Settings
from providers import Catalog, Provider

_TURN_ON = (
    "  the others are off; set what each lacks (an address: GATEWAY_PROVIDER_<NAME>_ADDRESS) and "
    "start anew:"
)


def greeting(
    settings: Settings, catalog: Catalog, loading: Collection[str], key: str | None
) -> str:
    """All of it.

    loading: the providers that are on and cannot answer yet.
    key: the management key that this start made.
    """
    address = _address(settings)
    lines = [f"voxroute is ready at {address}", *_speakers(catalog, loading)]
    if key is not None:
        file = settings.data / "admin.key"
        lines.append(f"management key, shown this once and kept in {file}: {key}")
    return "\n".join([*lines, *_next_steps(settings, address)])


def _address(settings: Settings) -> str:
    """One that can be opened here: a gateway that listens everywhere also listens on loopback."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.server.host, settings.server.host)  # noqa: S104  # compared, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.server.port}"


def _speakers(catalog: Catalog, loading: Collection[str]) -> list[str]:
    rows = catalog.providers
    on = [name for name, row in rows.items() if not row.off]
    lines = [f"  {name:<22} {'on, and loading' if name in loading else 'on'}" for name in on]
    if len(on) == len(rows):
        return lines
    missing = _by_reason(rows)
    width = max(len(", ".join(names)) for names in missing.values())
    off = [f"    {', '.join(names):<{width}}  {why}" for why, names in missing.items()]
    return [*lines, _TURN_ON, *off]


def _by_reason(rows: Mapping[str, Provider]) -> dict[str, Sequence[str]]:
    """Who is off for the same reason stands together."""
    found: dict[str, list[str]] = {}
    for name, row in rows.items():
        if row.off:
            found.setdefault(row.off, []).append(name)
    return dict(found)


def _next_steps(settings: Settings, address: str) -> list[str]:
    file = settings.data / "admin.key"
    key = "$GATEWAY_ADMIN_KEY" if settings.admin_key else f"$(cat {file})"
    return [
        "try:",
        '  gateway say "Hello from Voxroute." -o hello.mp3',
        f"  curl {address}/v1/audio/speech -H 'Content-Type: application/json' \\",
        f'    -H "Authorization: Bearer {key}" \\',
        """    -d '{"model": "auto", "input": "Hello from Voxroute."}' -o hello.mp3""",
        "then:",
        f"  dashboard  {address}/dashboard (sign in with a key)",
        f"  API        {address}/docs",
        "  new key    gateway keys create NAME",
    ]

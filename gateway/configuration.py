"""Configuration: config/gateway.toml under GATEWAY_... variables, read and checked at start."""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import msgspec

from gateway.settings import (
    Database,
    Deadlines,
    Defaults,
    EmbeddedVoice,
    Engine,
    Kept,
    Load,
    RecoveryRules,
    Resilience,
    Server,
    Settings,
    SettingsError,
    Telemetry,
)

Shape = TypeVar("Shape")
# Spellings of design.md section 8 that do not follow GATEWAY_<SECTION>_<FIELD>.
_SHORT = {"GATEWAY_HOST": "GATEWAY_SERVER_HOST", "GATEWAY_PORT": "GATEWAY_SERVER_PORT"}
SHORTEST_SECRET = 32
LONGEST_SECRET = 512
_WEAK = {"changeme", "password", "secret", "admin", "default", "example", "sk-1234"}
_SECTIONS = {
    "server": Server,
    "database": Database,
    "embedded_voice": EmbeddedVoice,
    "engine": Engine,
    "deadlines": Deadlines,
    "recovery": RecoveryRules,
    "resilience": Resilience,
    "load": Load,
    "defaults": Defaults,
    "kept": Kept,
    "telemetry": Telemetry,
}


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read gateway.toml of GATEWAY_CONFIG (or the shipped one) and lay the variables over it."""
    # An empty variable is an unset one; a short spelling, which the command line uses, wins.
    environ = {name: value for name, value in environ.items() if value}
    environ |= {long: environ[short] for short, long in _SHORT.items() if short in environ}
    config = shipped("config", environ.get("GATEWAY_CONFIG"))
    if not config.is_dir():
        raise SettingsError(f"GATEWAY_CONFIG: there is no folder {config}")
    file = config / "gateway.toml"
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: {error}") from None
    if unknown := sorted(tables.keys() - _SECTIONS.keys() - {"aliases"}):
        known = ", ".join([*_SECTIONS, "aliases"])
        raise SettingsError(f"{file}: [{unknown[0]}] is unknown; known: {known}")
    extra = [Path(name) for name in environ.get("GATEWAY_CATALOG", "").split(":") if name]
    return Settings(
        config=config,
        data=Path(environ.get("GATEWAY_DATA", "data")),
        server=_section(file, tables, "server", Server, environ),
        database=_section(file, tables, "database", Database, environ),
        embedded_voice=_section(file, tables, "embedded_voice", EmbeddedVoice, environ),
        engine=_engine(file, tables, environ),
        deadlines=_section(file, tables, "deadlines", Deadlines, environ),
        recovery=_section(file, tables, "recovery", RecoveryRules, environ),
        resilience=_section(file, tables, "resilience", Resilience, environ),
        load=_section(file, tables, "load", Load, environ),
        defaults=_section(file, tables, "defaults", Defaults, environ),
        kept=_section(file, tables, "kept", Kept, environ),
        telemetry=_telemetry(file, tables, environ),
        aliases=MappingProxyType(_aliases(file, tables)),
        catalog_files=(config / "providers.toml", *extra),
        admin_key=_secret("GATEWAY_ADMIN_KEY", environ),
        key_pepper=_secret("GATEWAY_KEY_PEPPER", environ),
    )


def shipped(name: str, chosen: str | None = None) -> Path:
    """A folder of the checkout (`config`, `migrations`), or its copy inside the installed wheel."""
    if chosen:
        return Path(chosen)
    if Path(name).is_dir():
        return Path(name)
    checkout = Path(__file__).parent.parent / name
    return checkout if checkout.is_dir() else Path(__file__).parent / "shipped" / name


def _section(
    file: Path,
    tables: Mapping[str, object],
    name: str,
    shape: type[Shape],
    environ: Mapping[str, str],
) -> Shape:
    table = tables.get(name, {})
    if not isinstance(table, dict):
        raise SettingsError(f"{file}: {name} must be a table")
    known = [each.name for each in fields(shape)]  # type: ignore[arg-type]  # shapes are dataclasses
    if unknown := sorted(table.keys() - set(known)):
        wrong = f"[{name}] {unknown[0]} is unknown; known: {', '.join(known)}"
        raise SettingsError(f"{file}: {wrong}")
    variables = {each: f"GATEWAY_{name}_{each}".upper() for each in known}
    table = table | {each: environ[v] for each, v in variables.items() if v in environ}
    try:
        return msgspec.convert(table, shape, strict=False)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        field = path.rstrip("`")
        variable = variables.get(field, "")
        place = variable if variable in environ else f"{file}: [{name}] {field}"
        raise SettingsError(f"{place}: {message}") from None


def _engine(file: Path, tables: Mapping[str, object], environ: Mapping[str, str]) -> Engine:
    engine = _section(file, tables, "engine", Engine, environ)
    given = {each: f"GATEWAY_ENGINE_{each}".upper() for each in ("model", "address")}
    model, address = (
        variable if variable in environ else f"{file}: [engine] {each}"
        for each, variable in given.items()
    )
    if engine.model and engine.addresses:
        both = "the engine is either started here or run elsewhere; leave one of them empty"
        raise SettingsError(f"{model} and {address} are both set: {both}")
    for each in engine.addresses:
        if not re.fullmatch(r"https?://[^/\s@]+(/[^\s@?#]*)?", each):
            # What is wrong with an address may be a password inside it, so it is not shown.
            wrong = "must be base addresses such as http://10.0.0.5:8801/v1, with commas between"
            raise SettingsError(f"{address}: {wrong}")
    if len(set(engine.addresses)) < len(engine.addresses):
        raise SettingsError(f"{address}: an address stands twice")
    return engine


def _telemetry(file: Path, tables: Mapping[str, object], environ: Mapping[str, str]) -> Telemetry:
    telemetry = _section(file, tables, "telemetry", Telemetry, environ)
    url = telemetry.trace_url
    if url and not (re.match(r"https?://", url) and "{trace_id}" in url):
        wrong = "must be an address such as https://traces.example/{trace_id}"
        raise SettingsError(f"{file}: [telemetry] trace_url {wrong}")
    return telemetry


def _aliases(file: Path, tables: Mapping[str, object]) -> dict[str, str]:
    try:
        aliases = msgspec.convert(tables.get("aliases", {}), dict[str, str])
    except msgspec.ValidationError as error:
        raise SettingsError(f"{file}: [aliases] {error}") from None
    for alias in aliases:
        name, passed = alias, set[str]()
        while name in aliases:
            if name in passed:
                raise SettingsError(f"{file}: [aliases] {alias} leads back to {name}")
            passed.add(name)
            name = aliases[name]
    return aliases


def _secret(variable: str, environ: Mapping[str, str]) -> str | None:
    """A secret of the operator's own; a known or short one is refused."""
    secret = environ.get(variable)
    if not secret:
        return None
    letters = secret.lower()
    plain = secret.isascii() and secret.isprintable() and " " not in secret
    if len(secret) > LONGEST_SECRET or not plain:
        raise SettingsError(
            f"{variable} must be at most {LONGEST_SECRET} plain characters without spaces"
        )
    if (
        len(secret) < SHORTEST_SECRET
        or len(set(secret)) < SHORTEST_SECRET // 4
        or secret in (secret + secret)[1:-1]  # the same few letters over and over
        or any(letters.startswith(word) for word in _WEAK)
    ):
        raise SettingsError(
            f"{variable} must be {SHORTEST_SECRET} characters or more and not guessable"
        )
    return secret

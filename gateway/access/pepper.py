"""The pepper: what turns a key into its stored hash, kept outside the database.

With a copy of the database alone nobody can test a guessed key. Every replica needs the same one:
GATEWAY_KEY_PEPPER, or the file data/pepper, which the first start makes.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from sqlalchemy import Connection, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.settings import Settings, SettingsError
from gateway.tables import mark

FILE = "pepper"


def read_pepper(settings: Settings) -> bytes:
    """The operator's own, or the one of the data folder; made where there is none."""
    if settings.key_pepper is not None:
        return settings.key_pepper.encode()
    file = settings.data / FILE
    settings.data.mkdir(parents=True, exist_ok=True)
    _make(file)
    return file.read_bytes()


def keyed_hash(pepper: bytes, key: str) -> str:
    """How a key is stored and found: HMAC-SHA-256(pepper, SHA-256(key)), hex."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    return hmac.digest(pepper, digest.encode(), "sha256").hex()


def keyed_digest(pepper: bytes, content: bytes) -> str:
    """What a text is told again by without being kept: HMAC-SHA-256, hex."""
    return hmac.digest(pepper, content, "sha256").hex()


def fingerprint(pepper: bytes) -> str:
    """By which replicas tell whether they have the same pepper."""
    return hmac.digest(pepper, b"voxroute pepper", "sha256").hex()[:32]


OTHER_PEPPER = (
    "the database's keys were made under another pepper: set GATEWAY_KEY_PEPPER as on the other"
    " gateways, or bring its data/pepper"
)
_marked = select(mark.c.value).where(mark.c.name == FILE)


def settle_pepper(connection: Connection, pepper: bytes) -> None:
    """A fresh database is marked with its pepper; another one's is refused."""
    marked = connection.execute(_marked).scalar_one_or_none()
    if marked is None:
        row = {"name": FILE, "value": fingerprint(pepper)}
        connection.execute(insert(mark).values(row))
    elif marked != fingerprint(pepper):
        raise SettingsError(OTHER_PEPPER)


async def check_pepper(engine: AsyncEngine, pepper: bytes) -> None:
    """The same for a gateway whose database somebody else has migrated; nothing is written."""
    async with engine.connect() as connection:
        marked = (await connection.execute(_marked)).scalar_one_or_none()
    if marked not in {None, fingerprint(pepper)}:
        await engine.dispose()
        raise SettingsError(OTHER_PEPPER)


def _make(file: Path) -> None:
    """Write a new pepper whole, or leave the one that is there, whoever is first."""
    if file.exists():
        return
    draft = file.with_name(f"{FILE}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(secrets.token_hex(32))
        handle.flush()
        os.fsync(handle.fileno())
    try:
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()

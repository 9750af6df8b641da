"""Who is calling: a bearer key becomes a Caller, remembered for a second at most.

The hold's transaction looks at the key again, so what is remembered here can never spend.
"""

import asyncio
import time
from dataclasses import dataclass
from math import inf

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.access.allowed import read_allowed
from gateway.access.keys import Caller, plausible
from gateway.access.pepper import keyed_hash
from gateway.errors import Forbidden, MeteringUnavailable, Unauthenticated
from gateway.tables import api_key, project, secret

REMEMBERED_SECONDS = 1.0
PATIENCE_SECONDS = 3.0
"""How long the database may take; longer than its own time limit for connecting."""
MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class _Remembered:
    caller: Caller
    until: float


class Callers:
    """Accepts keys."""

    def __init__(self, engine: AsyncEngine, pepper: bytes) -> None:
        self._engine = engine
        self._pepper = pepper
        self._remembered: dict[str, _Remembered] = {}

    async def accept(self, authorization: str | None, scope: str | None = None) -> Caller:
        """The caller behind an `Authorization` header, who must have `scope` where one is named."""
        caller = await self.known(self.stored(_bearer(authorization)))
        if scope is not None and scope not in caller.scopes:
            raise Forbidden(f"this API key may not {scope}")
        return caller

    @property
    def remembered(self) -> int:
        """How many callers are in memory."""
        return len(self._remembered)

    def stored(self, key: str) -> str:
        """How a key's secret is stored, by which it can be `known` again without being kept."""
        return keyed_hash(self._pepper, key)

    async def known(self, stored: str) -> Caller:
        """The caller behind a stored secret, as long as that may be used."""
        remembered = self._remembered.get(stored)
        now = time.monotonic()
        if remembered is None or remembered.until <= now:
            # From before the look-up on: what it read may have changed while it took its time.
            caller, usable = await self._look_up(stored)
            remembered = _Remembered(caller, now + min(REMEMBERED_SECONDS, usable))
            if len(self._remembered) >= MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[stored] = remembered
        return remembered.caller

    async def _look_up(self, stored: str) -> tuple[Caller, float]:
        """The secret's caller, and for how many seconds at most it may be used."""
        wanted = (
            select(
                api_key.c.hash,
                api_key.c.name,
                api_key.c.scopes,
                api_key.c.disabled,
                api_key.c.expires_ms,
                api_key.c.project,
                api_key.c.allowed,
                api_key.c.default_task,
                project.c.keep_text_hours,
                project.c.keep_audio_hours,
                secret.c.expires_ms.label("secret_expires_ms"),
            )
            .join(secret, secret.c.key_hash == api_key.c.hash)
            .join(project, project.c.id == api_key.c.project)
            .where(secret.c.hash == stored)
            .where(api_key.c.deleted_ms.is_(None))
        )
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), self._engine.connect() as connection:
                row = (await connection.execute(wanted)).one_or_none()
        except (SQLAlchemyError, OSError):  # TimeoutError is an OSError
            wrong = "the database of keys does not answer"
            raise MeteringUnavailable(wrong, retry_after=2) from None
        if row is None:
            raise Unauthenticated("this API key is not known")
        if row.disabled:
            raise Unauthenticated("this API key is disabled")
        ends = [each for each in (row.expires_ms, row.secret_expires_ms) if each is not None]
        usable = min(ends, default=inf) / 1000 - time.time()
        if usable <= 0:
            raise Unauthenticated("this API key has expired")
        allowed = read_allowed(row.allowed)
        caller = Caller(
            row.hash,
            row.name,
            frozenset(row.scopes.split()),
            row.project,
            allowed,
            row.default_task,
            row.keep_text_hours,
            row.keep_audio_hours,
        )
        return caller, usable


def _bearer(authorization: str | None) -> str:
    if not authorization:
        raise Unauthenticated("no API key: send it as `Authorization: Bearer <key>`")
    scheme, _, key = authorization.partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key:
        raise Unauthenticated("the Authorization header must be `Bearer <key>`")
    if not plausible(key):
        raise Unauthenticated("this is not a well-formed API key")
    return key

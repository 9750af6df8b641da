"""The dashboard's addresses, as somebody with much behind them asks for them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, text

RANGES = ("24h", "7d", "30d", "90d", "month")
GROUPS = ("key", "project", "model", "provider", "app", "task")


@dataclass(frozen=True, slots=True)
class Known:
    """What the addresses name."""

    key: str
    """The public id of the busiest key."""
    key_name: str
    newest: str
    """The id of a request, and of one that a tenth of all are older than."""
    old: str
    request_id: str
    actor: str

    @classmethod
    def of(cls, connection: Connection, key: str) -> "Known":
        def one(sql: str, **values: object) -> str:
            return str(connection.execute(text(sql), values).scalar_one())

        ids = "SELECT id FROM generation WHERE key_hash = :key AND status = 'settled' ORDER BY id"
        many = int(one("SELECT count(*) FROM generation WHERE key_hash = :key", key=key))
        newest = one(f"{ids} DESC LIMIT 1", key=key)
        return cls(
            key,
            one("SELECT name FROM api_key WHERE hash = :key", key=key),
            newest,
            one(f"{ids} LIMIT 1 OFFSET :tenth", key=key, tenth=many // 10),
            one("SELECT request_id FROM generation WHERE id = :id", id=newest),
            one("SELECT hash FROM api_key WHERE name = 'manage'"),
        )


def pages(known: Known, *, manages: bool) -> list[str]:
    """Every page in every way that reads something else of the database."""
    found = [*_usage(), *_log(known), *_catalogue(), f"/dashboard/requests/{known.newest}"]
    return ["/dashboard/sign-in", *found, *(_administration(known) if manages else [])]


def _usage() -> Iterator[str]:
    for span in RANGES:
        yield from (f"/dashboard?range={span}&by={group}" for group in GROUPS)
    yield "/dashboard?range=7d&bucket=hour&by=key&measure=cost"
    today = datetime.now(UTC)
    first, last = ((today - timedelta(days=days)).strftime("%Y-%m-%d") for days in (15, 0))
    yield f"/dashboard?from={first}&to={last}&bucket=hour&by=model&measure=requests"
    yield "/dashboard?range=90d&bucket=month&by=key&sort=name"
    yield "/dashboard?range=90d&by=app&measure=audio&sort=errors"


def _log(known: Known) -> Iterator[str]:
    log, old = "/dashboard/requests", f"after={known.old}"
    yield log
    asked = ["held", "settled", "voided", "unknown"]
    yield from (f"{log}?status={status}" for status in asked)
    yield from (f"{log}?{each}&{old}" for each in ("failed=1", "fallbacks=1", "error=timeout"))
    yield from (f"{log}?{each}" for each in ("failed=1", "fallbacks=1", "error=timeout"))
    yield from (f"{log}?{each}" for each in ("model=openai/tts-1", "provider=local", "app=Radio"))
    yield f"{log}?{old}"
    yield f"{log}?app=nobody's"
    yield f"{log}?model=openai/tts-1&provider=local&status=voided"
    yield f"{log}?q={known.request_id}"
    yield f"{log}?q=user-300"
    yield f"{log}?q={known.newest}"
    yield f"{log}?key={known.key[:12]}"
    yield f"{log}?key={known.key_name}&failed=1"
    yield f"{log}?from=2020-01-01T00:00&status=voided&provider=openai"


def _catalogue() -> Iterator[str]:
    yield "/dashboard/models"
    yield "/dashboard/models?sort=most-used"
    yield "/dashboard/models/openai/tts-1"
    yield "/dashboard/models/sesame/csm-1b"
    yield from (f"/dashboard/{name}" for name in ("providers", "try", "keys"))


def _administration(known: Known) -> Iterator[str]:
    key = known.key
    yield from (f"/dashboard/keys{asked}" for asked in ("?page=20", "?q=key+05", "/new", f"/{key}"))
    yield "/dashboard/keys?project=project-03&disabled=hide"
    yield from ("/dashboard/projects", "/dashboard/projects/default")
    yield from (f"/dashboard/budgets{asked}" for asked in ("", "?kind=key&page=20"))
    yield f"/dashboard/budgets?scope=key:{key}"
    yield f"/dashboard/budgets/set?scope=key:{key}&period=total"
    yield from (f"/dashboard/audit{asked}" for asked in ("", "?before=5000", f"?subject=key:{key}"))
    yield f"/dashboard/audit?actor={known.actor}"
    yield "/dashboard/audit?actor=first+start"
    yield "/dashboard/engine"

"""Every statement of the ledger, in one database's SQL."""

from sqlalchemy import Dialect, bindparam, literal_column, select, text
from sqlalchemy.sql import ClauseElement

from gateway.metering.operations import AttemptResult, Opening
from gateway.metering.sql import Compiler
from gateway.tables import (
    api_key,
    attempt,
    audit,
    balance,
    budget,
    claim,
    entry,
    generation,
    instance,
    organisation,
    price,
    project,
    request_text,
    rollup,
    secret,
)

OPENING = Opening.__slots__
HELD = (*OPENING, "project", "at_ms", "instance", "hold_nano", "hold_characters")
CLOSING = (
    "status",
    "http_status",
    "duration_ms",
    "error_type",
    "model",
    "provider",
    "voice",
    "upstream_id",
    "cost_nano",
    "charged_characters",
    "audio_ms",
    "first_audio_ms",
    "cancelled",
    "timings",
)
CLOSED = (*CLOSING, "liability_nano", "fallbacks", "flags")
RECLASSIFIED = ("status", "error_type", "provider", "cost_nano", "liability_nano", "flags")
INTENT = (
    "generation_id",
    "seq",
    "provider",
    "model",
    "voice",
    "started_ms",
    "bound_nano",
    "price",
    "kind",
    "credential",
    "from_character",
)
ENDED = AttemptResult.__slots__[1:]  # all but seq; outcome and liability come first
COUNTERS = (
    "limit_nano",
    "limit_characters",
    "posted_nano",
    "held_nano",
    "over_nano",
    "posted_characters",
    "held_characters",
    "over_characters",
    "requests",
    "streams",
)
USE = (
    "requests",
    "characters",
    "cost_nano",
    "liability_nano",
    "audio_ms",
    "errors",
    "fallbacks",
    "cache_hits",
)
TERMS = (
    "name",
    "project",
    "scopes",
    "disabled",
    "expires_ms",
    "allowed",
    "default_task",
    "limit_period",
)
"""What may change on a key."""
PROJECT = ("name", "keep_text_hours", "keep_audio_hours")
"""What may change on a project."""
BALANCE = ("id", "scope", "period", "start_ms", *COUNTERS)
TEXTS_AT_ONCE = 500
"""Kept texts deleted in one transaction: nobody's hold waits long behind it."""
_NOTHING = dict.fromkeys(("charged_characters", "cost_nano", "liability_nano"), "0")
_NOT_YET = _NOTHING | {"audio_ms": "0", "fallbacks": "0"}


class Statements:
    """What the ledger says to its database."""

    def __init__(self, dialect: Dialect, clock: str | None = None) -> None:
        sql = self.sql = Compiler(dialect)
        false = "0" if sql.sqlite else "false"
        # Reading, in the order in which a batch locks: budgets, claims, generations, balances.
        self.lock_budgets = "" if sql.sqlite else "LOCK TABLE budget IN ACCESS EXCLUSIVE MODE"
        self.now = sql.read(text(clock) if clock else _now(sqlite=sql.sqlite))
        self.claims = sql.read(
            select(claim.c.id, claim.c.generation_id, claim.c.fingerprint, claim.c.created_ms)
            .where(sql.among(claim.c.id, "ids"))
            .order_by(claim.c.id)
            .with_for_update(),
            "ids",
        )
        self.statuses = sql.read(
            select(generation.c.id, generation.c.status).where(sql.among(generation.c.id, "ids")),
            "ids",
        )
        self.generations = sql.read(
            select(*(generation.c[name] for name in GENERATION), project.c.organisation)
            .join(project, project.c.id == generation.c.project)
            .where(sql.among(generation.c.id, "ids"))
            .order_by(generation.c.id)
            .with_for_update(of=generation),
            "ids",
        )
        self.attempts = sql.read(
            select(*(attempt.c[name] for name in ATTEMPT))
            .where(sql.among(attempt.c.generation_id, "ids"))
            .order_by(attempt.c.generation_id, attempt.c.seq),
            "ids",
        )
        self.keys = sql.read(
            select(*(api_key.c[name] for name in KEY), project.c.organisation)
            .join(project, project.c.id == api_key.c.project)
            .where(sql.among(api_key.c.hash, "hashes")),
            "hashes",
        )
        self.budgets = sql.read(
            select(*budget.c)
            .where(sql.among(budget.c.scope, "scopes"))
            .order_by(budget.c.scope, budget.c.period),
            "scopes",
        )
        self.balances = sql.read(
            select(*(balance.c[name] for name in BALANCE))
            .where(sql.among(balance.c.id, "ids"))
            .order_by(balance.c.id)
            .with_for_update(),
            "ids",
        )
        # Writing.
        self.hold = sql.insert(
            generation,
            HELD,
            {"status": "'held'", "cancelled": false, "cache_hit": false, **_NOT_YET},
        )
        self.record = sql.insert(
            generation,
            (*OPENING, "project", "at_ms", *CLOSED),
            {"hold_nano": "0", "hold_characters": "0", "cache_hit": false},
        )
        self.intend = sql.insert(attempt, INTENT, {"outcome": "'intent'", "liability_nano": "0"})
        self.enter = sql.insert(entry, [each.name for each in entry.c], {})
        self.extend = sql.update(generation, ("id",), ("hold_nano",))
        self.close = sql.update(generation, ("id",), CLOSED)
        self.reclassify = sql.update(generation, ("id",), RECLASSIFIED)
        self.end_attempt = sql.update(attempt, ("generation_id", "seq"), ENDED)
        self.claim = sql.insert(claim, ("id", "generation_id", "fingerprint", "created_ms"), {})
        self.claim_again = sql.update(
            claim, ("id",), ("generation_id", "fingerprint", "created_ms")
        )
        self.open_balance = sql.insert_missing(balance, BALANCE)
        self.update_balance = sql.update(balance, ("id",), COUNTERS)
        self.add_use = sql.add_up(rollup, [each.name for each in rollup.c], USE)
        self.drop_use = sql.delete(rollup, (*rollup.primary_key.columns.keys(), "requests"))
        # Administration.
        self.insert_key = sql.insert(
            api_key,
            ("hash", "label", "created_ms", *TERMS),
            {},
        )
        self.change_key = sql.update(
            api_key,
            ("hash",),
            ("updated_ms", *TERMS),
        )
        self.rotate_key = sql.update(api_key, ("hash",), ("updated_ms", "label"))
        self.delete_key = sql.update(api_key, ("hash",), ("updated_ms", "deleted_ms"))
        self.stored_key = sql.read(
            select(*(api_key.c[name] for name in ("hash", "updated_ms", "label", *TERMS)))
            .where(api_key.c.hash == bindparam("hash"), api_key.c.deleted_ms.is_(None))
            .with_for_update(key_share=True),
            "hash",
        )
        self.known = sql.read(
            select(secret.c.hash).where(secret.c.hash == bindparam("hash")), "hash"
        )
        self.managing = sql.read(
            select(api_key.c.hash).where(
                api_key.c.scopes.contains(literal_column("'manage'")),
                api_key.c.deleted_ms.is_(None),
            )
        )
        self.secrets = sql.read(
            select(secret.c.hash, secret.c.expires_ms).where(
                secret.c.key_hash == bindparam("key_hash")
            ),
            "key_hash",
        )
        self.expire_secret = sql.update(secret, ("hash",), ("expires_ms",))
        self.named = {
            table.name: sql.read(select(table.c.name).where(table.c.id == bindparam("id")), "id")
            for table in (organisation, project)
        }
        self.insert_organisation = sql.insert(organisation, ("id", "name", "created_ms"), {})
        self.insert_project = sql.insert(
            project, ("id", "organisation", "created_ms", *PROJECT), {}
        )
        self.stored_project = sql.read(
            select(*(project.c[name] for name in PROJECT))
            .where(project.c.id == bindparam("id"))
            .with_for_update(key_share=True),
            "id",
        )
        self.change_project = sql.update(project, ("id",), PROJECT)
        self.insert_secret = sql.insert(
            secret, ("hash", "key_hash", "created_ms", "expires_ms"), {}
        )
        self.set_budget = sql.replace(budget, [each.name for each in budget.c])
        self.audit = sql.insert(
            audit, ("at_ms", "actor", "action", "subject", "before", "after"), {}
        )
        self._keep_and_forget(sql)
        # Prices.
        self.see_price = sql.insert_missing(price, [each.name for each in price.c])
        # Instances.
        self.beat = sql.add_up(instance, ("id", "started_ms", "beat"), ("beat",))
        self.leave = sql.delete(instance, ("id",))
        # What a scope has used in a period that is counted for the first time.
        window = ("start", "end")
        self.used = {
            "key": sql.read(text(_USED + " AND g.key_hash = :name"), *window, "name"),
            "project": sql.read(text(_USED + " AND g.project = :name"), *window, "name"),
            "organisation": sql.read(text(_USED + _OF_ORGANISATION), *window, "name"),
            "global": sql.read(text(_USED), *window),
        }
        self.owed = {
            "provider": sql.read(text(_OWED + " AND a.provider = :name"), *window, "name"),
            "global": sql.read(text(_OWED), *window),
        }

    def _keep_and_forget(self, sql: Compiler) -> None:
        """What is kept of requests beside their records."""
        self.keep_text = sql.insert(request_text, [each.name for each in request_text.c], {})
        self.kept_text = sql.read(
            select(generation.c.status, request_text.c.expires_ms)
            .join_from(generation, request_text, isouter=True)
            .where(generation.c.id == bindparam("id")),
            "id",
        )
        self.forget_text = sql.delete(request_text, ("generation_id",))
        self.shorten_text = sql.update(request_text, ("generation_id",), ("expires_ms",))
        self.texts_over = sql.read(text(_OVER), "now")


GENERATION = (
    "id",
    "key_hash",
    "project",
    "status",
    "at_ms",
    "characters",
    "app",
    "task",
    "hold_nano",
    "hold_characters",
    "cost_nano",
    "charged_characters",
    "liability_nano",
    "model",
    "provider",
    "audio_ms",
    "error_type",
    "fallbacks",
    "cache_hit",
    "flags",
)
ATTEMPT = ("generation_id", "seq", "provider", "outcome", "bound_nano", "liability_nano", "kind")
KEY = ("hash", "project", "disabled", "expires_ms", "deleted_ms")


def _now(*, sqlite: bool) -> ClauseElement:
    """The database's clock, in epoch milliseconds."""
    if sqlite:
        return text("SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)")
    return text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)")


_OVER = f"""
SELECT generation_id FROM request_text WHERE expires_ms <= :now
ORDER BY expires_ms LIMIT {TEXTS_AT_ONCE}"""  # noqa: S608  # our own number
# Charges, characters, requests and streams of the requests within [start, end).
_USED = """
SELECT coalesce(sum(CASE WHEN g.status = 'held' THEN 0 ELSE g.cost_nano END), 0),
  coalesce(sum(CASE WHEN g.status = 'held' THEN g.hold_nano ELSE 0 END), 0),
  coalesce(sum(CASE WHEN g.status <> 'held' AND g.cost_nano > g.hold_nano
    THEN g.cost_nano - g.hold_nano ELSE 0 END), 0),
  coalesce(sum(CASE WHEN g.status = 'held' THEN 0 ELSE g.charged_characters END), 0),
  coalesce(sum(CASE WHEN g.status = 'held' THEN g.hold_characters ELSE 0 END), 0),
  coalesce(sum(CASE WHEN g.flags LIKE '%late%' THEN g.charged_characters ELSE 0 END), 0),
  count(*),
  coalesce(sum(CASE WHEN g.status = 'held' THEN 1 ELSE 0 END), 0)
FROM generation g
WHERE g.instance IS NOT NULL AND g.at_ms >= :start AND g.at_ms < :end"""
_OF_ORGANISATION = " AND g.project IN (SELECT id FROM project WHERE organisation = :name)"
# The same of what the attempts of those requests may owe.
_OWED = """
SELECT coalesce(sum(CASE WHEN g.status = 'held' THEN 0 ELSE a.liability_nano END), 0),
  coalesce(sum(CASE WHEN g.status = 'held' THEN coalesce(a.bound_nano, 0) ELSE 0 END), 0),
  coalesce(sum(CASE WHEN g.status <> 'held' AND a.liability_nano > coalesce(a.bound_nano, 0)
    THEN a.liability_nano - coalesce(a.bound_nano, 0) ELSE 0 END), 0),
  coalesce(sum(CASE WHEN g.status <> 'held' AND
    (a.liability_nano > 0 OR a.outcome IN ('done', 'unknown')) THEN g.characters ELSE 0 END), 0),
  coalesce(sum(CASE WHEN g.status = 'held' THEN g.characters ELSE 0 END), 0),
  0,
  count(*),
  coalesce(sum(CASE WHEN g.status = 'held' THEN 1 ELSE 0 END), 0)
FROM attempt a JOIN generation g ON g.id = a.generation_id
WHERE g.at_ms >= :start AND g.at_ms < :end"""

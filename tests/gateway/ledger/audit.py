"""The invariants of the ledger's tables (reliability.md 3.7), read from all of their rows."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, select

from gateway.metering.rollups import rebuild
from gateway.metering.scopes import Period, period_start
from gateway.tables import (
    api_key,
    attempt,
    balance,
    budget,
    claim,
    entry,
    generation,
    project,
    rollup,
)

TABLES = (api_key, attempt, balance, budget, claim, entry, generation, rollup)
WIDTHS = {"hour": 3_600_000, "day": 86_400_000}
Row = dict[str, Any]
Tables = dict[str, list[Row]]
COUNTED = ("posted_nano", "held_nano", "posted_characters", "held_characters")


def read(connection: Connection) -> Tables:
    return {table.name: _rows(connection, table) for table in TABLES}


def _rows(connection: Connection, table: Any) -> list[Row]:  # noqa: ANN401
    ordered = select(table).order_by(*table.primary_key.columns)
    return [dict(row) for row in connection.execute(ordered).mappings()]


def assert_sound(connection: Connection) -> Tables:
    """Everything that holds at every moment; gives what was read."""
    tables = read(connection)
    organisations = {row["id"]: row["organisation"] for row in _rows(connection, project)}
    assert_entries_are_balances(tables, organisations)
    assert_limits_hold(tables)
    assert_one_ending(tables)
    assert_whole_numbers(tables)
    assert_rollups_are_as_rebuilt(connection, tables)
    return tables


def assert_entries_are_balances(tables: Tables, organisations: dict[str, str]) -> None:
    """I1: what the entries of a scope and period add up to is what its row counts."""
    generations = {row["id"]: row for row in tables["generation"]}
    sums: Counter[tuple[str, str, int, str]] = Counter()
    asked = {(row["generation_id"], row["seq"]): row["provider"] for row in tables["attempt"]}
    periods: dict[str, list[Period]] = {}
    for row in tables["budget"]:
        periods.setdefault(row["scope"], []).append(row["period"])
    for line in tables["entry"]:
        made = generations[line["generation_id"]]
        for scope, counter, amount in _moved(line, made, organisations, asked):
            for period in periods.get(scope, ()):
                sums[scope, period, period_start(period, made["at_ms"]), counter] += amount
    for row in tables["balance"]:
        where = (row["scope"], row["period"], row["start_ms"])
        provider = row["scope"].startswith("provider:")
        for counter in COUNTED[:2] if provider else COUNTED:
            assert row[counter] == sums[*where, counter], (where, counter)


def _moved(
    line: Row, made: Row, organisations: dict[str, str], asked: dict[tuple[str, int], str]
) -> Iterator[tuple[str, str, int]]:
    """Which counters an entry moves: its hold counts for as long as the request is open."""
    place = "posted" if line["kind"] != "hold" else "held"
    if place == "held" and made["status"] != "held":
        return
    payers = [f"key:{made['key_hash']}", f"project:{made['project']}"]
    payers.append(f"organisation:{organisations[made['project']]}")
    if line["ledger"] == "charge":
        for scope in payers:
            yield scope, f"{place}_nano", line["nano"]
        for scope in (*payers, "global"):
            yield scope, f"{place}_characters", line["characters"]
        return
    for scope in (f"provider:{asked[line['generation_id'], line['seq']]}", "global"):
        yield scope, f"{place}_nano", line["nano"]


def assert_limits_hold(tables: Tables) -> None:
    """I2: beyond a limit lies only what was flagged as such."""
    for row in tables["balance"]:
        for what in ("nano", "characters"):
            used = row[f"posted_{what}"] + row[f"held_{what}"] - row[f"over_{what}"]
            limit = row[f"limit_{what}"]
            assert limit is None or used <= limit, row


def assert_one_ending(tables: Tables) -> None:
    """I3: an open request has only holds, an ended one exactly one ending beside adjustments."""
    endings = Counter(
        row["generation_id"]
        for row in tables["entry"]
        if row["ledger"] == "charge" and row["kind"] not in {"hold", "adjust"}
    )
    tried = {row["generation_id"] for row in tables["attempt"]}
    for row in tables["generation"]:
        asked = row["id"] in tried
        assert endings[row["id"]] == int(asked and row["status"] != "held"), row
        assert asked or row["instance"] is None, "a request was held without an intent"
    for status, outcome in (("held", "intent"), ("unknown", "unknown")):
        open_ = {row["id"] for row in tables["generation"] if row["status"] == status}
        of_them = {r["generation_id"] for r in tables["attempt"] if r["outcome"] == outcome}
        assert open_ == of_them, f"{status} requests are found by attempts that are {outcome}"


def assert_whole_numbers(tables: Tables) -> None:
    """I11: amounts are integers."""
    for row in (*tables["balance"], *tables["entry"], *tables["rollup"]):
        for name, value in row.items():
            if name.endswith(("nano", "characters")) and value is not None:
                assert type(value) is int, row


def assert_rollups_are_as_rebuilt(connection: Connection, tables: Tables) -> None:
    """I10; in a transaction that the caller rolls back."""
    for row in tables["rollup"]:
        assert row["start_ms"] % WIDTHS[row["width"]] == 0, row
    rebuild(connection)
    assert tables["rollup"] == _rows(connection, rollup)


def assert_at_rest(tables: Tables) -> None:
    """I7: when nobody is served nothing is held."""
    for row in tables["balance"]:
        assert (row["held_nano"], row["held_characters"], row["streams"]) == (0, 0, 0), row
    assert {row["status"] for row in tables["generation"]} <= {"settled", "voided"}
    assert "intent" not in {row["outcome"] for row in tables["attempt"]}

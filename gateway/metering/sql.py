"""SQL for the bare driver: written with SQLAlchemy and compiled once per database.

Compiling at every call costs more than the statements themselves. Many rows are one call: SQLite
repeats a statement over tuples, PostgreSQL takes them all as one JSON document.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Protocol

import msgspec
from sqlalchemy import (
    ARRAY,
    JSON,
    Column,
    ColumnElement,
    Dialect,
    FromClause,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.base import ReadOnlyColumnCollection

Row = Sequence[Any]
Parameters = Sequence[Any] | Mapping[str, Any]
_encode = msgspec.json.encode


class Cursor(Protocol):
    """What sqlite3's and psycopg's cursors have in common."""

    @property
    def rowcount(self) -> int: ...
    def execute(self, sql: str, parameters: Parameters, /) -> object: ...
    def executemany(self, sql: str, parameters: Sequence[Any], /) -> object: ...
    def fetchall(self) -> Sequence[Row]: ...


class Write:
    """One statement for many rows, each a tuple in the order of `names`."""

    def __init__(
        self, sql: str, names: Sequence[str], positions: Sequence[str] | None, keys: int = 0
    ) -> None:
        """keys: how many of the last values say which row is changed."""
        self.sql = sql
        self.names = names
        self._arranged: Callable[[Row], Any] | None = None
        self._as_json = positions is None
        self._keys = keys
        if positions is not None and list(positions) != list(names):
            self._arranged = itemgetter(*(names.index(each) for each in positions))

    def run(self, cursor: Cursor, rows: Sequence[Row]) -> None:
        if not rows:
            return
        if self._as_json:
            if self._keys:  # of two changes of one row PostgreSQL would make either
                rows = list({tuple(row[-self._keys :]): row for row in rows}.values())
            told = [dict(zip(self.names, row, strict=True)) for row in rows]
            cursor.execute(self.sql, {"rows": _encode(told).decode()})
            return
        if self._arranged is not None:
            rows = [self._arranged(row) for row in rows]
        if len(rows) == 1:
            cursor.execute(self.sql, rows[0])
        else:
            cursor.executemany(self.sql, rows)


class Read:
    """One statement whose parameters are told by position."""

    def __init__(self, sql: str, names: Sequence[str], *, by_name: bool) -> None:
        self.sql = sql
        self.names = names
        self._by_name = by_name

    def send(self, cursor: Cursor, *values: object) -> None:
        """Run it; a parameter of `among` is a set of strings."""
        if self._by_name:
            told = [sorted(each) if isinstance(each, set) else each for each in values]
            cursor.execute(self.sql, dict(zip(self.names, told, strict=True)))
        else:
            cursor.execute(self.sql, [_lite(value) for value in values])

    def all(self, cursor: Cursor, *values: object) -> Sequence[Row]:
        """Run it, and give every row."""
        self.send(cursor, *values)
        return cursor.fetchall()


class Compiler:
    """Turns SQLAlchemy's statements into what one database's driver runs."""

    def __init__(self, dialect: Dialect) -> None:
        self.sqlite = dialect.name == "sqlite"
        self._dialect = sqlite.dialect(paramstyle="qmark") if self.sqlite else dialect

    def insert(self, table: Table, names: Sequence[str], fixed: Mapping[str, str]) -> Write:
        """fixed: SQL literals of columns that are the same in every row."""
        literals: dict[str, Any] = {name: literal_column(text) for name, text in fixed.items()}
        if self.sqlite:
            bound: dict[str, Any] = {name: bindparam(name) for name in names}
            return self._write(insert(table).values(bound | literals), names)
        rows = self._rows(table, names)
        chosen = [*(rows.c[name] for name in names), *literals.values()]
        made = insert(table).from_select([*names, *literals], select(*chosen))
        return self._write(made, names)

    def insert_missing(self, table: Table, names: Sequence[str]) -> Write:
        """Insert rows; those whose key is there already are left as they are."""
        return self._upsert(table, names, lambda _: {})

    def replace(self, table: Table, names: Sequence[str]) -> Write:
        """Insert rows, or take the place of those that are there."""
        keys = set(table.primary_key.columns.keys())
        return self._upsert(
            table, names, lambda new: {name: new[name] for name in names if name not in keys}
        )

    def add_up(self, table: Table, names: Sequence[str], added: Sequence[str]) -> Write:
        """Insert rows, or add `added` to those that are there; give rows in the key's order."""
        return self._upsert(
            table, names, lambda new: {name: table.c[name] + new[name] for name in added}
        )

    def delete(self, table: Table, where: Sequence[str]) -> Write:
        if self.sqlite:
            bound = [table.c[name] == bindparam(name) for name in where]
            return self._write(delete(table).where(*bound), where)
        rows = self._few(table, where)
        return self._write(
            delete(table).where(*(table.c[name] == rows.c[name] for name in where)), where
        )

    def update(self, table: Table, where: Sequence[str], names: Sequence[str]) -> Write:
        """Rows are `names` and then `where`."""
        every = [*names, *where]
        if self.sqlite:
            # A column's own name cannot be bound twice over, so all are bound under one prefix.
            bound: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
            changed = update(table).values(bound)
            for name in where:
                changed = changed.where(table.c[name] == bindparam(f"new_{name}"))
            return self._write(changed, [f"new_{name}" for name in every])
        rows = self._few(table, every)
        changed = update(table).values({name: rows.c[name] for name in names})
        for name in where:
            changed = changed.where(table.c[name] == rows.c[name])
        return self._write(changed, every, len(where))

    def read(self, statement: ClauseElement, *names: str) -> Read:
        compiled = statement.compile(
            dialect=self._dialect, compile_kwargs={"render_postcompile": True}
        )
        positions: Sequence[str] = getattr(compiled, "positiontup", None) or names
        assert not self.sqlite or list(positions) == list(names), str(compiled)  # noqa: S101
        return Read(str(compiled), names, by_name=not self.sqlite)

    def among(self, column: ColumnElement[str], name: str) -> ColumnElement[bool]:
        """Whether a column is one of the strings that are given as parameter `name`."""
        if self.sqlite:
            values: Any = select(literal_column("value")).select_from(
                func.json_each(bindparam(name))
            )
            return column.in_(values)
        return column == any_(cast(bindparam(name), ARRAY(Text)))

    def _upsert(
        self,
        table: Table,
        names: Sequence[str],
        changes: Callable[[ReadOnlyColumnCollection[str, Any]], Mapping[str, Any]],
    ) -> Write:
        made: sqlite.Insert | postgresql.Insert
        if self.sqlite:
            made = sqlite.insert(table).values({name: bindparam(name) for name in names})
        else:
            rows = self._rows(table, names)
            made = postgresql.insert(table).from_select(
                list(names), select(*(rows.c[name] for name in names))
            )
        keys = list(table.primary_key.columns)
        changed = changes(made.excluded)
        if changed:
            return self._write(made.on_conflict_do_update(index_elements=keys, set_=changed), names)
        return self._write(made.on_conflict_do_nothing(index_elements=keys), names)

    def _rows(self, table: Table, names: Sequence[str]) -> FromClause:
        columns: list[Column[Any]] = [Column(name, table.c[name].type) for name in names]
        document = func.json_to_recordset(cast(bindparam("rows", type_=Text), JSON))
        return document.table_valued(*columns, name="r").render_derived(with_types=True)

    def _few(self, table: Table, names: Sequence[str]) -> FromClause:
        """Rows that are looked up in the table, each by its key.

        PostgreSQL takes a document for 100 rows and goes through a whole small table for them, by a
        plan that it keeps when the table has grown. Under a limit that only running tells, it takes
        it for ten.
        """
        told_late = select(literal_column("2147483647")).scalar_subquery()
        return select(self._rows(table, names)).limit(told_late).subquery("few")

    def _write(self, statement: ClauseElement, names: Sequence[str], keys: int = 0) -> Write:
        compiled = statement.compile(
            dialect=self._dialect, compile_kwargs={"render_postcompile": True}
        )
        positions = getattr(compiled, "positiontup", None) if self.sqlite else None
        return Write(str(compiled), names, positions, keys)


def _lite(value: object) -> object:
    """A set of strings as the JSON that SQLite takes it apart from."""
    return _encode(list(value)).decode() if isinstance(value, set) else value

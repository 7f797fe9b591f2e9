"""The tables of a SQLite store: a column a field, so that people can query them by hand.

Beside the encoding of all stores (see `_encoding`), a cell knows: a mapping, a tuple or a record
is JSON text, so that `json_extract(features, '$.age')` works; in a column that may hold
anything, a bool is "$true" or "$false", a list or mapping "$json:<JSON>", and an int beyond 64
bits "$int:<digits>". A declared bool is 1 or 0. Numbers are numbers and text is text: a column
that may hold anything has no type of its own, so that SQLite converts nothing.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from mlwatch.errors import StoreError
from mlwatch.records import RECORD_TYPES, Table, Tallies
from mlwatch.stores._encoding import JSONTally, Plain, encode, tallies_from_json, to_json
from mlwatch.stores._rows import Selection

APPLICATION_ID = 0x6D6C7761  # "mlwa"
VERSION = 2

_BUSY_SECONDS = 10.0
_PAUSE_SECONDS = 0.01

Cell = int | float | str | None

_SQL_TYPES = {int: "INTEGER", float: "REAL", timedelta: "NUMERIC"}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, its SQL type ("" for none), and how a plain value becomes a cell."""

    name: str
    sql_type: str
    to_cell: Callable[[Any], Cell]
    from_cell: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of one table, and the statements that need nothing but their names."""

    table: Table
    columns: tuple[Column, ...]

    @property
    def names(self) -> str:
        """Return the columns' names for a statement."""
        return ", ".join(f'"{column.name}"' for column in self.columns)

    @property
    def create(self) -> tuple[str, ...]:
        """Return the statements that create the table."""
        parts = [f'"{column.name}" {column.sql_type}'.strip() for column in self.columns]
        parts[0] += " PRIMARY KEY NOT NULL"
        return (
            f'CREATE TABLE "{self.table}" ({", ".join(parts)})',
            f'CREATE INDEX "{self.table}_time" ON "{self.table}" ("time", "key")',
        )

    def add(self, column: Column) -> str:
        """Return the statement that adds a column to a table of an older version.

        Its rows get what a record without that field has.
        """
        field = next(it for it in fields(RECORD_TYPES[self.table]) if it.name == column.name)
        if field.default is MISSING:
            raise StoreError(f"{self.table}.{column.name} has no default; it cannot be added")
        cell = column.to_cell(encode(field.default))
        default = "NULL" if cell is None else repr(cell)
        return (
            f'ALTER TABLE "{self.table}" '
            f'ADD COLUMN "{column.name}" {column.sql_type} DEFAULT {default}'
        )

    @property
    def replace(self) -> str:
        """Return the statement that writes one row."""
        places = ", ".join("?" * len(self.columns))
        return f'INSERT OR REPLACE INTO "{self.table}" ({self.names}) VALUES ({places})'  # noqa: S608  names of ours

    def to_cells(self, row: Plain) -> list[Cell]:
        """Return an encoded row as cells, in the order of the columns."""
        return [column.to_cell(row[column.name]) for column in self.columns]

    def from_cells(self, cells: tuple[Any, ...]) -> Plain:
        """Return the encoded row that `to_cells` made cells of."""
        return {
            column.name: column.from_cell(cell)
            for column, cell in zip(self.columns, cells, strict=True)
        }


def _layout(table: Table) -> Layout:
    hints = get_type_hints(RECORD_TYPES[table])
    names = ["key", *hints, *(name for name in ("model", "model_version") if name not in hints)]
    return Layout(table, tuple(_column(name, hints.get(name, str)) for name in names))


def _column(name: str, hint: Any) -> Column:
    if hint == Tallies:
        return Column(name, "TEXT", _json_text, read_tallies)
    kinds = set(get_args(hint)) - {type(None)} or {hint}
    if get_origin(hint) is tuple or issubclass(get_origin(hint) or object, Mapping):
        return Column(name, "TEXT", _json_text, msgspec.json.decode)
    if is_dataclass(hint):
        return Column(name, "TEXT", _json_text, msgspec.json.decode)
    if kinds == {bool}:
        return Column(name, "INTEGER", _flag_to_cell, _flag_from_cell)
    sql_type = _SQL_TYPES.get(kinds.pop(), "TEXT") if len(kinds) == 1 and hint is not Any else ""
    return Column(name, sql_type, _to_cell, _from_cell)


def _json_text(plain: Any) -> str:
    return to_json(plain).decode()


def read_tallies(cell: str) -> Plain:
    """Return the encoded tallies of a cell.

    Raises:
        TypeError: It holds something else, as for any error below.
        ValueError: It is not in the encoding.
        msgspec.MsgspecError: It is no JSON of tallies.
    """
    return tallies_from_json(msgspec.json.decode(cell, type=dict[str, JSONTally]))


def _flag_to_cell(plain: bool | None) -> Cell:
    return None if plain is None else int(plain)


def _flag_from_cell(cell: int | None) -> bool | None:
    return None if cell is None else bool(cell)


def _to_cell(plain: Any) -> Cell:
    kind = type(plain)
    if kind is bool:
        return "$true" if plain else "$false"
    if kind is int and not -(2**63) <= plain < 2**63:
        return f"$int:{plain}"
    if kind is dict or kind is list:
        return f"$json:{_json_text(plain)}"
    cell: Cell = plain
    return cell


def _from_cell(cell: Any) -> Any:
    if type(cell) is not str or cell[:1] != "$":
        return cell
    if cell in {"$true", "$false"}:
        return cell == "$true"
    if cell.startswith("$int:"):
        return int(cell.removeprefix("$int:"))
    if cell.startswith("$json:"):
        return msgspec.json.decode(cell.removeprefix("$json:"))
    return cell


LAYOUTS: Mapping[Table, Layout] = {table: _layout(table) for table in Table}


def identify(connection: sqlite3.Connection, path: Path) -> int:
    """Return of which version the store in the database is; 0: it is empty.

    Raises:
        StoreError: It is something else, or a store of a newer version.
    """
    # In one transaction: between two, another process may create the tables.
    begun = not connection.in_transaction
    if begun:
        connection.execute("BEGIN")
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        tables = application != APPLICATION_ID and _count_tables(connection)
    finally:
        if begun:
            connection.execute("ROLLBACK")
    if application == APPLICATION_ID:
        if version > VERSION:
            raise StoreError(
                f"{path} is an mlwatch store of version {version}, and this library reads version "
                f"{VERSION}: upgrade mlwatch-monitor, or name another file"
            )
        return version
    if application or tables:
        raise StoreError(
            f"{path} is a SQLite database, but not an mlwatch store: name another file, "
            "which will be created"
        )
    return 0


def require_current(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `StoreError` where the tables cannot be read as this version has them."""
    version = identify(connection, path)
    if 0 < version < VERSION:
        raise StoreError(
            f"{path} is an mlwatch store of version {version}, which has to be brought to version "
            f"{VERSION}: use it once without read_only=True"
        )


def _count_tables(connection: sqlite3.Connection) -> int:
    count: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return count


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Create the tables, or bring them to this version; and turn to write-ahead logging.

    The tables come first: what `identify` reads is then in the file itself from the start, and
    never only in the write-ahead log.
    """
    if identify(connection, path) < VERSION:
        _change(connection, path)
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            # Of several that turn at once SQLite refuses all but one, without waiting.
            if time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE_SECONDS)


def _change(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = identify(connection, path)  # another process may have been faster
        if version < VERSION:
            _migrate(connection) if version else _create(connection)
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _create(connection: sqlite3.Connection) -> None:
    for layout in LAYOUTS.values():
        for statement in layout.create:
            connection.execute(statement)
    connection.execute("CREATE TABLE batches (id TEXT PRIMARY KEY NOT NULL, time TEXT)")
    connection.execute("CREATE INDEX batches_time ON batches (time)")
    connection.execute("CREATE TABLE leases (key TEXT PRIMARY KEY NOT NULL, until TEXT)")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _migrate(connection: sqlite3.Connection) -> None:
    """Give the tables of an older version the columns that records have gained since.

    A column of a field that is gone stays, empty in new rows: processes of the older version may
    still be at work, and go on writing theirs.
    """
    for table, layout in LAYOUTS.items():
        known = {row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')}
        for column in layout.columns:
            if column.name not in known:
                connection.execute(layout.add(column))


def select(connection: sqlite3.Connection, table: Table, asked: Selection) -> sqlite3.Cursor:
    """Return the cells of the rows asked for, by time and key."""
    source = f'"{table}"'
    if asked.keys is not None:
        # A table of its own: a statement takes only so many values. The keys lead (CROSS JOIN).
        connection.execute("BEGIN")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("CREATE TEMP TABLE asked (key TEXT PRIMARY KEY NOT NULL) WITHOUT ROWID")
        connection.executemany("INSERT INTO asked VALUES (?)", ((key,) for key in asked.keys))
        source = f'asked CROSS JOIN "{table}" USING (key)'
    conditions = {
        "time >= ?": asked.since,
        "time < ?": asked.until,
        "model = ?": asked.model,
        "model_version = ?": asked.model_version,
    }
    given = {text: value for text, value in conditions.items() if value is not None}
    where = f"WHERE {' AND '.join(given)}" if given else ""
    statement = f"SELECT {LAYOUTS[table].names} FROM {source} {where} ORDER BY time, key"  # noqa: S608  names of ours
    return connection.execute(statement, list(given.values()))


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return the size of the pages of a file that are used; removed rows leave free ones."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)

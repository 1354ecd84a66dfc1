"""An export through its mapping: files in, typed and checked canonical rows out, with every rejected row accounted for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from collections.abc import Mapping as Map
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from salesml.contracts import TABLES, Table
from salesml.errors import BadInput
from salesml.sources import checks
from salesml.sources.casting import Context, cast
from salesml.sources.finding import Source
from salesml.sources.formats import Column, date_formats, number_formats
from salesml.sources.issues import Issue, create_issues, keep_issues
from salesml.sources.loading import Loaded, load
from salesml.sources.mapping import Mapping
from salesml.sources.parsing import trimmed, unblanked
from salesml.sources.session import connect, literal, lock, quoted

STREAM_ROWS = 2_000_000
HELPERS = ("_file", "_row", "_order")


@dataclass(frozen=True)
class Terms:
    """What an import is read with: the workspace's zone and currency, the instant of loading, the user's options."""

    time_zone: str
    currency: str
    loaded_at: dt.datetime
    export_date: dt.datetime | None = None
    allow_reversed: bool = False


@dataclass
class Staged:
    """The staged tables of one import: `rows` good rows, `rejected` and equal `repeated` rows
    per table; `unread` rows of the files were rejected before they came to any table."""

    connection: duckdb.DuckDBPyConnection
    loaded: Loaded
    loaded_at: dt.datetime
    export_date: dt.datetime
    rows: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    repeated: dict[str, int] = field(default_factory=dict)
    unread: int = 0

    def arrow(self, name: str) -> pa.Table | pa.RecordBatchReader:
        """Good rows of a table: own columns, occurred_at, known_at, known_at_assumed (true where the export has no date), source.

        A reader instead of a table above STREAM_ROWS rows.
        """
        spec = TABLES[name]
        own = ", ".join(quoted(column.name) for column in spec.own)
        at = f"TIMESTAMPTZ '{self.export_date.isoformat()}'"
        reader = (
            self.connection.cursor()
            .execute(
                f"""SELECT {own}, coalesce(occurred_at, known_at, {at}) AS occurred_at, known_at,
              CASE WHEN occurred_at IS NULL AND known_at IS NULL THEN true END AS known_at_assumed, source_file, source_row
            FROM cast_{name} WHERE _rule IS NULL"""
            )
            .to_arrow_reader(100_000)
        )
        stored = {column.name: column.arrow for column in spec.columns}
        schema = pa.schema([(column, stored[column]) for column in reader.schema.names])
        rows = pa.RecordBatchReader.from_batches(schema, (batch.cast(schema) for batch in reader))
        return rows if self.rows[name] > STREAM_ROWS else rows.read_all()

    def issues(self) -> list[dict[str, Any]]:
        """Rejected rows and warnings, with the fields of Issue but for `raw`."""
        fields = ", ".join(quoted(name) for name in Issue._fields if name != "raw")
        return self.connection.execute(f"SELECT {fields} FROM issue").to_arrow_table().to_pylist()

    def import_issues(self) -> pa.Table:
        """The issues as rows of the contract `import_issue`, each named by what it says and where."""
        spec = TABLES["import_issue"]
        names = ", ".join(quoted(name) for name in Issue._fields if name not in ("raw", "rows"))
        at = f"TIMESTAMPTZ '{self.loaded_at.isoformat()}'"
        table = self.connection.execute(
            f"""SELECT md5(concat_ws('|', {names}, row_number() OVER (PARTITION BY {names}))) AS import_issue_id, {names},
              coalesce(raw, CAST(json_object('rows', rows) AS VARCHAR)) AS raw, {at} AS occurred_at, {at} AS known_at FROM issue"""
        ).to_arrow_table()
        return table.cast(pa.schema([(name, spec.column(name).arrow) for name in table.schema.names]))

    def add_issues(self, issues: list[Issue]) -> None:
        """Keep further issues, found by whoever holds more than this import."""
        keep_issues(self.connection, issues)

    def ids(self, name: str) -> set[str]:
        """Distinct entities among the good rows of a table."""
        entity = quoted(TABLES[name].entity)
        rows = self.connection.execute(f"SELECT DISTINCT {entity} FROM cast_{name} WHERE _rule IS NULL").fetchall()
        return {value for (value,) in rows}

    def references(self, name: str, column: str) -> list[dict[str, Any]]:
        """Distinct values of a column among the good rows: value, rows, and source_file, source_row of the first."""
        return (
            self.connection.execute(
                f"""SELECT {quoted(column)} AS value, count(*) AS rows, arg_min(source_file, source_row) AS source_file,
              min(source_row) AS source_row FROM cast_{name} WHERE _rule IS NULL AND {quoted(column)} IS NOT NULL
            GROUP BY 1 ORDER BY 1"""
            )
            .to_arrow_table()
            .to_pylist()
        )


@contextmanager
def stage(
    mapping: Mapping,
    assigned: Map[str, list[Source]],
    terms: Terms,
    spill: Path,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Staged]:
    """Load the sources, run the mapping's SELECTs with external access off, cast to the contracts and check.

    What does not fit into memory goes to the folder `spill`. Raises BadInput for files that cannot be read and mappings
    whose SQL is wrong; bad rows are kept as issues.
    """
    with connect(spill, terms.time_zone) as connection:
        loaded = load(connection, mapping, assigned, progress)
        create_issues(connection)
        keep_issues(connection, loaded.issues)
        lock(connection)
        _check_rows(connection, mapping)
        unread = connection.execute("SELECT count(*) FROM issue WHERE severity = 'rejected'").fetchall()[0][0]
        types = {}
        for name in mapping.tables:
            progress(f"mapping {name}")
            types[name] = _mapped(connection, mapping, TABLES[name])
        context = _context(connection, mapping, terms, types)
        staged = Staged(connection, loaded, terms.loaded_at, terms.loaded_at, unread=int(unread))
        for name, given in types.items():
            progress(f"checking {name}")
            _cast_and_check(connection, mapping, TABLES[name], given, context, staged)
        staged.export_date = terms.export_date or _export_date(connection, mapping, terms, list(types))
        for alias in mapping.files:
            connection.execute(f"DROP TABLE {quoted(alias)}")
        yield staged


def _check_rows(connection: duckdb.DuckDBPyConnection, mapping: Mapping) -> None:
    for check in mapping.checks:
        file, condition = quoted(check.file), f"coalesce(({check.when}), false)"
        try:
            connection.execute(
                f"""INSERT INTO issue BY NAME SELECT 'rejected' AS severity, {literal(check.reason)} AS reason,
                  {literal(check.mend)} AS mend, CAST(to_json(r) AS VARCHAR) AS raw, _file AS source_file,
                  _row AS source_row, 1 AS rows FROM {file} r WHERE {condition}"""
            )
            connection.execute(f"DELETE FROM {file} WHERE {condition}")
        except duckdb.Error as error:
            raise _sql_error(error, mapping, f"the check `{check.when}`") from error


def _mapped(connection: duckdb.DuckDBPyConnection, mapping: Mapping, table: Table) -> dict[str, str]:
    """Make `mapped_<table>` from the SELECT, text trimmed; returns the DuckDB type of each column."""
    select = _single_select(connection, mapping, mapping.tables[table.name].select, f"tables.{table.name}")
    try:
        types = {name: kind for name, kind, *_ in connection.execute(f"DESCRIBE {select}").fetchall()}
        _refuse_unknown(types, table, mapping)
        dtypes = {column.name: column.dtype for column in table.columns}
        picked = ", ".join(
            quoted(name)
            if kind != "VARCHAR" or name in HELPERS
            else f"{trimmed(quoted(name)) if dtypes[name] in ('string', 'json') else unblanked(quoted(name))} AS {quoted(name)}"
            for name, kind in types.items()
        )
        connection.execute(f"CREATE TABLE mapped_{table.name} AS SELECT {picked} FROM ({select})")
    except duckdb.Error as error:
        raise _sql_error(error, mapping, f"tables.{table.name}") from error
    return types


def _single_select(connection: duckdb.DuckDBPyConnection, mapping: Mapping, sql: str, where: str) -> str:
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise _sql_error(error, mapping, where) from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise BadInput(f"{where} must be one SELECT", file=mapping.path, mend="Other statements are not run.")
    return str(statements[0].query).strip().rstrip(";")


def _refuse_unknown(types: dict[str, str], table: Table, mapping: Mapping) -> None:
    valid = [column.name for column in table.own] + ["occurred_at", "known_at", *HELPERS]
    for name in types:
        if name not in valid:
            mend = f"Valid: {', '.join(valid)}."
            raise BadInput(f"tables.{table.name} selects an unknown column {name!r}", file=mapping.path, mend=mend)


def _context(
    connection: duckdb.DuckDBPyConnection, mapping: Mapping, terms: Terms, types: dict[str, dict[str, str]]
) -> Context:
    columns = [
        Column(f"mapped_{name}", name, column.name, column.dtype)
        for name, given in types.items()
        for column in TABLES[name].columns
        if given.get(column.name) == "VARCHAR"
    ]
    dates = date_formats(connection, [c for c in columns if c.dtype in ("timestamp", "date")], mapping)
    numbers = number_formats(connection, [c for c in columns if c.dtype in ("money", "float", "int")], mapping)
    return Context(terms.time_zone, terms.currency, terms.loaded_at, dates, numbers, terms.allow_reversed)


def _cast_and_check(
    connection: duckdb.DuckDBPyConnection,
    mapping: Mapping,
    table: Table,
    given: dict[str, str],
    context: Context,
    staged: Staged,
) -> None:
    rules = cast(connection, table, given, context)
    connection.execute(f"DROP TABLE mapped_{table.name}")
    checks.reject_companions(connection, table)
    repeated = checks.reject_repeated(connection, table, rules)
    if table.name == "opportunity" and not context.allow_reversed:
        checks.reject_reversed(connection, table, rules)
    checks.reject_companions(connection, table)
    staged.rejected[table.name] = checks.record(connection, table, rules, list(mapping.files))
    staged.repeated[table.name] = repeated
    good = connection.execute(f"SELECT count(*) FROM cast_{table.name} WHERE _rule IS NULL").fetchall()[0][0]
    staged.rows[table.name] = int(good)


def _export_date(
    connection: duckdb.DuckDBPyConnection, mapping: Mapping, terms: Terms, tables: list[str]
) -> dt.datetime:
    """The instant rows without a date are known from: the mapping's SELECT, else the day after the latest date, else the load."""
    latest = " UNION ALL ".join(
        f"SELECT max(occurred_at) AS latest FROM cast_{name} WHERE _rule IS NULL" for name in tables
    )
    day_after = f"SELECT CAST(CAST(max(latest) AS DATE) + 1 AS TIMESTAMPTZ) FROM ({latest})"
    select = day_after
    if mapping.export_date:
        select = _single_select(connection, mapping, mapping.export_date, "export_date")
    try:
        query = f"SELECT epoch_us(CAST(latest AS TIMESTAMPTZ)) FROM ({select}) AS e(latest)"
        micros = connection.execute(query).fetchall()[0][0]
    except duckdb.Error as error:
        raise _sql_error(error, mapping, "export_date") from error
    if micros is None:
        return terms.loaded_at
    return min(dt.datetime.fromtimestamp(micros / 1e6, dt.UTC), terms.loaded_at)


def _sql_error(error: duckdb.Error, mapping: Mapping, where: str) -> BadInput:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return BadInput(f"{where}: {' '.join(lines[:3])}", file=mapping.path, mend="Correct the SQL of the mapping.")

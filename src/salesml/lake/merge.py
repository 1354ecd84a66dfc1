"""What an import changes: staged rows compared with stored ones by contract key, in SQL, without leaving the engine."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TypeAlias

import duckdb
import pyarrow as pa

from salesml.contracts import Table
from salesml.errors import BadInput

SQL_TYPES = {
    "string": "VARCHAR", "json": "VARCHAR", "money": "DECIMAL(18,2)", "int": "BIGINT", "float": "DOUBLE",
    "bool": "BOOLEAN", "timestamp": "TIMESTAMPTZ", "date": "DATE",
}  # fmt: skip

LINEAGE = ("run_id", "head_id")
"""Columns of outputs that tell where a number came from; the same number from another run is no new fact."""


Rows: TypeAlias = "pa.Table | pa.RecordBatchReader"


@dataclass(frozen=True)
class Counts:
    """Rows of one table in one import."""

    added: int = 0
    corrected: int = 0
    retracted: int = 0
    unchanged: int = 0

    @property
    def written(self) -> int:
        """Rows appended to the table."""
        return self.added + self.corrected + self.retracted


@dataclass(frozen=True)
class Load:
    """Where the rows of an import come from and when it took place, as SQL literals.

    For bound parameters, as for a registered Arrow object, DuckDB would import pandas, a second's work.
    """

    origin: str
    import_id: str
    loaded_at: str

    @classmethod
    def of(cls, origin: str, import_id: str, loaded_at: dt.datetime) -> Load:
        """The literals of these values."""
        return cls(_text(origin), _text(import_id), f"{_text(loaded_at.isoformat())}::TIMESTAMPTZ")


@dataclass(frozen=True)
class Stored:
    """What a table holds at HEAD: its Parquet files, and whether rows of it correct earlier ones (else each key is there once)."""

    files: list[str]
    corrected: bool


def first_load(engine: duckdb.DuckDBPyConnection, spec: Table, rows: Rows, load: Load) -> pa.RecordBatchReader:
    """All rows, to be written to an empty table as they come, in bounded memory; then `check` what was written."""
    _stage(engine, spec, rows, "VIEW")
    engine.execute(
        "CREATE TEMP VIEW verdict AS SELECT *, 'added' AS verdict, NULL::TIMESTAMPTZ AS stored_known_at FROM staged"
    )
    return _reader(engine, spec, _written(spec, load))


def check(engine: duckdb.DuckDBPyConnection, spec: Table, written: list[str]) -> Counts:
    """The counts of a first load, from the Parquet files it wrote; BadInput if a key is missing or comes twice."""
    if not written:
        return Counts()
    engine.execute(f"CREATE OR REPLACE TEMP VIEW staged AS SELECT * FROM {_parquet(written)}")
    _refuse_double_keys(engine, spec)
    return Counts(added=_one(engine, "SELECT count(*) FROM staged"))


def changes(
    engine: duckdb.DuckDBPyConnection, spec: Table, rows: Rows, stored: Stored, load: Load, complete: bool
) -> tuple[pa.RecordBatchReader, Counts]:
    """The rows to append, and the counts. BadInput if a key is missing or comes twice."""
    _stage(engine, spec, rows, "TABLE")
    _refuse_double_keys(engine, spec)
    _compare(engine, spec, stored)
    counts = dict(engine.execute("SELECT verdict, count(*) FROM verdict GROUP BY 1").fetchall())
    added, corrected = counts.get("added", 0), counts.get("corrected", 0)
    unchanged = _one(engine, "SELECT count(*) FROM staged") - added - corrected
    parts, retracted = [_written(spec, load)], 0
    if complete and spec.kind == "changes":  # elsewhere an entity is a single row, so none is present without it
        engine.execute(f"CREATE TEMP TABLE withdrawn AS {_withdrawn(spec, load)}")
        retracted = _one(engine, "SELECT count(*) FROM withdrawn")
        parts.append("SELECT * FROM withdrawn")
    return _reader(engine, spec, " UNION ALL BY NAME ".join(parts)), Counts(added, corrected, retracted, unchanged)


def _reader(engine: duckdb.DuckDBPyConnection, spec: Table, query: str) -> pa.RecordBatchReader:
    ordered = ", ".join(_q(column.name) for column in spec.columns)
    return engine.execute(f"SELECT {ordered} FROM ({query})").to_arrow_reader(100_000).cast(spec.schema)


def _compare(engine: duckdb.DuckDBPyConnection, spec: Table, stored: Stored) -> None:
    """Make `verdict`: the staged rows that were added or corrected beside the `latest` stored row of their key."""
    key, entity = ", ".join(_q(name) for name in spec.key), _q(spec.entity)
    latest = f"SELECT * FROM {_parquet(stored.files)} WHERE {entity} IN (SELECT {entity} FROM staged)"
    if stored.corrected:
        newest = f"QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY known_at DESC, import_id DESC) = 1"
        engine.execute(f"CREATE TEMP TABLE latest AS {latest} {newest}")
    else:
        engine.execute(f"CREATE TEMP VIEW latest AS {latest}")
    # a fresh load date alone changes nothing: only what the export says is compared
    compared = [column.name for column in spec.payload if spec.kind != "outputs" or column.name not in LINEAGE]
    differences = [f"s.{_q(name)} IS DISTINCT FROM l.{_q(name)}" for name in compared]
    if spec.kind != "outputs":
        # a row staged with known_at_assumed has no date in the export: its occurred_at is the export's, new each time
        differences.append("(s.known_at_assumed IS NOT TRUE AND s.occurred_at IS DISTINCT FROM l.occurred_at)")
    differs = " OR ".join(differences)
    join = " AND ".join(f"s.{_q(name)} = l.{_q(name)}" for name in spec.key)
    engine.execute(
        f"""CREATE TEMP TABLE verdict AS SELECT s.*, CASE
          WHEN l.{_q(spec.entity)} IS NULL THEN 'added'
          WHEN coalesce(l.retracted, false) OR {differs} THEN 'corrected'
          ELSE 'unchanged' END AS verdict, l.known_at AS stored_known_at
        FROM staged s LEFT JOIN latest l ON {join} WHERE verdict <> 'unchanged'"""
    )


def _stage(engine: duckdb.DuckDBPyConnection, spec: Table, rows: Rows, kept: str) -> None:
    """Make `staged`, a TABLE, or a VIEW that can be read once: the rows given, as the contract's columns and types."""
    given = set(rows.schema.names)
    unknown = given - {column.name for column in spec.columns}
    if unknown:
        raise BadInput(f"staged table {spec.name} has columns outside its contract: {', '.join(sorted(unknown))}")
    casts = ", ".join(
        f"{_q(column.name)}::{SQL_TYPES[column.dtype]} AS {_q(column.name)}"
        if column.name in given
        else f"NULL::{SQL_TYPES[column.dtype]} AS {_q(column.name)}"
        for column in spec.columns
    )
    engine.register("incoming", rows.__arrow_c_stream__())
    engine.execute(f"CREATE TEMP {kept} staged AS SELECT {casts} FROM incoming")


def _refuse_double_keys(engine: duckdb.DuckDBPyConnection, spec: Table) -> None:
    key = ", ".join(_q(name) for name in spec.key)
    twice = engine.execute(f"SELECT {key} FROM staged GROUP BY ALL HAVING count(*) > 1 LIMIT 1").fetchone()
    if twice:
        raise BadInput(
            f"staged table {spec.name} has the key {twice} more than once", column=spec.entity, value=str(twice[0])
        )
    missing = _one(
        engine,
        f"SELECT count(*) FROM staged WHERE {' OR '.join(f'{_q(n)} IS NULL' for n in (*spec.key, 'occurred_at'))}",
    )
    if missing:
        raise BadInput(f"staged table {spec.name} has {missing} rows without a key or occurred_at")


def _written(spec: Table, load: Load) -> str:
    own = ", ".join(_q(column.name) for column in spec.own)
    return f"""SELECT {own}, occurred_at,
      CASE WHEN verdict = 'added' THEN coalesce(known_at, occurred_at)
           WHEN known_at > stored_known_at THEN known_at ELSE {load.loaded_at} END AS known_at,
      verdict = 'added' AND coalesce(known_at_assumed, known_at IS NULL) AS known_at_assumed,
      coalesce(retracted, false) AS retracted, {load.origin} AS origin, {load.import_id} AS import_id, source_file, source_row
      FROM verdict"""


def _withdrawn(spec: Table, load: Load) -> str:
    match = " AND ".join(f"s.{_q(name)} = l.{_q(name)}" for name in spec.key)
    empty = ", ".join(f"NULL::{SQL_TYPES[column.dtype]} AS {_q(column.name)}" for column in spec.payload)
    key = ", ".join(f"l.{_q(name)}" for name in spec.key)
    return f"""SELECT {key}{", " + empty if empty else ""}, l.occurred_at, {load.loaded_at} AS known_at,
      false AS known_at_assumed, true AS retracted, {load.origin} AS origin, {load.import_id} AS import_id,
      NULL::VARCHAR AS source_file, NULL::BIGINT AS source_row
      FROM latest l WHERE NOT coalesce(l.retracted, false) AND l.origin = {load.origin}
        AND NOT EXISTS (SELECT 1 FROM staged s WHERE {match})"""


def _one(engine: duckdb.DuckDBPyConnection, query: str) -> int:
    row = engine.execute(query).fetchone()
    return int(row[0]) if row else 0


def _parquet(files: list[str]) -> str:
    return f"read_parquet([{', '.join(_text(file) for file in files)}], union_by_name = true)"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _q(name: str) -> str:
    return '"' + name + '"'

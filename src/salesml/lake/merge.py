"""What an import changes: staged rows compared with stored ones by contract key, in SQL, without leaving the engine."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

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


def changes(
    engine: duckdb.DuckDBPyConnection,
    spec: Table,
    rows: pa.Table | pa.RecordBatchReader,
    stored: list[str],
    origin: str,
    import_id: str,
    loaded_at: dt.datetime,
    complete: bool,
) -> tuple[pa.RecordBatchReader, Counts]:
    """The rows to append, and the counts. `stored` lists the Parquet files of the table at HEAD; BadInput if a key comes twice."""
    _stage(engine, spec, rows)
    _refuse_double_keys(engine, spec)
    key = ", ".join(_q(name) for name in spec.key)
    # literals throughout: for bound parameters, as for a registered Arrow object, DuckDB would import pandas, a second's work
    load = {
        "origin": _text(origin),
        "import_id": _text(import_id),
        "loaded_at": f"{_text(loaded_at.isoformat())}::TIMESTAMPTZ",
    }
    _compare(engine, spec, stored, key)
    parts = [_written(spec, load)]
    if complete and stored:
        parts.append(_withdrawn(spec, load))
    kept = "TABLE" if stored else "VIEW"
    engine.execute(f"CREATE TEMP {kept} written AS {' UNION ALL BY NAME '.join(parts)}")
    counts = dict(engine.execute("SELECT verdict, count(*) FROM verdict GROUP BY 1").fetchall())
    total = _one(engine, "SELECT count(*) FROM written")
    added, corrected = counts.get("added", 0), counts.get("corrected", 0)
    count = Counts(added, corrected, total - added - corrected, counts.get("unchanged", 0))
    ordered = ", ".join(_q(column.name) for column in spec.columns)
    result = engine.execute(f"SELECT {ordered} FROM written ORDER BY {key}, known_at")
    return result.to_arrow_reader(100_000).cast(spec.schema), count


def _compare(engine: duckdb.DuckDBPyConnection, spec: Table, stored: list[str], key: str) -> None:
    """Make `verdict`: the staged rows, each added, corrected or unchanged beside the `latest` stored row of its key."""
    if not stored:
        engine.execute(
            "CREATE TEMP VIEW verdict AS SELECT *, 'added' AS verdict, NULL::TIMESTAMPTZ AS stored_known_at FROM staged"
        )
        return
    files = ", ".join(_text(file) for file in stored)
    engine.execute(
        f"""CREATE TEMP TABLE latest AS SELECT * FROM read_parquet([{files}], union_by_name = true)
        QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY known_at DESC, import_id DESC) = 1"""
    )
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
        FROM staged s LEFT JOIN latest l ON {join}"""
    )


def _stage(engine: duckdb.DuckDBPyConnection, spec: Table, rows: Any) -> None:
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
    engine.execute(f"CREATE TEMP TABLE staged AS SELECT {casts} FROM incoming")
    engine.unregister("incoming")


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


def _written(spec: Table, load: dict[str, str]) -> str:
    own = ", ".join(_q(column.name) for column in spec.own)
    return f"""SELECT {own}, occurred_at,
      CASE WHEN verdict = 'added' THEN coalesce(known_at, occurred_at)
           WHEN known_at > stored_known_at THEN known_at ELSE {load["loaded_at"]} END AS known_at,
      verdict = 'added' AND coalesce(known_at_assumed, known_at IS NULL) AS known_at_assumed,
      coalesce(retracted, false) AS retracted, {load["origin"]} AS origin, {load["import_id"]} AS import_id, source_file, source_row
      FROM verdict WHERE verdict <> 'unchanged'"""


def _withdrawn(spec: Table, load: dict[str, str]) -> str:
    entity = _q(spec.entity)
    match = " AND ".join(f"s.{_q(name)} = l.{_q(name)}" for name in spec.key)
    empty = ", ".join(f"NULL::{SQL_TYPES[column.dtype]} AS {_q(column.name)}" for column in spec.payload)
    key = ", ".join(f"l.{_q(name)}" for name in spec.key)
    return f"""SELECT {key}{", " + empty if empty else ""}, l.occurred_at, {load["loaded_at"]} AS known_at,
      false AS known_at_assumed, true AS retracted, {load["origin"]} AS origin, {load["import_id"]} AS import_id,
      NULL::VARCHAR AS source_file, NULL::BIGINT AS source_row
      FROM latest l WHERE NOT coalesce(l.retracted, false) AND l.origin = {load["origin"]}
        AND l.{entity} IN (SELECT {entity} FROM staged)
        AND NOT EXISTS (SELECT 1 FROM staged s WHERE {match})"""


def _one(engine: duckdb.DuckDBPyConnection, query: str) -> int:
    row = engine.execute(query).fetchone()
    return int(row[0]) if row else 0


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _q(name: str) -> str:
    return '"' + name + '"'

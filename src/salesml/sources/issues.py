"""What went wrong with rows on the way in, as rows themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

import duckdb
import pyarrow as pa

from salesml.sources.session import literal

SCHEMA = pa.schema(
    {
        "severity": pa.string(),
        "table": pa.string(),
        "column": pa.string(),
        "value": pa.string(),
        "reason": pa.string(),
        "mend": pa.string(),
        "raw": pa.string(),
        "source_file": pa.string(),
        "source_row": pa.int64(),
        "rows": pa.int64(),
    }
)


class Issue(NamedTuple):
    """A rejected row, or a warning about `rows` kept rows of which `source_row` is the first."""

    severity: str
    reason: str
    mend: str | None = None
    table: str | None = None
    column: str | None = None
    value: str | None = None
    raw: str | None = None
    source_file: str | None = None
    source_row: int | None = None
    rows: int = 1


def keep_issues(connection: duckdb.DuckDBPyConnection, issues: Sequence[Issue]) -> None:
    """Make the table `issue` (columns of SCHEMA) with these rows.

    As literals: binding parameters makes DuckDB import pandas, which takes longer than most imports.
    """
    types = {name: "BIGINT" if pa.types.is_integer(SCHEMA.field(name).type) else "VARCHAR" for name in SCHEMA.names}
    columns = ", ".join(f'"{name}" {kind}' for name, kind in types.items())
    connection.execute(f"CREATE TABLE issue ({columns})")
    if issues:
        rows, shape = json.dumps([issue._asdict() for issue in issues]), json.dumps([types])
        connection.execute(
            f"INSERT INTO issue BY NAME SELECT unnest(from_json({literal(rows)}, {literal(shape)}), recursive := true)"
        )

"""What went wrong with rows on the way in, as rows themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

import duckdb

from salesml.sources.session import literal

COUNTS = ("source_row", "rows")


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


TYPES = {name: "BIGINT" if name in COUNTS else "VARCHAR" for name in Issue._fields}


def create_issues(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the empty table `issue` with a column per field of Issue."""
    columns = ", ".join(f'"{name}" {kind}' for name, kind in TYPES.items())
    connection.execute(f"CREATE TABLE issue ({columns})")


def keep_issues(connection: duckdb.DuckDBPyConnection, issues: Sequence[Issue]) -> None:
    """Add rows to the table `issue`; as literals, because for bound parameters DuckDB imports pandas, a second's work."""
    if issues:
        rows, shape = json.dumps([issue._asdict() for issue in issues]), json.dumps([TYPES])
        connection.execute(
            f"INSERT INTO issue BY NAME SELECT unnest(from_json({literal(rows)}, {literal(shape)}), recursive := true)"
        )

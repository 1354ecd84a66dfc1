"""The in-process DuckDB that an import runs in: bounded memory, and no way to the outside once its files are loaded."""

from __future__ import annotations

from pathlib import Path

import duckdb

MEMORY = "3GB"


def connect(spill: Path, time_zone: str) -> duckdb.DuckDBPyConnection:
    """An empty database that spills to the folder `spill` beyond MEMORY; times without offset are in `time_zone`."""
    connection = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": MEMORY,
            "temp_directory": str(spill),
            "preserve_insertion_order": "false",
            "python_enable_replacements": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        },
    )
    connection.execute(f"SET TimeZone = {literal(time_zone)}")
    return connection


def lock(connection: duckdb.DuckDBPyConnection) -> None:
    """Forbid files, network, extensions and changes of settings from here on: what follows is a mapping's SQL."""
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def literal(text: str) -> str:
    """SQL text literal."""
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """SQL identifier."""
    return '"' + name.replace('"', '""') + '"'

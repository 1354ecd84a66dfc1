"""References of staged rows to entities that nobody has listed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """`rows` staged rows refer to `value`, which is unknown; None stands for a table of which nothing is known at all."""

    value: str | None
    rows: int
    source_file: str | None
    source_row: int | None
    reason: str
    mend: str


def unknown_references(column: str, target: str, referred: Iterable[dict[str, Any]], known: set[str]) -> list[Finding]:
    """One finding per value that is not among `known` ids of table `target`, or one in all where `known` is empty.

    `referred` has a row per distinct value: value, rows, source_file, source_row. The rows are kept either way.
    """
    missing = [row for row in referred if row["value"] not in known]
    if not missing:
        return []
    mend = f"Import the {target} too, or correct the value."
    if not known:
        first, rows = missing[0], sum(row["rows"] for row in missing)
        reason = f"{column} refers to a {target}, but no {target} is known"
        return [Finding(None, rows, first["source_file"], first["source_row"], reason, mend)]
    reason = f"{column} refers to an unknown {target}"
    return [Finding(row["value"], row["rows"], row["source_file"], row["source_row"], reason, mend) for row in missing]

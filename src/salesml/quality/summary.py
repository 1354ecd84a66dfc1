"""Issues of an import, counted per reason with the first example."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Line:
    """One reason: `rows` rows, rejected or warned of; `example` locates the first; `values` counts distinct offending values."""

    severity: str
    table: str | None
    reason: str
    mend: str | None
    rows: int
    values: int
    example: str

    def __str__(self) -> str:
        what = f"{self.table}: " if self.table else ""
        values = f", {self.values:,} values" if self.values > 1 and self.severity == "warning" else ""
        return f"{what}{self.reason} ({self.rows:,} rows{values}; first: {self.example}). {self.mend or ''}".rstrip()


def summarise(issues: Iterable[dict[str, Any]]) -> list[Line]:
    """Lines per severity, table, reason and mend: rejected rows first, then the most frequent.

    Issues have severity, table, column, value, reason, mend, source_file, source_row, rows.
    """
    groups: dict[tuple[str, str | None, str, str | None], list[dict[str, Any]]] = {}
    for issue in issues:
        groups.setdefault((issue["severity"], issue["table"], issue["reason"], issue["mend"]), []).append(issue)
    lines = []
    for (severity, table, reason, mend), members in groups.items():
        first = min(members, key=lambda issue: (issue["source_file"] or "", issue["source_row"] or 0))
        rows, values = sum(issue["rows"] for issue in members), len({issue["value"] for issue in members})
        lines.append(Line(severity, table, reason, mend, rows, values, _place(first)))
    return sorted(lines, key=lambda line: (line.severity != "rejected", -line.rows, line.reason))


def _place(issue: dict[str, Any]) -> str:
    parts = [issue["source_file"], f"row {issue['source_row']}" if issue["source_row"] is not None else None]
    if issue["column"]:
        parts.append(f"column {issue['column']}")
    if issue["value"] is not None:
        parts.append(f"value {issue['value']!r}")
    return ", ".join(part for part in parts if part) or "no place known"

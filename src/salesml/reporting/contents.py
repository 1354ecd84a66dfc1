"""What a workspace held as of an instant: tables, how fresh they are, what its imports left out."""

from __future__ import annotations

from typing import Any

import pandas as pd

from salesml.contracts import TABLES
from salesml.errors import BadParameter
from salesml.lake import View

COLUMNS = ["table", "facts", "entities", "first_event", "last_event", "last_known", "days_old", "assumed"]
ISSUES = ["severity", "table", "column", "reason", "rows", "first_file", "first_row"]


def contents(view: View) -> pd.DataFrame:
    """One row per table with visible facts, by name.

    Columns: table, facts, entities; first_event, last_event (occurred_at), last_known (known_at) in the workspace's
    time zone; days_old (from last_known to as_of); assumed (share of facts whose known_at was assumed, 0..1).
    """
    if view.as_of is None:
        raise BadParameter("contents are of one instant, not of a spine")
    rows = [_table(view, name) for name in sorted(view.tables.head.tables)]
    return pd.DataFrame([row for row in rows if row["facts"]], columns=COLUMNS)


def summary(held: pd.DataFrame, left_out: pd.DataFrame) -> str:
    """One sentence on what `contents` and `issues` returned."""
    if held.empty:
        return "Nothing is known: import an export, or choose a later day."
    newest = held.sort_values("last_known").iloc[-1]
    rejected = left_out.loc[left_out["severity"] == "rejected", "rows"].sum()
    assumed = (held["assumed"] * held["facts"]).sum() / held["facts"].sum()
    return (
        f"{held['facts'].sum():,} facts in {len(held)} tables are known, the newest ({newest['table']}) from "
        f"{newest['last_known']:%Y-%m-%d}; when a fact became known had to be assumed for {assumed:.0%} of them; "
        f"{rejected:,} rows were rejected at import."
    )


def issues(view: View) -> pd.DataFrame:
    """Rows the imports rejected or warned of. Grain: severity, table, column and reason; the most frequent first.

    Columns: severity, table, column, reason, rows, first_file, first_row (1 = first after the header).
    """
    facts = view.facts("import_issue")
    grain = ["severity", "table", "column", "reason"]
    first = facts.source_row.fill_null(0)
    found = facts.group_by(grain).aggregate(
        rows=facts.count(), first_file=facts.source_file.argmin(first), first_row=facts.source_row.argmin(first)
    )
    frame = view.frame(found).sort_values(["rows", *grain], ascending=[False] + [True] * 4, na_position="last")
    return frame[ISSUES].reset_index(drop=True)


def _table(view: View, name: str) -> dict[str, Any]:
    facts = view.facts(name)
    figures = facts.aggregate(
        facts=facts.count(),
        entities=facts[TABLES[name].entity].nunique(),
        first_event=facts.occurred_at.min(),
        last_event=facts.occurred_at.max(),
        last_known=facts.known_at.max(),
        assumed=facts.known_at_assumed.cast("int8").mean(),
    )
    row: dict[str, Any] = {"table": name, **dict(view.frame(figures).iloc[0])}
    if row["facts"]:
        row["days_old"] = (view.as_of - row["last_known"]).total_seconds() / 86_400
        for instant in ("first_event", "last_event", "last_known"):
            row[instant] = row[instant].tz_convert(view.tables.workspace.zone)
    return row

"""Published forecasts and the overrides beside them, as they lie in the lake."""

from __future__ import annotations

import datetime as dt

import pandas as pd

from salesml.analytics.quarter import LEVELS
from salesml.lake import Tables, View, visible
from salesml.workspace import Workspace

KEPT = ["forecast_id", "level", "name", "parent", "month", "amount", "lo80", "hi80", "lo95", "hi95", "accuracy", "as_of", "known_at",
        "model_version"]  # fmt: skip
FACTS = ["override_id", "target_id", "level", "name", "month", "amount", "reason", "author", "approver", "known_at", "expires_at",
         "withdraws"]  # fmt: skip
TOMORROW = dt.timedelta(days=1)
"""A forecast made today from today's facts has tomorrow's first instant as its as_of."""


def published(
    workspace: Workspace, tables: Tables, cutoff: dt.datetime, seen: dt.datetime | None = None
) -> tuple[pd.DataFrame, int]:
    """Monthly forecasts made for instants up to `cutoff`, and how many rows have other periods.

    Grain: one row per forecast, by as_of: forecast_id, level, name, parent (as the table has it), month (first day), amount, lo80, hi80,
    lo95, hi95 (exact, in the workspace's currency), accuracy (JSON), as_of, known_at, model_version. `seen`: only what was written
    before that instant, as it was then; without it whatever is written now.
    """
    view = visible(tables, seen or dt.datetime.now(dt.UTC))
    rows = view.facts("forecast")
    frame = view.frame(rows.filter(rows.as_of <= cutoff).rename(level="entity_type", name="entity_id"))
    if frame.empty:
        return pd.DataFrame(columns=KEPT), 0
    starts, ends = (pd.to_datetime(frame[name]) for name in ("period_start", "period_end"))
    own = frame["currency"].isna() | frame["currency"].eq(workspace.settings.currency)
    whole = (starts.dt.day == 1) & (ends == starts + pd.DateOffset(months=1)) & frame["level"].isin(LEVELS) & own
    frame = frame.assign(month=starts.astype("datetime64[ns]"))[whole]
    return frame.sort_values(["as_of", "level", "name", "month"], ignore_index=True)[KEPT], int((~whole).sum())


def override_facts(view: View) -> pd.DataFrame:
    """Overrides of revenue and their withdrawals known to an instant's view, in the order they became known.

    Columns: override_id, target_id, level, name, month (first day), amount, reason, author, approver, known_at, expires_at, withdraws.
    """
    rows = view.facts("override")
    rows = rows.filter(rows.target_type == "forecast", rows.target_id.startswith("revenue:"))
    frame = view.frame(rows.select(*[name for name in FACTS if name not in ("level", "name", "month")]))
    parts = frame["target_id"].astype("str").str.extract(r"^revenue:(?P<level>[^:]+):(?P<name>.*):(?P<month>\d{4}-\d\d-\d\d)$")
    frame = frame.assign(level=parts["level"], name=parts["name"], month=pd.to_datetime(parts["month"]).astype("datetime64[ns]"))
    return frame.dropna(subset=["month"]).sort_values(["known_at", "override_id"], ignore_index=True)[FACTS]


def same(rows: pd.DataFrame, level: str, name: str, *months: pd.Timestamp) -> pd.Series:
    """Which rows are of that level, name and one of these months (first days)."""
    return rows["level"].eq(level) & rows["name"].eq(name) & rows["month"].isin(months)

"""What open deals tell of the months ahead, as of an instant and as it was on the same day of the months before."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd

from salesml.analytics import pipeline_months
from salesml.features.spines import deal_lives
from salesml.lake import Tables, visible
from salesml.models.revenue_open_deals import OpenDeals
from salesml.workflows.forecast import COMPANY, REGION
from salesml.workflows.quarter_facts import placed, revenue_entries
from salesml.workspace import Workspace

BOOKED, OPEN_DEALS = "booked already", "open deals"
MONTHS = 30
"""So many months back, at most, is looked at what was open."""


def revenue_open_deals(workspace: Workspace, tables: Tables, instant: dt.datetime, horizon: int, regions: bool = True) -> OpenDeals | None:
    """What `models.revenue.forecast_revenue` is told, by region or, without `regions`, of the company; None where revenue names no deals.

    Each month is looked at on the day of the month that the instant lies on (its last where it is shorter), as known then; the
    revenue of a month is counted as known at the instant.
    """
    view = visible(tables, instant)
    entries, lives = revenue_entries(view), view.frame(deal_lives(view))
    if entries["opportunity_id"].isna().all() or lives.empty:
        return None
    local = entries["at"].dt.tz_convert(workspace.settings.time_zone).dt.tz_localize(None)
    entries = entries.assign(month=local.dt.year * 12 + local.dt.month, series=_series(entries, regions))
    origins = _origins(workspace, instant, lives["first_known_at"].min())
    deals = _deals(tables, lives, origins).assign(series=lambda rows: _series(rows, regions))
    since = pd.concat([_ahead(entries, row, horizon) for row in origins.itertuples()], ignore_index=True)
    so_far = since[(since["ahead"] == 0) & (since["at"] < since["when"])]
    since = since[since["at"] >= since["when"]]
    open_then = pd.MultiIndex.from_frame(deals[["origin", "opportunity_id"]])
    theirs = pd.MultiIndex.from_frame(since[["origin", "opportunity_id"]]).isin(open_then)
    cells = pipeline_months.cells(deals, since[theirs], horizon)
    names, brought, rest, by_rep = sorted(entries["series"].unique()), {}, {}, {}
    row: Any
    for row in origins.itertuples():
        told = pipeline_months.expected(cells, row.origin, names, horizon)
        parts = _parts(told, so_far[so_far["origin"] == row.origin])
        by_rep[row.origin] = parts.groupby(level=["series", "rep"]).sum(min_count=1)
        brought[row.origin] = parts.groupby(level="series").sum(min_count=1).reindex(names)
        other = since[~theirs & (since["origin"] == row.origin).to_numpy()]
        wide = other.pivot_table(index="series", columns="ahead", values="amount", aggfunc="sum")
        wide = wide.reindex(index=names, columns=range(horizon)).fillna(0.0)
        wide.loc[:, wide.columns >= origins["number"].max() - row.number] = np.nan
        rest[row.origin] = wide
    return OpenDeals(brought, rest, by_rep, parts)


def _parts(told: pd.DataFrame, booked: pd.DataFrame) -> pd.DataFrame:
    """`pipeline_months.expected` and what is booked of the first month, by series, rep and what it comes of ("open deals, new")."""
    known = told.columns[told.notna().all()]
    rows = told.reset_index()
    rows["type"] = np.where(rows["type"].eq(pipeline_months.NONE), OPEN_DEALS, OPEN_DEALS + ", " + rows["type"])
    already = booked.fillna({"rep": pipeline_months.NONE}).groupby(["series", "rep"])["amount"].sum()
    first = already.rename(0).reset_index().assign(type=BOOKED)
    found = pd.concat([rows, first if 0 in known else first.iloc[:0]]).fillna(dict.fromkeys(known, 0.0))
    return found.set_index(["series", "rep", "type"])


def _ahead(entries: pd.DataFrame, origin: Any, horizon: int) -> pd.DataFrame:
    """Entries of an origin's month and those after it, `ahead` of it by so many months."""
    rows = entries[entries["month"].between(origin.number, origin.number + horizon - 1)]
    return rows.assign(origin=origin.origin, when=origin.when, ahead=rows["month"] - origin.number)


def _series(rows: pd.DataFrame, regions: bool) -> pd.Series:
    return REGION + rows["region"] if regions else pd.Series(COMPANY, rows.index)


def _origins(workspace: Workspace, instant: dt.datetime, first: pd.Timestamp) -> pd.DataFrame:
    """The instant's month and those before it since the first deal: origin (first day), number (of the month), when (that day in it)."""
    today = workspace.local_date(instant)
    months = pd.date_range(end=pd.Timestamp(today.replace(day=1)), periods=MONTHS + 1, freq="MS")
    whens = [min(month + pd.Timedelta(days=today.day - 1), month + pd.offsets.MonthEnd(0)) for month in months[:-1]]
    when = [*(pd.Timestamp(workspace.instant(day.date())) for day in whens), pd.Timestamp(instant)]
    found = pd.DataFrame({"origin": months, "number": months.year * 12 + months.month, "when": when})
    return found[found["when"] > first].reset_index(drop=True)


def _deals(tables: Tables, lives: pd.DataFrame, origins: pd.DataFrame) -> pd.DataFrame:
    """Deals open at each origin as known then: origin, opportunity_id, region, stage, due, call, type, rep, amount (known)."""
    spine = lives.merge(origins[["when"]], "cross")
    spine = spine[(spine["first_known_at"] < spine["when"]) & (spine["closed_at"].isna() | (spine["closed_at"] >= spine["when"]))]
    rows = placed(visible(tables, spine[["opportunity_id", "when"]].rename(columns={"when": "as_of"})))
    rows = rows[rows["amount"].notna()].assign(origin=rows["as_of"].map(origins.set_index("when")["origin"]))
    return rows.assign(due=pipeline_months.months_due(rows["close_date"], rows["origin"]))

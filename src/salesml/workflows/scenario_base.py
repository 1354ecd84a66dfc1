"""From a picture of the quarter to what scenarios are recomputed from: draws, cells, and how deals' chances depend on time."""

from __future__ import annotations

import datetime as dt
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from salesml.analytics import pace, scenario_base
from salesml.features.deals import DEALS
from salesml.lake import Tables, View, visible
from salesml.models.outlook import Outlook
from salesml.workflows import quarter_facts as facts
from salesml.workflows.deals import MODEL
from salesml.workflows.quarter import Picture, picture
from salesml.workspace import Workspace

DAY = pd.Timedelta(days=1)


def recomputable(
    workspace: Workspace, tables: Tables, instant: dt.datetime, scores: pd.DataFrame | None, seen: Picture | None = None
) -> tuple[Picture, scenario_base.Base]:
    """The picture of the quarter (`seen`, where it is made already) and the base case of its scenarios; raises as `quarter.picture`."""
    now = picture(workspace, tables, instant, scores) if seen is None else seen
    deals = now.deals.assign(amount=now.deals["amount"].astype("float64") * now.landed)
    view, books = visible(tables, instant), now.books
    left = (now.now["ends"] - now.now["at"]) / DAY
    timed = scores is not None and "p_quarter" in scores and bool(scores["p_quarter"].notna().any())
    made = scenario_base.base(
        deals, now.shock.size, now.quotas, (now.draws.won, now.draws.other), facts.this_quarter(books.entries, now.now),
        facts.lately(books.entries, now.now), books.history, books.fresh, _arrivals(now), left,
        _model_pace(workspace, view, deals, instant) if timed else _plain_pace(deals, now.past, pd.Timestamp(instant)),
        facts.labels(view),
    )  # fmt: skip
    return now, made


def _arrivals(now: Picture) -> pd.DataFrame:
    """Won deals that came after the same day of past quarters and before their end: since, days (until won), left, amount."""
    won = now.lives[now.lives["status"].eq("won") & now.lives["amount"].notna()]
    parts = [pd.DataFrame(columns=["since", "days", "left", "amount"], dtype="float64")]
    row: Any
    for row in now.quarters.iloc[1:].itertuples():
        rows = won[(won["first_known_at"] >= row.at) & (won["first_known_at"] < row.ends)]
        since, days = (rows["first_known_at"] - row.at) / DAY, (rows["closed_at"] - rows["first_known_at"]) / DAY
        parts.append(pd.DataFrame({"since": since, "days": days, "left": (row.ends - row.at) / DAY, "amount": rows["amount"]}))
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def _model_pace(workspace: Workspace, view: View, deals: pd.DataFrame, instant: dt.datetime) -> scenario_base.Pace:
    """By the deal model's chances by day; they are asked when a cycle is first turned."""
    day = np.datetime64(workspace.local_date(instant))

    @cache
    def outlook() -> Outlook | None:
        from salesml.registry import catalog

        rows = DEALS.frame(view).set_index("opportunity_id").loc[deals["opportunity_id"]].reset_index()
        return catalog.load(workspace, MODEL).outlook(rows[DEALS.names])

    def ratio(days: float, other: float) -> np.ndarray:
        known = outlook()
        if known is None:
            return np.ones(len(deals))
        usual, changed = known.by(days, "won", day), known.by(other, "won", day)
        return np.divide(changed, usual, out=np.ones(len(deals)), where=usual > 0)

    return ratio


def _plain_pace(deals: pd.DataFrame, past: pd.DataFrame, instant: pd.Timestamp) -> scenario_base.Pace:
    def ratio(days: float, other: float) -> np.ndarray:
        return pace.stretched(deals, past, instant, days, other)

    return ratio

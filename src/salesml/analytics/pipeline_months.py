"""What open deals bring in the months ahead: shares of their amounts, learnt from earlier months as they looked on the same day."""

from __future__ import annotations

import numpy as np
import pandas as pd

PRIOR = 10.0
"""Deals' worth of the coarser share that a finer one is drawn towards."""
FAR, UNDATED = 6, 99
KEYS = ["origin", "series", "stage", "due"]


def months_due(close_date: pd.Series, origin: pd.Series) -> np.ndarray:
    """Months from the origin's to that of the close date: -1 where it is past, at most FAR, UNDATED where there is none."""
    months = _month(pd.to_datetime(close_date)) - _month(origin)
    return np.where(close_date.isna(), UNDATED, months.clip(-1, FAR)).astype("int64")


def cells(deals: pd.DataFrame, came: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """Open deals by origin, series, stage and due (`months_due`): deals, amount, and what they brought in month 0 … horizon - 1.

    deals: one row per open deal and origin (a month's first day): origin, opportunity_id, series, stage, due, amount (currency, known).
    came: what they brought: origin, opportunity_id, ahead (months after the origin's), amount; a month without a row brought nothing.
    """
    wide = came.pivot_table(index=["origin", "opportunity_id"], columns="ahead", values="amount", aggfunc="sum")
    wide = wide.reindex(columns=range(horizon)).reset_index()
    rows = deals.merge(wide, "left", ["origin", "opportunity_id"])
    found = rows.groupby(KEYS).agg(deals=("amount", "size"), amount=("amount", "sum"), **{str(h): (h, "sum") for h in range(horizon)})
    return found.reset_index()


def expected(found: pd.DataFrame, origin: pd.Timestamp, series: list[str], horizon: int) -> pd.DataFrame:
    """What the deals open at an origin are to bring. Grain: one row per name in `series`; columns 0 … horizon - 1 (currency).

    found: `cells`. The share of their amounts that deals of a stage and due bring in a month is that of earlier origins, of which the
    month was over by then, drawn towards the stage's, that towards all deals'. Months further ahead than any that was over are missing.
    """
    ahead = (_month(found["origin"]) - _month(pd.Series([origin]))[0]).to_numpy()
    now = found[found["origin"] == origin]
    answer = pd.DataFrame(np.nan, index=pd.Index(series, name="series"), columns=range(horizon))
    for step in range(horizon):
        seen = found[ahead + step < 0]
        total, size = float(seen[str(step)].sum()), float(seen["amount"].sum())
        if not size:
            break
        each = PRIOR * size / float(seen["deals"].sum())
        stage = _share(seen, ["stage"], step, each, total / size)
        fine = _share(seen, ["stage", "due"], step, each, stage)
        coarse = now["stage"].map(stage).fillna(total / size)
        share = pd.Series(fine.reindex(pd.MultiIndex.from_frame(now[["stage", "due"]])).to_numpy(), now.index).fillna(coarse)
        answer[step] = (now["amount"] * share).groupby(now["series"]).sum().reindex(series).fillna(0.0)
    return answer


def _share(seen: pd.DataFrame, by: list[str], step: int, each: float, towards: float | pd.Series) -> pd.Series:
    sums = seen.groupby(by)[[str(step), "amount"]].sum()
    prior = towards if isinstance(towards, float) else towards.reindex(sums.index.get_level_values("stage")).to_numpy()
    return (sums[str(step)] + each * prior) / (sums["amount"] + each)


def _month(dates: pd.Series) -> pd.Series:
    return dates.dt.year * 12 + dates.dt.month

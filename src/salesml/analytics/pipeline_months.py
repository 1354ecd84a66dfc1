"""What open deals bring in the months ahead: shares of their amounts, learnt from earlier months as they looked on the same day.

A share goes by the deal's stage, when it is due and what its rep calls it (commit, best case, …), and by how far the deals that this
rep called so have brought more or less than such deals do.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

PRIOR, REP_PRIOR = 10.0, 30.0
"""Deals' worth of the coarser share that a finer one is drawn towards, and of no bias that a rep's is."""
MOST_BIAS = 4.0
FAR, UNDATED = 6, 99
NONE = ""
FINER = ("stage", "due", "call")
OF = ["series", "rep", "type"]
KEYS = ["origin", *FINER, *OF]


def months_due(close_date: pd.Series, origin: pd.Series) -> np.ndarray:
    """Months from the origin's to that of the close date: -1 where it is past, at most FAR, UNDATED where there is none."""
    months = _month(pd.to_datetime(close_date)) - _month(origin)
    return np.where(close_date.isna(), UNDATED, months.clip(-1, FAR)).astype("int64")


def cells(deals: pd.DataFrame, came: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """Open deals by KEYS (due as in `months_due`): deals, amount, and what they brought in month 0 … horizon - 1.

    deals: one row per open deal and origin (a month's first day): origin, opportunity_id, series, stage, due, call, rep, type,
    amount (currency, known); a call, rep or type may be missing.
    came: what they brought: origin, opportunity_id, ahead (months after the origin's), amount; a month without a row brought nothing.
    """
    wide = came.pivot_table(index=["origin", "opportunity_id"], columns="ahead", values="amount", aggfunc="sum")
    wide = wide.reindex(columns=range(horizon)).reset_index()
    rows = deals.merge(wide, "left", ["origin", "opportunity_id"]).fillna({"call": NONE, "rep": NONE, "type": NONE})
    found = rows.groupby(KEYS).agg(deals=("amount", "size"), amount=("amount", "sum"), **{str(h): (h, "sum") for h in range(horizon)})
    return found.reset_index()


def expected(found: pd.DataFrame, origin: pd.Timestamp, series: list[str], horizon: int) -> pd.DataFrame:
    """What the deals open at an origin are to bring. Grain: one row per series, rep and type ("": none, there for each name in
    `series`); columns 0 … horizon - 1 (currency).

    found: `cells`. The share of their amounts that deals of a stage, due and call bring in a month is that of earlier origins, of which
    the month was over by then, drawn towards that of the stage and due, that towards the stage's, that towards all deals'; times the
    bias of the rep's calls of that name. Months further ahead than any that was over are missing.
    """
    ahead = (_month(found["origin"]) - _month(pd.Series([origin]))[0]).to_numpy()
    now = found[found["origin"] == origin]
    nobody = pd.MultiIndex.from_product([series, [NONE], [NONE]], names=OF)
    answer = pd.DataFrame(np.nan, index=nobody.union(pd.MultiIndex.from_frame(now[OF])).unique(), columns=range(horizon))
    for step in range(horizon):
        seen = found[ahead + step < 0]
        if not seen["amount"].sum():
            break
        told = now["amount"] * _shares(seen.assign(brought=seen[str(step)]), now)
        answer[step] = told.groupby([now[name] for name in OF]).sum().reindex(answer.index).fillna(0.0)
    return answer


def _shares(seen: pd.DataFrame, now: pd.DataFrame) -> np.ndarray:
    """The share of its amount that each row of `now` is to bring, by what rows of `seen` have `brought`."""
    deals, amount, brought = (float(seen[name].sum()) for name in ("deals", "amount", "brought"))
    then, share, weight = np.full(len(seen), brought / amount), np.full(len(now), brought / amount), PRIOR * amount / deals
    for number in range(1, len(FINER) + 1):
        by = list(FINER[:number])
        sums = seen.assign(towards=then).groupby(by).agg({"brought": "sum", "amount": "sum", "towards": "first"})
        finer = (sums["brought"] + weight * sums["towards"]) / (sums["amount"] + weight)
        told = _of(finer, now, by)
        then, share = _of(finer, seen, by), np.where(np.isnan(told), share, told)
    by, weight = ["rep", "call"], REP_PRIOR * brought / deals
    if weight <= 0:  # nothing came, or more was credited than booked
        return share
    sums = seen.assign(usual=seen["amount"] * then).groupby(by)[["brought", "usual"]].sum()
    bias = ((sums["brought"] + weight) / (sums["usual"] + weight)).clip(1 / MOST_BIAS, MOST_BIAS)
    return share * np.nan_to_num(_of(bias, now, by), nan=1.0)


def _of(values: pd.Series, rows: pd.DataFrame, by: list[str]) -> np.ndarray:
    """The value of each row's group, NaN for a group that has none."""
    return rows[by].join(values.rename("value"), on=by)["value"].to_numpy("float64")


def _month(dates: pd.Series) -> pd.Series:
    return dates.dt.year * 12 + dates.dt.month

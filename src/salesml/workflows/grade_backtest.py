"""Would grades have been right? Graded week by week with a model that knew only what was known before, against what came of the leads."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd

from salesml.analytics.words import percent
from salesml.errors import NotEnoughData
from salesml.evaluation.bootstrap import percentile_interval, row_weights
from salesml.features.leads import LEADS
from salesml.lake import visible
from salesml.planning.lead_grades import GRADES, HOT, Rules, grade
from salesml.workflows.lead_value import lead_value_of
from salesml.workflows.leads import lead_table
from salesml.workflows.qualify import time_and_cost
from salesml.workflows.train_leads import tested_on
from salesml.workspace import Workspace

RESAMPLES = 400


@dataclass(frozen=True)
class GradeBacktest:
    """Weeks graded with what was known before them, and what became of the leads within the horizon.

    grades: one row per grade, hot first: snapshots (a lead counts in each week it was open), share (of all snapshots), converted, rate
    with lo, hi (90 %, resampled by lead), caught (share of all conversions), expected (conversions by the chances).
    weeks: one row per week and grade: as_of, grade, snapshots, converted, rate. capacity, cost: as known when the first week began.
    """

    grades: pd.DataFrame
    weeks: pd.DataFrame
    horizon_days: int
    capacity: int
    cost: float
    sentence: str


def grade_backtest(
    workspace: Workspace, as_of: str | dt.date | dt.datetime | None = None, rules: Rules | None = None
) -> GradeBacktest:
    """Grade the last part of the weekly snapshots by a lead model, worths, time and cost known when that part began.

    Where the snapshots are a draw of all leads, the time there is is that draw's part of it. Raises NotEnoughData as training does,
    and without a history of working leads where the rules give no capacity or cost.
    """
    rules = rules or Rules()
    table = lead_table(workspace, as_of)
    tested = tested_on(table, LEADS.hard_to_fake)
    rows = tested.split.test.reset_index(drop=True)
    view = visible(table.tables, tested.split.tested_from.to_pydatetime())
    capacity, cost, _ = time_and_cost(rules, view)
    lo, hi = tested.scorers[tested.chosen].interval(rows[LEADS.hard_to_fake])
    leads = rows.assign(probability=tested.told[tested.chosen], lo=lo, hi=hi, worth=lead_value_of(view).worth(rows))
    places = round(capacity * table.share)
    graded = pd.concat([grade(part, places, cost, rules) for _, part in leads.groupby("as_of")], ignore_index=True)
    grades = _by_grade(graded)
    weeks = graded.groupby(["as_of", "grade"]).agg(snapshots=("converted", "size"), converted=("converted", "sum")).reset_index()
    return GradeBacktest(
        grades, weeks.assign(rate=weeks["converted"] / weeks["snapshots"]), table.horizon_days, capacity, cost,
        _sentence(grades, graded["as_of"].nunique(), table.horizon_days),
    )  # fmt: skip


def _by_grade(graded: pd.DataFrame) -> pd.DataFrame:
    y, given, p = graded["converted"].to_numpy("float64"), graded["grade"].to_numpy(), graded["probability"].to_numpy()
    draws = list(row_weights(len(y), graded["lead_id"].to_numpy(), RESAMPLES, 0))
    rows = []
    for name in GRADES:
        mine = (given == name).astype("float64")
        rates = [float(weight @ (mine * y)) / max(float(weight @ mine), 1e-9) for weight in draws]
        lo, hi = percentile_interval(rates) if mine.any() else (np.nan, np.nan)
        rate = float(mine @ y / mine.sum()) if mine.any() else np.nan
        rows.append((name, int(mine.sum()), mine.mean(), int(mine @ y), rate, lo, hi, float(mine @ y / max(y.sum(), 1)), float(mine @ p)))
    return pd.DataFrame(rows, columns=["grade", "snapshots", "share", "converted", "rate", "lo", "hi", "caught", "expected"])


def _sentence(grades: pd.DataFrame, weeks: int, days: int) -> str:
    told = grades[grades["snapshots"] > 0].set_index("grade")
    if HOT not in told.index:
        raise NotEnoughData("nothing would have been hot: there is no time for leads, or none pays; see the rules' capacity and cost")
    each = ", ".join(f"{row['rate']:.1%} of the {name} ({row['lo']:.1%} to {row['hi']:.1%})" for name, row in told.iterrows())
    hot = told.loc[HOT]
    return (
        f"Graded in {weeks} past weeks with what was known before them, {each} converted within {days} days; the hot ones, "
        f"{percent(hot['share'])} of the leads, brought {percent(hot['caught'])} of the conversions."
    )

"""Revenue intervals judged on what came and on what was to be expected without noise."""

from __future__ import annotations

import pandas as pd

from salesml.analytics.revenue import basis, monthly_by_level
from salesml.evaluation.against_truth import intervals
from salesml.lake import visible
from salesml.trial.case import Case, Figure, figures
from salesml.workflows.forecast import COMPANY, REGION, forecast_now

PART = "revenue"
MONTHS = 3


def judge_revenue(case: Case) -> list[Figure]:
    """The revenue forecast of company, regions, teams and reps for the three months after the cutoff, knowing what was known at it."""
    made = forecast_now(case.workspace, case.tables, case.cutoff, MONTHS, prophet=False)
    came = _came(case)
    joined = made.result.frame.merge(came, on=["unique_id", "ds"]).merge(_expected(case), on=["unique_id", "ds"])
    found = []
    whole = joined["unique_id"] == COMPANY
    for level, rows in (("company", joined[whole]), ("regions", joined[~whole])):
        if rows.empty:
            continue
        values = {"wape": (rows["yhat"] - rows["y"]).abs().sum() / rows["y"].abs().sum()}
        values["wape_noiseless"] = (rows["yhat"] - rows["expected"]).abs().sum() / rows["expected"].sum()
        for share in (80, 95):
            judged = intervals(rows[f"lo{share}"], rows[f"hi{share}"], rows["y"], rows["expected"], level=share / 100)
            values |= {f"cover{share}": judged["coverage"], f"cover{share}_noiseless": judged["coverage_noiseless"]}
        found += figures(PART, f"champion, {level}", values)
    parts = made.parts.frame.merge(came, "left", ["unique_id", "ds"]).fillna({"y": 0.0})
    for level, rows in parts.groupby(parts["unique_id"].str.split("/").str[0]):
        values = {"wape": (rows["yhat"] - rows["y"]).abs().sum() / rows["y"].abs().sum()}
        for share in (80, 95):
            values[f"cover{share}"] = float(rows["y"].between(rows[f"lo{share}"], rows[f"hi{share}"]).mean())
        found += figures(PART, f"champion, {level}s", values)
    naive = _naive(made.history).merge(came, on=["unique_id", "ds"])
    naive = naive[naive["unique_id"] == COMPANY]
    if len(naive):
        error = (naive["yhat"] - naive["y"]).abs().sum() / naive["y"].abs().sum()
        found += figures(PART, "same month last year, company", {"wape": error})
    return found


def _came(case: Case) -> pd.DataFrame:
    """unique_id, ds, y: revenue of every node in the months after the cutoff that had any, as known at the end."""
    view = visible(case.tables, case.end)
    rows = monthly_by_level(view, basis(view))
    names = rows["name"].where(rows["level"] == COMPANY, rows["level"] + "/" + rows["name"])
    return pd.DataFrame({"unique_id": names, "ds": rows["month"], "y": rows["amount"].astype(float)})


def _expected(case: Case) -> pd.DataFrame:
    """unique_id, ds, expected: the same months without their noise."""
    rows = case.truth("revenue_month")
    rows = rows[rows["entity_type"].isin(["company", "region"]) & (rows["kind"] != "booking")]
    name = rows["entity_id"].where(rows["entity_type"] == "company", REGION + rows["entity_id"])
    rows = pd.DataFrame({"unique_id": name, "ds": pd.to_datetime(rows["month"]), "expected": rows["expected"]})
    return rows.groupby(["unique_id", "ds"])[["expected"]].sum().reset_index()


def _naive(history: pd.DataFrame) -> pd.DataFrame:
    """unique_id, ds, yhat: the company's revenue of each month, a year on."""
    whole = history.groupby("month")["amount"].sum().astype("float64")
    return pd.DataFrame({"unique_id": COMPANY, "ds": pd.DatetimeIndex(whole.index) + pd.DateOffset(years=1), "yhat": whole.to_numpy()})

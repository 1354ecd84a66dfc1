"""Effects judged against the true ones: of a meeting with the customer, and of the nurture programme."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from salesml.analytics.likeness import Estimate, slope
from salesml.errors import NotEnoughData
from salesml.lake import visible
from salesml.models.deals import LEAST_OUTCOMES
from salesml.trial.case import Case, Figure, failed, figures

MEETING, NURTURE = "effect of a meeting", "effect of nurture mails"
OLD_ENOUGH_DAYS = 120
CONFOUNDERS = ("stage", "type", "segment", "source", "competitor_id", "forecast_category")
MEASURED = (
    "age_days", "inbound_28d", "activities_28d", "meetings", "days_since_inbound", "close_date_changes", "owner_win_rate",
    "amount",
)  # fmt: skip


def judge_effects(case: Case) -> list[Figure]:
    """Each effect as a plain difference and adjusted (deals) or from the leads drawn by lot; beside the truth."""
    return _meetings(case) + _nurture(case)


def _meetings(case: Case) -> list[Figure]:
    try:
        rows = case.table.labelled
    except NotEnoughData as lack:
        return failed(MEETING, "difference", str(lack)) + failed(MEETING, "adjusted", str(lack))
    view = visible(case.tables, case.cutoff)
    facts = view.facts("activity")
    held = facts.filter(facts.type.isin(["meeting", "demo"]), facts.outcome == "held")
    met = view.frame(held.select("opportunity_id", "occurred_at"))
    monday = met["occurred_at"].dt.floor("D") - pd.to_timedelta(met["occurred_at"].dt.weekday, unit="D")
    weeks = pd.MultiIndex.from_arrays([met["opportunity_id"], monday.astype("datetime64[s, UTC]")])
    # a merge gives the truth of the very weeks the estimate is made from
    rows = rows.assign(as_of=rows["as_of"].astype("datetime64[s, UTC]"))
    week = case.truth("deal_week")[["opportunity_id", "as_of", "p_win_met", "p_win_unmet"]]
    rows = rows.merge(week, on=["opportunity_id", "as_of"])
    index = pd.MultiIndex.from_frame(rows[["opportunity_id", "as_of"]])
    treated, won = index.isin(weeks).astype("float64"), rows["won"].to_numpy(dtype="float64")
    truth = float((rows["p_win_met"] - rows["p_win_unmet"]).mean())
    groups = pd.factorize(rows["opportunity_id"])[0]
    design = pd.get_dummies(rows[list(CONFOUNDERS)], dummy_na=True, drop_first=True, dtype="float64").to_numpy()
    numbers = rows[list(MEASURED)].astype("float64")
    numbers = numbers.fillna(numbers.median()).fillna(0)
    numbers = (numbers - numbers.mean()) / numbers.std().replace(0, 1)
    found = _judged(MEETING, "difference", slope(treated, won, np.zeros((len(won), 0)), groups), truth)
    return found + _judged(MEETING, "adjusted", slope(treated, won, np.column_stack([design, numbers.to_numpy()]), groups), truth)


def _nurture(case: Case) -> list[Figure]:
    end, view = pd.Timestamp(case.end), visible(case.tables, case.end)
    rows = view.frame(view.state("lead", ["custom", "status", "deleted"]))
    rows = rows[(rows["created_at"] < end - pd.Timedelta(days=OLD_ENOUGH_DAYS)) & rows["deleted"].isna()]
    truth = case.truth("lead").set_index("lead_id")
    rows = rows[rows["lead_id"].isin(truth.index)]
    said = pd.DataFrame([json.loads(text) for text in rows["custom"]], index=rows.index)
    uplift = (truth["p_with"] - truth["p_without"]).reindex(rows["lead_id"]).to_numpy()
    treated = (said["nurture"] == "yes").to_numpy(dtype="float64")
    converted, lot = (rows["status"] == "converted").to_numpy(dtype="float64"), (said["by"] == "lot").to_numpy()
    found = []
    for method, chosen in (("difference", np.ones(len(rows), bool)), ("by lot", lot)):
        if min(treated[chosen].sum(), (1 - treated[chosen]).sum()) < LEAST_OUTCOMES:
            found += failed(NURTURE, method, "fewer than 20 leads with or without the programme")
            continue
        n = int(chosen.sum())
        estimate = slope(treated[chosen], converted[chosen], np.zeros((n, 0)), np.arange(n))
        found += _judged(NURTURE, method, estimate, float(uplift[chosen].mean()))
    return found


def _judged(part: str, method: str, found: Estimate, truth: float) -> list[Figure]:
    inside = float(found.lo <= truth <= found.hi)
    values = {"bias": found.estimate - truth, "covered": inside, "estimate": found.estimate, "truth": truth}
    return figures(part, method, values)

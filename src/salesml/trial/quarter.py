"""The quarter's revenue as seen in its fourth week, beside what plainer methods say and what the truth expected."""

from __future__ import annotations

import datetime as dt

import pandas as pd

from salesml.analytics.revenue import basis, monthly
from salesml.errors import NotEnoughData
from salesml.lake import View, visible
from salesml.trial.case import Case, Figure, failed, figures
from salesml.workflows.fit_deals import STAGE, rates_at
from salesml.workflows.forecast import COMPANY, forecast_now
from salesml.workflows.quarter_facts import placed, revenue_entries

PART = "quarter in its fourth week"
MONTHS = 3


def judge_quarter(case: Case) -> list[Figure]:
    """Relative error of the company's quarter: the forecast, series alone, stage-weighted pipeline, last year's quarter, the oracle.

    The oracle is the truth's expectation of every week given what had happened by its start: it sees weeks that a forecast does not.
    """
    at, months = case.later[1], pd.date_range(case.cutoff.date(), periods=MONTHS, freq="MS")
    known, end = visible(case.tables, at), visible(case.tables, case.end)
    amounts = monthly(end, basis(end)).groupby("month")["amount"].sum().astype("float64")
    came, last_year = amounts.reindex(months).sum(), amounts.reindex(months - pd.DateOffset(years=1)).sum()
    truth = case.truth("revenue_month")
    truth = truth[(truth["entity_type"] == COMPANY) & (truth["kind"] != "booking")]
    expected = truth.groupby(pd.to_datetime(truth["month"]))["expected"].sum()
    told = {"same quarter last year": last_year, "oracle": expected.reindex(months).sum()}
    for name, deals in (("forecast", True), ("forecast without open deals", False)):
        frame = forecast_now(case.workspace, case.tables, at, MONTHS, prophet=False, open_deals=deals).result.frame
        told[name] = frame[frame["unique_id"] == COMPANY]["yhat"].sum()
    missing = []
    try:
        told["stage-weighted pipeline"] = _stage_weighted(case, known, pd.Timestamp(at), (months[-1] + pd.DateOffset(months=1)).date())
    except NotEnoughData as lack:
        missing = failed(PART, "stage-weighted pipeline", str(lack))
    return [row for name, value in told.items() for row in figures(PART, name, {"wape": abs(value - came) / came})] + missing


def _stage_weighted(case: Case, known: View, at: pd.Timestamp, end: dt.date) -> float:
    """Booked in the quarter so far, and amount × win rate of its stage of the open deals that are due in it."""
    entries, deals = revenue_entries(known), placed(known)
    booked = entries[(entries["at"] >= pd.Timestamp(case.cutoff)) & (entries["at"] < at)]["amount"].sum()
    due = deals[(pd.to_datetime(deals["close_date"]) < pd.Timestamp(end)) & deals["amount"].notna()]
    rate = rates_at(case.table, pd.Timestamp(case.cutoff))[STAGE]
    return float(booked + due["amount"] @ rate.predict(due))

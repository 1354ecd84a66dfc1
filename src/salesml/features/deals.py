"""Features of deals: the deal's own state and history, its activities, and the records of its rep, account and product.

Grain: one row per (opportunity_id, as_of). Everything is asked of `visible`, so nothing known at or after as_of can enter.
Activity windows count what was *entered* in the days before as_of, so that they are defined by what could be seen.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import ibis

from salesml.features.catalogue import Feature, FeatureSet
from salesml.lake import View
from salesml.lake.asof import Totals, days_between, utc_day

RECENT = dt.timedelta(days=28)
CLOSED = ("won", "lost", "no_decision")
RECORD_KEYS = ("owner_id", "account_id", "product_id")


def _is(column: str, *values: str) -> Any:
    return lambda rows: rows[column].isin(values).fill_null(False).cast("int64")


def _inbound(rows: Any) -> Any:
    return (rows.direction == "inbound").fill_null(False)


ACTIVITY = Totals(
    "activity",
    by="opportunity_id",
    sums={
        "activities": lambda rows: ibis.literal(1, "int64"),
        "inbound": lambda rows: _inbound(rows).cast("int64"),
        "meetings": _is("type", "meeting", "demo"),
        "calls": _is("type", "call"),
    },
    latest={
        "last_activity_at": lambda rows: rows.occurred_at,
        "last_inbound_at": lambda rows: ibis.ifelse(_inbound(rows), rows.occurred_at, None),
    },
)


def _record(by: str | None) -> Totals:
    """Deals that stand as won and as closed, by rep, account or product, or of the whole company."""
    sums = {f"{by or 'company'}_won": _is("status", "won"), f"{by or 'company'}_closed": _is("status", *CLOSED)}
    return Totals("opportunity", by=by, sums=sums, of="states", columns=("status", *RECORD_KEYS))


RECORDS = {by: _record(by) for by in RECORD_KEYS}
COMPANY = _record(None)
PRIOR_DEALS = {"owner_id": 10, "account_id": 3, "product_id": 10}
"""Closed deals at the company's win rate that a record starts with, so that three deals do not make a star."""

_OPP, _ACT, _ACC, _USER = ("opportunity",), ("activity",), ("opportunity", "account"), ("opportunity", "user")

FEATURES = (
    Feature("stage", "category", "stage the deal is in", "name", _OPP, manipulable=True),
    Feature("stage_order", "int", "position of the stage, 1 = first", "position", _OPP, manipulable=True),
    Feature("age_days", "float", "time since the deal was created", "days", _OPP),
    Feature("stage_age_days", "float", "time since the current stage was entered", "days", _OPP),
    Feature("stage_changes", "int", "stage changes so far", "changes", _OPP),
    Feature("amount", "float", "amount entered so far", "currency", _OPP, manipulable=True),
    Feature("amount_growth", "float", "amount over the first amount entered", "ratio", _OPP, manipulable=True),
    Feature("discount", "float", "discount off list", "share", _OPP),
    Feature(
        "days_to_close_date",
        "float",
        "expected close date minus as_of; negative when overdue",
        "days",
        _OPP,
        manipulable=True,
    ),
    Feature("close_date_changes", "int", "times the expected close date was moved", "changes", _OPP, manipulable=True),
    Feature("owner_changes", "int", "times the deal changed hands", "changes", _OPP),
    Feature("forecast_category", "category", "the rep's call", "name", _OPP, manipulable=True),
    Feature("product_id", "category", "main product", "name", _OPP),
    Feature("source", "category", "where the deal came from", "name", _OPP),
    Feature("type", "category", "new, renewal, expansion", "name", _OPP),
    Feature("segment", "category", "market segment", "name", _OPP),
    Feature("competitor_id", "category", "main competitor", "name", _OPP),
    Feature("activities", "int", "activities so far", "activities", _ACT, imputation="none counts as 0"),
    Feature("inbound", "int", "activities started by the customer", "activities", _ACT, imputation="none counts as 0"),
    Feature("meetings", "int", "meetings and demos so far", "activities", _ACT, imputation="none counts as 0"),
    Feature("calls", "int", "calls so far", "activities", _ACT, imputation="none counts as 0", manipulable=True),
    Feature(
        "activities_28d",
        "int",
        "activities entered in the last 28 days",
        "activities",
        _ACT,
        imputation="none counts as 0",
    ),
    Feature(
        "inbound_28d",
        "int",
        "customer-started activities entered in the last 28 days",
        "activities",
        _ACT,
        imputation="none counts as 0",
    ),
    Feature("days_since_activity", "float", "time since the last activity", "days", _ACT),
    Feature("days_since_inbound", "float", "time since the customer last started something", "days", _ACT),
    Feature(
        "owner_win_rate", "float", "win rate of the rep so far, shrunk toward the company's by 10 deals", "share", _OPP
    ),
    Feature(
        "account_win_rate",
        "float",
        "win rate of the account so far, shrunk toward the company's by 3 deals",
        "share",
        _OPP,
    ),
    Feature(
        "product_win_rate",
        "float",
        "win rate of the product so far, shrunk toward the company's by 10 deals",
        "share",
        _OPP,
    ),
    Feature("industry", "category", "industry of the account", "name", _ACC),
    Feature("region", "category", "region of the rep, else of the account", "name", ("opportunity", "account", "user")),
    Feature("employees", "int", "employees of the account", "people", _ACC),
    Feature("days_to_quarter_end", "int", "days left in the calendar quarter (UTC)", "days", ()),
)


def build(view: View) -> Any:
    """Features of the view's deals as an Ibis table: opportunity_id, as_of, context columns, then FEATURES in order."""
    rows = view.state(
        "opportunity",
        ["status", "stage", "stage_order", "amount", "discount", "close_date", "forecast_category", "owner_id", "account_id",
         "product_id", "competitor_id", "source", "type", "segment", "deleted"],
        since=["stage"], changes=["stage", "close_date", "owner_id"], first=["amount"],
    )  # fmt: skip
    rows = view.with_totals(rows, ACTIVITY, "opportunity_id")
    rows = view.with_totals(rows, ACTIVITY, "opportunity_id", back=RECENT, suffix="_before")
    rows = view.with_state(rows, "account", "account_id", ["industry", "region", "employees"], prefix="account_")
    rows = view.with_state(rows, "user", "owner_id", ["region"], prefix="user_")
    for by, record in RECORDS.items():
        rows = view.with_totals(rows, record, by, crowded=by != "account_id")
    rows = view.with_totals(rows, COMPANY, None, crowded=True)
    rows = rows.filter(~ibis.coalesce(rows.deleted, False))
    return _finish(rows)


def _finish(rows: Any) -> Any:
    day = utc_day(rows.as_of)
    next_quarter = day.truncate("Q") + ibis.interval(months=3)
    amount = rows.amount.cast("float64")
    company = (rows.company_won + 1) / (rows.company_closed + 2)
    rates = {
        f"{by.removesuffix('_id')}_win_rate": (rows[f"{by}_won"] + prior * company) / (rows[f"{by}_closed"] + prior)
        for by, prior in PRIOR_DEALS.items()
    }
    return rows.select(
        "opportunity_id", "as_of", "status", "owner_id", "account_id", "close_date", "stage", "stage_order",
        age_days=days_between(rows.as_of, rows.created_at),
        stage_age_days=days_between(rows.as_of, rows.stage_since),
        stage_changes=rows.stage_changes,
        amount=amount,
        amount_growth=amount / rows.amount_first.cast("float64").nullif(0.0),
        discount=rows.discount,
        days_to_close_date=rows.close_date.delta(day, unit="day").cast("float64"),
        close_date_changes=rows.close_date_changes,
        owner_changes=rows.owner_id_changes,
        **{name: rows[name] for name in ("forecast_category", "product_id", "source", "type", "segment", "competitor_id")},
        **{name: rows[name] for name in ("activities", "inbound", "meetings", "calls")},
        activities_28d=rows.activities - rows.activities_before,
        inbound_28d=rows.inbound - rows.inbound_before,
        days_since_activity=days_between(rows.as_of, rows.last_activity_at),
        days_since_inbound=days_between(rows.as_of, rows.last_inbound_at),
        **rates,
        industry=rows.account_industry,
        region=ibis.coalesce(rows.user_region, rows.account_region),
        employees=rows.account_employees,
        days_to_quarter_end=next_quarter.delta(day, unit="day"),
    )  # fmt: skip


DEALS = FeatureSet("deals", "opportunity_id", FEATURES, ("status", "owner_id", "account_id", "close_date"), build)

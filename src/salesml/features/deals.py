"""Features of deals: the deal's own state and history, its activities, and the records of its rep, account and product.

Grain: one row per (opportunity_id, as_of). Everything is asked of `visible`, so nothing known at or after as_of can enter.
Activity windows count what was *entered* in the days before as_of, so that they are defined by what could be seen.

Where the features come from: stage, age, moved close dates and amounts, silence (Yan, Zhang, Zha et al. 2015, "On machine
learning towards predictive sales pipeline analytics", AAAI); the rep's own call, record and load (Bohanec, Borstnar and
Robnik-Sikonja 2017, "Explaining machine learning models in sales predictions", Expert Systems with Applications 72); number
and rank of the people engaged (the buying centre: Johnston and Bonoma 1981, Journal of Marketing 45); who answers whom, and in
what words, as CRM vendors' conversation scores count it.
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
UNANSWERED = "no.show|no answer|voice ?mail|cancel|bounced"
KEEN = r"\b(approved?|approval|sign(ed|ing)?|purchase order|go ahead|move forward|looking forward|ready to|happy to|when can we)\b"
DOUBTING = r"\b(no budget|on hold|postpon|delay|reorgani|freez|not (now|yet)|next year|too expensive|unfortunately|nobody|other priorities)"
"""English cues of a customer's text; a text in another language has none."""
COUNTS = ("activities", "inbound", "meetings", "calls", "people", "unanswered", "keen", "doubting")


def _is(column: str, *values: str) -> Any:
    return lambda rows: rows[column].isin(values).fill_null(False).cast("int64")


def _inbound(rows: Any) -> Any:
    return (rows.direction == "inbound").fill_null(False)


def _first_of_person(rows: Any) -> Any:
    """1 for the activity by which a person first appears in the deal."""
    order = ibis.window(
        group_by=["opportunity_id", "contact_id"], order_by=["known_at", "occurred_at", "activity_id"]
    )
    return (rows.contact_id.notnull() & (ibis.row_number().over(order) == 0)).cast("int64")


def _said(pattern: str) -> Any:
    """Activities started by the customer whose text matches."""
    return lambda rows: (_inbound(rows) & rows.body.lower().re_search(pattern).fill_null(False)).cast("int64")


def _unanswered(rows: Any) -> Any:
    return rows.outcome.lower().re_search(UNANSWERED).fill_null(False).cast("int64")


ACTIVITY = Totals(
    "activity",
    by="opportunity_id",
    sums={
        "activities": lambda rows: ibis.literal(1, "int64"),
        "inbound": lambda rows: _inbound(rows).cast("int64"),
        "meetings": _is("type", "meeting", "demo"),
        "calls": _is("type", "call"),
        "people": _first_of_person,
        "unanswered": _unanswered,
        "keen": _said(KEEN),
        "doubting": _said(DOUBTING),
    },
    latest={
        "last_activity_at": lambda rows: rows.occurred_at,
        "last_inbound_at": lambda rows: ibis.ifelse(_inbound(rows), rows.occurred_at, None),
        "most_attendees": lambda rows: rows.attendees,
    },
)


def _record(by: str | None) -> Totals:
    """Deals that stand as won, closed and open, by rep, account or product, or of the whole company."""
    name = by or "company"
    sums = {f"{name}_won": _is("status", "won"), f"{name}_closed": _is("status", *CLOSED)}
    if by in ("owner_id", "account_id"):
        sums[f"{name}_open"] = _is("status", "open")
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
    Feature("contact_seniority", "category", "rank of the main contact", "name", ("opportunity", "contact")),
    Feature("people", "int", "people at the customer with an activity so far", "people", _ACT, imputation="none counts as 0"),
    Feature("most_attendees", "int", "most people of the customer at one meeting", "people", _ACT),
    Feature("reply_share_28d", "float", "share started by the customer of what was entered in the last 28 days", "share", _ACT),
    Feature(
        "meetings_28d", "int", "meetings and demos entered in the last 28 days", "activities", _ACT, imputation="none counts as 0"
    ),
    Feature(
        "unanswered", "int", "calls without answer and meetings nobody came to", "activities", _ACT, imputation="none counts as 0"
    ),
    Feature("keen", "int", "texts of the customer with words of consent", "activities", _ACT, imputation="none counts as 0"),
    Feature("doubting", "int", "texts of the customer with words of doubt", "activities", _ACT, imputation="none counts as 0"),
    Feature("keen_28d", "int", "such texts entered in the last 28 days", "activities", _ACT, imputation="none counts as 0"),
    Feature("doubting_28d", "int", "such texts entered in the last 28 days", "activities", _ACT, imputation="none counts as 0"),
    Feature("has_next_step", "int", "1 if a next step is written down", "yes or no", _OPP, imputation="none counts as 0", manipulable=True),
    Feature("next_step_age_days", "float", "time since the next step was last written", "days", _OPP, manipulable=True),
    Feature("amount_changes", "int", "times the amount was changed", "changes", _OPP, manipulable=True),
    Feature("crm_probability", "float", "probability entered in the source system", "share", _OPP, manipulable=True),
    Feature("stages_per_week", "float", "stage changes over the weeks since the deal was created", "changes per week", _OPP),
    Feature("owner_open_deals", "int", "deals the rep has open, this one too", "deals", _OPP),
    Feature("account_open_deals", "int", "deals open with the account, this one too", "deals", _OPP),
    Feature("is_customer", "int", "1 if the account has bought before", "yes or no", _OPP, imputation="none counts as 0"),
    Feature("owner_tenure_days", "float", "time since the rep was hired, at most a year: then it would only tell the date", "days", _USER),
    Feature("days_to_quarter_end", "int", "days left in the calendar quarter (UTC)", "days", ()),
)


def build(view: View) -> Any:
    """Features of the view's deals as an Ibis table: opportunity_id, as_of, context columns, then FEATURES in order."""
    rows = view.state(
        "opportunity",
        ["status", "stage", "stage_order", "amount", "discount", "close_date", "forecast_category", "owner_id", "account_id",
         "product_id", "competitor_id", "contact_id", "source", "type", "segment", "next_step", "probability", "deleted"],
        since=["stage", "next_step"], changes=["stage", "close_date", "owner_id", "amount"], first=["amount"],
    )  # fmt: skip
    rows = view.with_totals(rows, ACTIVITY, "opportunity_id")
    rows = view.with_totals(rows, ACTIVITY, "opportunity_id", back=RECENT, suffix="_before")
    rows = view.with_state(rows, "account", "account_id", ["industry", "region", "employees"], prefix="account_")
    rows = view.with_state(rows, "user", "owner_id", ["region", "hired_on"], prefix="user_")
    rows = view.with_state(rows, "contact", "contact_id", ["seniority"], prefix="contact_")
    for by, record in RECORDS.items():
        rows = view.with_totals(rows, record, by, crowded=by != "account_id")
    rows = view.with_totals(rows, COMPANY, None, crowded=True)
    rows = rows.filter(~ibis.coalesce(rows.deleted, False))
    return _finish(rows)


def _finish(rows: Any) -> Any:
    day = utc_day(rows.as_of)
    next_quarter = day.truncate("Q") + ibis.interval(months=3)
    amount = rows.amount.cast("float64")
    age = days_between(rows.as_of, rows.created_at)
    noted = (rows.next_step != "").fill_null(False)
    recent = {name: rows[name] - rows[f"{name}_before"] for name in COUNTS}
    company = (rows.company_won + 1) / (rows.company_closed + 2)
    rates = {
        f"{by.removesuffix('_id')}_win_rate": (rows[f"{by}_won"] + prior * company) / (rows[f"{by}_closed"] + prior)
        for by, prior in PRIOR_DEALS.items()
    }
    return rows.select(
        "opportunity_id", "as_of", "status", "owner_id", "account_id", "close_date", "stage", "stage_order",
        age_days=age,
        stage_age_days=days_between(rows.as_of, rows.stage_since),
        stage_changes=rows.stage_changes,
        amount=amount,
        amount_growth=amount / rows.amount_first.cast("float64").nullif(0.0),
        discount=rows.discount,
        days_to_close_date=rows.close_date.delta(day, unit="day").cast("float64"),
        close_date_changes=rows.close_date_changes,
        owner_changes=rows.owner_id_changes,
        **{name: rows[name] for name in ("forecast_category", "product_id", "source", "type", "segment", "competitor_id")},
        **{name: rows[name] for name in COUNTS},
        **{f"{name}_28d": recent[name] for name in ("activities", "inbound", "meetings", "keen", "doubting")},
        reply_share_28d=recent["inbound"] / recent["activities"].nullif(0),
        most_attendees=rows.most_attendees,
        contact_seniority=rows.contact_seniority,
        has_next_step=noted.cast("int64"),
        next_step_age_days=ibis.ifelse(noted, days_between(rows.as_of, rows.next_step_since), None),
        amount_changes=rows.amount_changes,
        crm_probability=rows.probability,
        stages_per_week=rows.stage_changes / ibis.greatest(age / 7, 1.0),
        owner_open_deals=rows.owner_id_open,
        account_open_deals=rows.account_id_open,
        is_customer=(rows.account_id_won > 0).cast("int64"),
        owner_tenure_days=ibis.least(day.delta(rows.user_hired_on, unit="day"), 365).cast("float64"),
        days_since_activity=days_between(rows.as_of, rows.last_activity_at),
        days_since_inbound=days_between(rows.as_of, rows.last_inbound_at),
        **rates,
        industry=rows.account_industry,
        region=ibis.coalesce(rows.user_region, rows.account_region),
        employees=rows.account_employees,
        days_to_quarter_end=next_quarter.delta(day, unit="day"),
    )  # fmt: skip


DEALS = FeatureSet("deals", "opportunity_id", FEATURES, ("status", "owner_id", "account_id", "close_date"), build)

"""Features of leads: who they are, where they come from, and what they did, with what is old counting less.

Grain: one row per (lead_id, as_of). Everything is asked of `visible`, so nothing known at or after as_of can enter. Windows count what
was *entered* in the days before as_of. What salespeople do with a lead is `manipulable`, and how they have judged it (its status) is no
feature at all: a score that repeats the judgement it is to help with says nothing. A duplicate that was deleted is no lead.

Where the features come from: kinds of online behaviour and their recency as interest (Järvinen and Taiminen 2016, "Harnessing marketing
automation for B2B content marketing", Industrial Marketing Management 54); source, landing page and form data as what a lead score goes
by (Nygård and Mezei 2020, "Automating lead scoring with machine learning", HICSS 53); fit by title, industry and size as CRM vendors'
point schemes count it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import ibis

from salesml.features.catalogue import Feature, FeatureSet
from salesml.features.spines import LEAD_CLOSED
from salesml.lake import View
from salesml.lake.asof import Totals, days_between

WEEK, MONTH = dt.timedelta(days=7), dt.timedelta(days=28)
OLD = {"7d": 1.0, "28d": 0.5, "before": 0.15}
"""What an event counts by when it was entered: in the last week, in the three weeks before, earlier."""
KINDS = {
    "visits": ("web_visit",), "opens": ("email_open",), "clicks": ("email_click",), "replies": ("email_reply",),
    "downloads": ("download",), "webinars": ("webinar",), "forms": ("form",), "social": ("social",),
}  # fmt: skip
"""Events as they are counted; a kind that is not here counts among all events only."""
BUYING = "pric|quote|demo|trial|checkout|return calculator|buyer"
"""Pages and files that people look at who think of buying (English)."""
ENGAGEMENT = {"opens": 1.0, "clicks": 3.0, "replies": 8.0, "social": 1.0, "visits": 1.0, "webinars": 6.0}
INTENT = {"forms": 10.0, "downloads": 5.0, "buying": 6.0, "replies": 4.0}
"""Points of a usual scheme (a reply says more than an open); what the learnt score makes of the counts is its own affair."""
PRIOR_LEADS = 20
"""Closed leads at everybody's rate that a source's record starts with."""


def _one(*kinds: str) -> Any:
    return lambda rows: rows.type.isin(kinds).fill_null(False).cast("int64")


def _buying(rows: Any) -> Any:
    return rows.content.lower().re_search(BUYING).fill_null(False).cast("int64")


EVENTS = Totals(
    "lead_event",
    by="lead_id",
    sums={
        "events": lambda rows: ibis.literal(1, "int64"),
        "buying": _buying,
        **{name: _one(*kinds) for name, kinds in KINDS.items()},
    },
    latest={"last_event_at": lambda rows: rows.occurred_at},
)
COUNTS = ("events", "buying", *KINDS)
CONTACTS = Totals(
    "activity",
    by="lead_id",
    sums={
        "activities": lambda rows: ibis.literal(1, "int64"),
        "inbound": lambda rows: (rows.direction == "inbound").fill_null(False).cast("int64"),
    },
)


def _record(by: str | None) -> Totals:
    """Leads that stand as converted and as closed, by source or campaign, or of the whole company."""
    name = by or "company"
    sums = {
        f"{name}_converted": lambda rows: (rows.status == "converted").fill_null(False).cast("int64"),
        f"{name}_closed": lambda rows: rows.status.isin(LEAD_CLOSED).fill_null(False).cast("int64"),
    }
    return Totals("lead", by=by, sums=sums, of="states", columns=("status", "source", "campaign_id"))


RECORDS = {by: _record(by) for by in ("source", "campaign_id")}
COMPANY = _record(None)

_LEAD, _EVENT, _ACT = ("lead",), ("lead_event",), ("activity",)
_NONE = "none counts as 0"
_NAMES = {
    "events": "things the lead did", "buying": "looks at prices, demos, buyers' files", "visits": "web visits", "opens": "mails opened",
    "clicks": "links in mails clicked", "replies": "mails replied to", "downloads": "files downloaded", "webinars": "webinars",
    "forms": "forms filled in", "social": "reactions in social media",
}  # fmt: skip


def _counted() -> Iterable[Feature]:
    for name in COUNTS:
        yield Feature(name, "int", f"{_NAMES[name]}, so far", "events", _EVENT, imputation=_NONE)
    for name in ("events", "buying", "visits", "clicks"):
        yield Feature(f"{name}_7d", "int", f"{_NAMES[name]}, entered in the last 7 days", "events", _EVENT, imputation=_NONE)
    yield Feature("events_28d", "int", "things the lead did, entered in the last 28 days", "events", _EVENT, imputation=_NONE)


FEATURES = (
    Feature("source", "category", "where the lead came from", "name", _LEAD),
    Feature("campaign_id", "category", "campaign it came by", "name", _LEAD),
    Feature("landing_page", "category", "page of first contact", "name", _LEAD),
    Feature("industry", "category", "industry of the company", "name", _LEAD),
    Feature("country", "category", "country", "name", _LEAD),
    Feature("title", "category", "job title", "name", _LEAD),
    Feature("employees", "int", "employees of the company", "people", _LEAD),
    Feature("age_days", "float", "time since the lead became known", "days", _LEAD),
    *_counted(),
    Feature("days_since_event", "float", "time since the lead last did something", "days", _EVENT),
    Feature("engagement_points", "float", "points for opens, clicks, replies, visits, webinars and social, old ones less", "points", _EVENT,
            imputation=_NONE),
    Feature("intent_points", "float", "points for forms, downloads, replies and looks at prices, old ones less", "points", _EVENT,
            imputation=_NONE),
    Feature("source_conversion", "float", "conversion rate of the source's closed leads so far, shrunk toward all by 20", "share", _LEAD),
    Feature("campaign_conversion", "float", "conversion rate of the campaign's closed leads so far, shrunk toward all by 20", "share",
            _LEAD),
    Feature("activities", "int", "calls, mails and meetings of salespeople so far", "activities", _ACT, imputation=_NONE, manipulable=True),
    Feature("inbound", "int", "activities started by the lead", "activities", _ACT, imputation=_NONE),
)  # fmt: skip


def build(view: View) -> Any:
    """Features of the view's leads as an Ibis table: lead_id, as_of, context columns, then FEATURES in order."""
    rows = view.state(
        "lead", ["status", "source", "campaign_id", "landing_page", "industry", "country", "title", "employees", "owner_id", "deleted"]
    )
    rows = view.with_totals(rows, EVENTS, "lead_id")
    for back, suffix in ((WEEK, "_week"), (MONTH, "_month")):
        rows = view.with_totals(rows, EVENTS, "lead_id", back=back, suffix=suffix)
    rows = view.with_totals(rows, CONTACTS, "lead_id")
    for by, record in RECORDS.items():
        rows = view.with_totals(rows, record, by, crowded=True)
    rows = view.with_totals(rows, COMPANY, None, crowded=True)
    return _finish(rows.filter(~ibis.coalesce(rows.deleted, False)))


def _finish(rows: Any) -> Any:
    company = (rows.company_converted + 1) / (rows.company_closed + 2)
    rates = {
        f"{by.removesuffix('_id')}_conversion": (rows[f"{by}_converted"] + PRIOR_LEADS * company) / (rows[f"{by}_closed"] + PRIOR_LEADS)
        for by in RECORDS
    }
    week = {name: rows[name] - rows[f"{name}_week"] for name in COUNTS}
    month = {name: rows[f"{name}_week"] - rows[f"{name}_month"] for name in COUNTS}

    def points(scheme: dict[str, float]) -> Any:
        """Events × points, by when they were entered."""
        total = ibis.literal(0.0)
        for name, each in scheme.items():
            total = total + each * (OLD["7d"] * week[name] + OLD["28d"] * month[name] + OLD["before"] * rows[f"{name}_month"])
        return total

    return rows.select(
        "lead_id", "as_of", "status", "owner_id",
        **{name: rows[name] for name in ("source", "campaign_id", "landing_page", "industry", "country", "title", "employees")},
        age_days=days_between(rows.as_of, rows.created_at),
        **{name: rows[name] for name in COUNTS},
        **{f"{name}_7d": week[name] for name in ("events", "buying", "visits", "clicks")},
        events_28d=week["events"] + month["events"],
        days_since_event=days_between(rows.as_of, rows.last_event_at),
        engagement_points=points(ENGAGEMENT), intent_points=points(INTENT),
        **rates,
        activities=rows.activities, inbound=rows.inbound,
    )  # fmt: skip


LEADS = FeatureSet("leads", "lead_id", FEATURES, ("status", "owner_id"), build)

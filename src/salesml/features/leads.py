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
from collections.abc import Collection, Iterable
from typing import Any

import ibis
import pandas as pd
import pyarrow as pa

from salesml.errors import BadParameter
from salesml.features.catalogue import Feature, FeatureSet
from salesml.features.spines import LEAD_CLOSED
from salesml.lake import View, visible
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
STATE = ("status", "source", "campaign_id", "landing_page", "industry", "country", "title", "employees", "owner_id", "deleted")


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
    if view.as_of is not None:
        return of_leads(view)
    rows = view.with_totals(view.state("lead", STATE), EVENTS, "lead_id")
    for back, suffix in ((WEEK, "_week"), (MONTH, "_month")):
        rows = view.with_totals(rows, EVENTS, "lead_id", back=back, suffix=suffix)
    rows = view.with_totals(rows, CONTACTS, "lead_id")
    for by, record in RECORDS.items():
        rows = view.with_totals(rows, record, by, crowded=True)
    rows = view.with_totals(rows, COMPANY, None, crowded=True)
    return _finish(rows.filter(~ibis.coalesce(rows.deleted, False)))


def of_leads(view: View, leads: Collection[str] | None = None) -> Any:
    """What `build` gives as of one instant, of every lead or of those named; BadParameter for a view of a spine.

    It counts what is visible then, where a spine needs versions of every total: the same numbers, several times faster.
    """
    if view.as_of is None:
        raise BadParameter("leads are counted as of one instant; a spine of them is `build`'s")
    instant = ibis.literal(view.as_of, type="timestamp('UTC', 6)")
    chosen = None if leads is None else ibis.memtable(pa.table({"lead_id": pa.array(sorted(leads), pa.string())}))

    def wanted(rows: Any) -> Any:
        return rows if chosen is None else rows.semi_join(chosen, "lead_id")

    every = states(view)
    rows = wanted(every).mutate(as_of=instant)
    rows = _beside(rows, wanted(view.facts("lead_event")), EVENTS)
    for back, suffix in ((WEEK, "_week"), (MONTH, "_month")):
        earlier = visible(view.tables, view.as_of - back).facts("lead_event")
        rows = _beside(rows, wanted(earlier), EVENTS, suffix)
    rows = _beside(rows, wanted(view.facts("activity")), CONTACTS)
    for record in (*RECORDS.values(), COMPANY):
        rows = _beside(rows, every, record)
    return _finish(rows.filter(~ibis.coalesce(rows.deleted, False)))


def states(view: View) -> Any:
    """Per lead known as of one instant the latest value of each column by occurred_at, as `View.state` tells it, and created_at."""
    facts = view.facts("lead")
    order = ibis.window(group_by="lead_id", order_by=["occurred_at", "known_at", "source_row", "change_id"])
    facts = facts.select("lead_id", "occurred_at", *STATE, place=ibis.row_number().over(order))
    latest = {name: facts[name].argmax(facts.place, where=facts[name].notnull()) for name in STATE}
    return facts.group_by("lead_id").aggregate(created_at=facts.occurred_at.min(), **latest)


def summed(counted: Any, totals: Totals, suffix: str = "") -> Any:
    """One row per key (column `totals.by`, or `all`) with the totals of the rows given: visible facts, or states of one instant."""
    key = totals.by or "all"
    values = {name: f(counted) for name, f in {**totals.sums, **totals.latest}.items()}
    counted = counted.select(**{key: counted[key] if totals.by else ibis.literal(True), **values})
    return counted.filter(counted[key].notnull()).group_by(key).aggregate(
        **{f"{name}{suffix}": counted[name].sum() for name in totals.sums},
        **{f"{name}{suffix}": counted[name].max() for name in totals.latest},
    )  # fmt: skip


def _beside(rows: Any, counted: Any, totals: Totals, suffix: str = "") -> Any:
    """`rows` and, beside each, the totals of what is `counted` by its key; sums of nothing are 0."""
    found = summed(counted, totals, suffix).rename(_key=totals.by or "all")
    rows = rows.mutate(_own=rows[totals.by] if totals.by else ibis.literal(True))
    rows = rows.left_join(found, rows["_own"] == found["_key"]).drop("_key", "_own")
    return rows.mutate(**{f"{name}{suffix}": ibis.coalesce(rows[f"{name}{suffix}"], 0) for name in totals.sums})


def _finish(rows: Any) -> Any:
    company = (rows.company_converted + 1) / (rows.company_closed + 2)
    rates = {
        f"{by}_conversion".replace("_id", ""): (rows[f"{by}_converted"] + PRIOR_LEADS * company) / (rows[f"{by}_closed"] + PRIOR_LEADS)
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


def lead_rows(view: View, leads: Collection[str] | None = None) -> pd.DataFrame:
    """`LEADS.frame` of one instant's view, of all leads or of those named."""
    if leads is None:
        return LEADS.frame(view)
    frame = view.frame(of_leads(view, leads).select("lead_id", "as_of", *LEADS.context, *LEADS.names))
    return frame.sort_values("lead_id", ignore_index=True)

"""What is done with customers now: volume and mix, how often open deals are touched, and how far accounts and buying groups are covered.

A touch is an activity that the company began and that is no task: a call, mail, meeting, demo or other. Money is exact, in whole cents of
the workspace's currency (see `Book`); instants are UTC, weeks and quarters those of the workspace.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import ibis
import numpy as np
import pandas as pd

from salesml.analytics.book import PLACES, Book
from salesml.analytics.measures import OPEN
from salesml.analytics.slices import Every, Period, Where, measure
from salesml.errors import UnknownName
from salesml.lake import View

QUIET_DAYS = 14
MEETINGS = ("meeting", "demo")
MISSED = "no.show|no answer|voice ?mail|cancel|bounced"
"""Outcomes by which nobody of the customer was reached."""
VOLUME = ("activities", "inbound_share", "activity_minutes", "response_hours", "answered_share")
_DAY: Any = pd.Timedelta(days=1)


def is_touch(rows: Any) -> Any:
    """Whether activities (an Ibis table) are touches: begun by the company, and no task."""
    return ibis.coalesce(rows.direction, "outbound").notin(["inbound"]) & ibis.coalesce(rows.type, "other").notin(["task"])


def is_met(rows: Any) -> Any:
    """Whether activities are meetings or demos that took place, as far as their outcome tells."""
    missed = ibis.coalesce(rows.outcome, "").lower().re_search(MISSED)
    return ibis.coalesce(rows.type, "other").isin(MEETINGS) & ~missed


def volume(
    book: Book, by: Sequence[str] = ("activity_type",), *, period: Period, where: Where | None = None, every: Every | None = "week"
) -> pd.DataFrame:
    """Activities of a period by any dimensions and week. Grain: one row per combination of `by` and, with `every`, period.

    Columns: by, period (first day), and VOLUME as `slices.measure` gives them. Raises as it does.
    """
    return measure(book, VOLUME, by=by, where=where, period=period, every=every)


def mix(book: Book, by: str = "rep", *, period: Period, where: Where | None = None) -> pd.DataFrame:
    """How activities divide by type. Grain: one row per name of `by`, the busiest first.

    Columns: by, activities, a_week (activities per 7 days of the period), and per activity type its share of the row's activities (0..1).
    """
    counted = measure(book, ["activities"], by=[by, "activity_type"], where=where, period=period)
    wide = counted.pivot_table("activities", by, "activity_type", "sum", fill_value=0).astype("int64")
    total = wide.sum(axis=1)
    weeks = (period[1] - period[0]).days / 7
    found = wide.div(total, axis=0).assign(activities=total, a_week=total / weeks).rename_axis(columns=None)
    found = found.sort_values("activities", ascending=False, kind="stable").reset_index()
    return found[[by, "activities", "a_week", *wide.columns]]


def open_work(view: View, book: Book) -> pd.DataFrame:
    """Open deals and what was done with them. Grain: one row per open deal, by id; `book` is the book of the view.

    Columns: opportunity_id, name, rep, team, region, account, stage (codes' names), rep_name, stage_order, cents (Int64), created_at,
    stage_since, touches, last_touch_at, silent_days (since the last touch, else since it came to be), in_touch (at most 14 silent days),
    gap_days and stage_gap_days (median days between touches; of the present stage), meetings (that took place), contacts (people named in
    any activity, either way). Missing where nothing tells.
    """
    rows = book.rows("deal")
    asked = ["opportunity_id", "name", *PLACES, "account", "stage", "stage_order", "cents"]
    deals = book.backend.to_pandas(rows.filter(rows.state == OPEN).select(*asked).order_by("opportunity_id"))
    told = {name: [book.names[name][code] for code in deals[name]] for name in (*PLACES, "account", "stage")}
    labels = [book.labels["rep"][code] for code in deals["rep"]]
    deals = deals.assign(**told, rep_name=labels, cents=deals["cents"].astype("Int64"))
    since = view.frame(view.state("opportunity", ["stage"], since=["stage"])).set_index("opportunity_id")
    ids = deals["opportunity_id"]
    deals = deals.assign(created_at=ids.map(since["created_at"]), stage_since=ids.map(since["stage_since"]))
    return _worked(deals, _done(view, deals), pd.Timestamp(book.as_of))


def _done(view: View, deals: pd.DataFrame) -> pd.DataFrame:
    """What was done with some deals, in the order of time: opportunity_id, at, contact_id, touch, met."""
    ids = ibis.memtable(pd.DataFrame({"_deal": deals["opportunity_id"].astype("object")}), schema={"_deal": "string"})
    facts = view.facts("activity").filter(lambda rows: rows.opportunity_id.notnull())
    rows = facts.inner_join(ids, facts.opportunity_id == ids["_deal"])
    asked = rows.select("opportunity_id", "activity_id", "contact_id", at=rows.occurred_at, touch=is_touch(rows), met=is_met(rows))
    return view.frame(asked).sort_values(["opportunity_id", "at", "activity_id"], ignore_index=True)


def _worked(deals: pd.DataFrame, done: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    touched = done[done["touch"]].reset_index(drop=True)
    of = touched.groupby("opportunity_id")
    touched["gap"] = of["at"].diff() / _DAY
    began = touched["opportunity_id"].map(deals.set_index("opportunity_id")["stage_since"])
    here = touched[touched["at"] - pd.to_timedelta(touched["gap"], unit="D") >= began]
    ids = deals["opportunity_id"]
    last = ids.map(of["at"].max())
    silent = (as_of - last.fillna(deals["created_at"])) / _DAY
    return deals.assign(
        touches=ids.map(of.size()).fillna(0).astype("int64"),
        last_touch_at=last,
        silent_days=silent.astype("float64"),
        in_touch=silent.le(QUIET_DAYS),
        gap_days=ids.map(of["gap"].median()).astype("float64"),
        stage_gap_days=ids.map(here.groupby("opportunity_id")["gap"].median()).astype("float64"),
        meetings=ids.map(done[done["met"]].groupby("opportunity_id").size()).fillna(0).astype("int64"),
        contacts=ids.map(done.groupby("opportunity_id")["contact_id"].nunique()).fillna(0).astype("int64"),
    )


def standing(work: pd.DataFrame, by: str | None = None) -> pd.DataFrame:
    """Cadence and coverage of open deals by a column of `open_work` (stage, rep, team, region), or of all. Grain: one row per name.

    Columns: by, deals, amount (exact), in_touch (deals), in_touch_share, in_touch_amount (share of the amount known), gap_days (by stage:
    the present stage's; median of the deals' medians), silent_days (median), quiet (deals silent for over 14 days), quiet_amount (exact),
    contacts (mean people of deals that name any), named_share, two_share, three_share (deals naming 1+, 2+, 3+ people; missing where no
    deal of `work` names one). Stages in their order, else the most open deals first. Raises UnknownName.
    """
    if by is not None and by not in (*PLACES, "stage"):
        raise UnknownName("column to group open deals by", by, (*PLACES, "stage"))
    named = bool(work["contacts"].gt(0).any())
    parts = [("all", work)] if by is None else list(work.groupby(by, sort=True))
    rows = [{by or "of": name, **_stands(mine, named, "stage_gap_days" if by == "stage" else "gap_days")} for name, mine in parts]
    found = pd.DataFrame(rows) if rows else pd.DataFrame(columns=[by or "of", *_stands(work, named, "gap_days")])
    if by == "stage":
        return found.sort_values([by], key=lambda names: names.map(work.groupby("stage")["stage_order"].min()), ignore_index=True)
    return found.sort_values("deals", ascending=False, kind="stable", ignore_index=True)


def _stands(mine: pd.DataFrame, named: bool, gap: str) -> dict[str, Any]:
    cents = int(mine["cents"].sum()) if mine["cents"].notna().any() else 0
    quiet = mine[~mine["in_touch"]]
    lost = int(quiet["cents"].sum()) if quiet["cents"].notna().any() else 0
    count = len(mine)
    shares = [float(mine["contacts"].ge(least).mean()) if named and count else np.nan for least in (1, 2, 3)]
    return {
        "deals": count, "amount": Decimal(cents).scaleb(-2), "in_touch": count - len(quiet),
        "in_touch_share": 1 - len(quiet) / count if count else np.nan, "in_touch_amount": 1 - lost / cents if cents else np.nan,
        "gap_days": float(mine[gap].median()), "silent_days": float(mine["silent_days"].median()), "quiet": len(quiet),
        "quiet_amount": Decimal(lost).scaleb(-2), "contacts": float(mine["contacts"].where(mine["contacts"] > 0).mean()),
        **dict(zip(("named_share", "two_share", "three_share"), shares, strict=True)),
    }  # fmt: skip


def accounts(view: View, book: Book, first: dt.date) -> pd.DataFrame:
    """Accounts somebody is in charge of, and whether they were touched from a day on. Grain: one row per account, by id.

    A touch of an account is one of it, of a deal of it, or of a contact of it. Columns: account, name, rep (in charge), touched, and
    revenue (what it brought so far, exact, 0 without any), by which a rep would choose.
    """
    known = view.frame(view.state("account", ["name", "owner_id", "deleted"]))
    owned = known[known["owner_id"].notna() & ~known["deleted"].eq(True)].sort_values("account_id", ignore_index=True)
    zone = view.tables.workspace
    facts = view.facts("activity")
    facts = facts.filter(is_touch(facts), facts.occurred_at >= ibis.literal(zone.instant(first), type="timestamp('UTC', 6)"))
    about = view.frame(facts.select("account_id", "opportunity_id", "contact_id").distinct())
    deal_of = view.frame(view.state("opportunity", ["account_id"])).set_index("opportunity_id")["account_id"]
    contact_of = view.frame(view.state("contact", ["account_id"])).set_index("contact_id")["account_id"]
    reached = about["account_id"].fillna(about["opportunity_id"].map(deal_of)).fillna(about["contact_id"].map(contact_of))
    earned = measure(book, ["revenue"], by=["account"]).set_index("account")["revenue"]
    ids = owned["account_id"]
    return pd.DataFrame({
        "account": ids, "name": owned["name"].fillna(ids), "rep": owned["owner_id"], "touched": ids.isin(set(reached.dropna())),
        "revenue": [earned.get(one, Decimal(0)) or Decimal(0) for one in ids],
    })  # fmt: skip

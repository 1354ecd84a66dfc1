"""How fast customers' messages are answered: by type, by hour of the week, and which still wait.

A message is an activity that the customer began. Its answer is the next activity the company began about the same deal, else the same lead,
account or contact, as `Book` counts it. A message without an answer that is younger than a day is not judged yet.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import ibis
import pandas as pd
from scipy.stats import binomtest

from salesml.lake import View
from salesml.workspace import WEEKDAYS

SOON_HOURS = 24.0
LEVEL = 0.9
ABOUT = ("opportunity_id", "lead_id", "account_id", "contact_id")
KINDS = {"opportunity_id": "deal", "lead_id": "lead", "account_id": "account", "contact_id": "contact"}
_HOUR: Any = pd.Timedelta(hours=1)


def messages(view: View, first: dt.date) -> pd.DataFrame:
    """Customers' messages from a day on. Grain: one row per message, in the order of time.

    Columns: activity_id, kind and about (deal, lead, account or contact, and its id; missing where it is about none), rep (who got it),
    type, at (UTC), weekday (monday …) and hour (0..23) in the workspace's time zone, hours (to the answer; missing while there is none),
    waited (to the answer, else to the view's instant), soon (answered within 24 hours; missing while that cannot be told).
    """
    assert view.as_of is not None
    workspace = view.tables.workspace
    facts = view.facts("activity")
    facts = facts.filter(facts.occurred_at >= ibis.literal(workspace.instant(first), type="timestamp('UTC', 6)"))
    kind, about = ibis.cases(*((facts[name].notnull(), KINDS[name]) for name in ABOUT)), ibis.coalesce(*(facts[name] for name in ABOUT))
    asked = facts.select("activity_id", "direction", "type", kind=kind, about=about, rep=facts.owner_id, at=facts.occurred_at)
    rows = view.frame(asked).sort_values(["at", "activity_id"], ignore_index=True)
    thread = rows["kind"].str.cat(rows["about"], sep=" ")
    answered_at = rows["at"].where(rows["direction"].eq("outbound")).groupby(thread).bfill()
    found = rows.assign(hours=(answered_at - rows["at"]) / _HOUR)[rows["direction"].eq("inbound")]
    local = found["at"].dt.tz_convert(workspace.settings.time_zone)
    waited = found["hours"].fillna((pd.Timestamp(view.as_of) - found["at"]) / _HOUR)
    soon = found["hours"].le(SOON_HOURS).astype("boolean").where(found["hours"].notna() | (waited > SOON_HOURS))
    names = dict(enumerate(WEEKDAYS))
    told = found.assign(weekday=local.dt.weekday.map(names), hour=local.dt.hour.astype("int64"), waited=waited, soon=soon)
    columns = ["activity_id", "kind", "about", "rep", "type", "at", "weekday", "hour", "hours", "waited", "soon"]
    return told[columns].reset_index(drop=True)


def response(found: pd.DataFrame, by: str = "type") -> pd.DataFrame:
    """Answers by a column of `messages` (type, rep, kind). Grain: one row per name, the most messages first.

    Columns: by, messages, answered (share so far), hours (median of those answered), judged (messages older than a day or answered), soon,
    lo, hi (share of these answered within 24 hours, 90 % Wilson interval; missing where none is judged).
    """
    rows = []
    for name, mine in found.groupby(by, sort=True):
        judged, soon = int(mine["soon"].notna().sum()), int(mine["soon"].sum())
        share, lo, hi = share_of(soon, judged)
        rows.append({
            by: name, "messages": len(mine), "answered": float(mine["hours"].notna().mean()), "hours": float(mine["hours"].median()),
            "judged": judged, "soon": share, "lo": lo, "hi": hi,
        })  # fmt: skip
    columns = [by, "messages", "answered", "hours", "judged", "soon", "lo", "hi"]
    return pd.DataFrame(rows, columns=columns).sort_values("messages", ascending=False, kind="stable", ignore_index=True)


def by_hour(found: pd.DataFrame, block: int = 1) -> pd.DataFrame:
    """Answers by the hour of the week a message came. Grain: one row per weekday and block of hours that has a message.

    Columns: weekday, hour (the block's first), messages, answered (share), hours (median of those answered).
    """
    blocks = found.assign(hour=found["hour"] // block * block, answered=found["hours"].notna())
    groups = blocks.groupby(["weekday", "hour"])
    told = groups.agg(messages=("at", "size"), answered=("answered", "mean"), hours=("hours", "median")).reset_index()
    place = {name: number for number, name in enumerate(WEEKDAYS)}
    return told.sort_values(["weekday", "hour"], key=lambda part: part.map(place) if part.name == "weekday" else part, ignore_index=True)


def waiting(found: pd.DataFrame, work: pd.DataFrame, leads: pd.DataFrame) -> pd.DataFrame:
    """Conversations whose last word is the customer's, for over a day. Grain: one row per deal, lead, account or contact, deals first.

    Only of open deals (`work` is `activity.open_work`) and open leads (lead_id, rep), whose rep is asked for the answer; last words that
    need no answer are among them. Columns: kind, about, name (the deal's, else the id), rep, messages (since the last answer), since (the
    first of them), hours (waited), type (of the last), cents (Int64, of deals). Greatest amount first, then the longest.
    """
    open_ = found[found["hours"].isna() & found["about"].notna()]
    groups = open_.groupby(["kind", "about"], sort=True)
    told = groups.agg(
        rep=("rep", "last"), messages=("at", "size"), since=("at", "min"), hours=("waited", "max"), type=("type", "last")
    ).reset_index()  # fmt: skip
    told = told[told["hours"] > SOON_HOURS]
    deals, owners = work.set_index("opportunity_id"), leads.set_index("lead_id")["rep"]
    of_deal = told["kind"].eq("deal")
    told = told[(of_deal & told["about"].isin(deals.index)) | (told["kind"].eq("lead") & told["about"].isin(owners.index))
                | ~told["kind"].isin(["deal", "lead"])]  # fmt: skip
    rep = told["about"].map(deals["rep"]).fillna(told["about"].map(owners)).fillna(told["rep"])
    told = told.assign(name=told["about"].map(deals["name"]).fillna(told["about"]), rep=rep, cents=told["about"].map(deals["cents"]))
    told["cents"] = told["cents"].astype("Int64")
    order = told.assign(_deal=told["kind"].eq("deal")).sort_values(
        ["_deal", "cents", "hours"], ascending=False, kind="stable", na_position="last", ignore_index=True
    )
    return order[["kind", "about", "name", "rep", "messages", "since", "hours", "type", "cents"]]


def open_leads(view: View) -> pd.DataFrame:
    """Leads that are still open or qualified: lead_id, rep."""
    rows = view.frame(view.state("lead", ["status", "owner_id", "deleted"]))
    kept = rows["status"].fillna("open").isin(["open", "qualified"]) & ~rows["deleted"].eq(True)
    return rows[kept].rename(columns={"owner_id": "rep"})[["lead_id", "rep"]].reset_index(drop=True)


def share_of(part: int, whole: int, level: float = LEVEL) -> tuple[float, float, float]:
    """A share with its interval (Wilson 1927): value, lo, hi; NaN of nothing."""
    if not whole:
        return (float("nan"),) * 3
    interval = binomtest(part, whole).proportion_ci(level, method="wilson")
    return part / whole, float(interval.low), float(interval.high)
